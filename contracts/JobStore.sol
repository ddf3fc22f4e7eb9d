// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {IAppeals} from "./interfaces/IAppeals.sol";
import {IJobBoard, JobParameters, JobState} from "./interfaces/IJobBoard.sol";
import {IParameters} from "./interfaces/IParameters.sol";
import {IProviderRegistry} from "./interfaces/IProviderRegistry.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {SumTree} from "./libraries/SumTree.sol";

/// What the board's parts share: a job's storage, its neighbours, and who may call.
abstract contract JobStore is IJobBoard, EIP712 {
    // A member's first word is all that a signature check reads.
    struct MemberRecord {
        address operator;
        uint8 roles;
        bool active;
        address provider;
        uint96 stake; // last locked for this job; JobRules.MAX_STAKE fits
    }

    struct Place {
        uint16 member; // index + 1
        uint64 nonce;
    }

    struct JobRecord {
        address requester;
        JobState state;
        uint32 parametersVersion;
        uint32 finalisedRounds;
        uint16 failedRounds;
        uint128 escrow;
        uint96 quantum; // as wide as Rounds keeps it
        uint16 members;
        uint16 activeTrainers;
        uint16 activeValidators;
        uint64 endedAt; // when the job ended, if after a round; seconds
        JobParameters parameters;
        mapping(address provider => Place) places;
        MemberRecord[2048] roster;
        uint256[256] credits; // see Rewards
        uint256[8] trainers; // bit per member: active and holding the role
        uint256[8] stale; // bit per member: its page of operators is out of date
        address[16] pages; // see Membership.sealRoster
        SumTree.Tree weights;
    }

    IERC20 public immutable token;
    IProviderRegistry public immutable registry;
    IParameters public immutable parameters;
    IRounds public immutable rounds;
    IAppeals public immutable appeals;

    uint256 public jobCount;
    mapping(uint256 job => JobRecord) internal _jobs;

    modifier onlyRounds() {
        if (msg.sender != address(rounds)) revert NotRounds(msg.sender);
        _;
    }

    constructor(IERC20 token_, IProviderRegistry registry_, IParameters parameters_, address rounds_, address appeals_)
        EIP712("Commonweal", "1")
    {
        token = token_;
        registry = registry_;
        parameters = parameters_;
        rounds = IRounds(rounds_);
        appeals = IAppeals(appeals_);
    }

    function _known(uint256 job) internal view returns (JobRecord storage record) {
        record = _jobs[job];
        if (record.state == JobState.None) revert JobUnknown(job);
    }

    function _memberIndex(JobRecord storage record, uint256 job, address provider) internal view returns (uint256) {
        uint256 place = record.places[provider].member;
        if (place == 0) revert MemberUnknown(job, provider);
        return place - 1;
    }

    function _isOver(JobRecord storage record) internal view returns (bool) {
        return record.state >= JobState.Completed;
    }

    function _changeState(JobRecord storage record, uint256 job, JobState state) internal {
        record.state = state;
        emit JobStateChanged(job, state);
    }

    /// Signatures are 64 bytes (EIP-2098); of a signer that is a contract, whatever it takes for its own (ERC-1271).
    function _checkSignature(bytes32 structHash, uint256 deadline, bytes calldata signature, address signer)
        internal
        view
    {
        if (block.timestamp > deadline) revert SignatureExpired(deadline);
        bytes32 digest = _hashTypedDataV4(structHash);
        address recovered;
        if (signature.length == 64) {
            (recovered,,) = ECDSA.tryRecover(digest, bytes32(signature[:32]), bytes32(signature[32:]));
        }
        if (recovered != address(0) && recovered == signer) return;
        // An account may have code and a key (EIP-7702), so the key was asked first.
        if (signer.code.length != 0 && SignatureChecker.isValidERC1271SignatureNowCalldata(signer, digest, signature)) return;
        revert SignatureWrong(recovered, signer);
    }
}
