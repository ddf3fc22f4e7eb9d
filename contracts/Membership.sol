// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {JobState} from "./interfaces/IJobBoard.sol";
import {IProviderRegistry, Provider, TRAINER, VALIDATOR} from "./interfaces/IProviderRegistry.sol";
import {Rewards} from "./Rewards.sol";
import {CodePages} from "./libraries/CodePages.sol";
import {JobRules} from "./libraries/JobRules.sol";
import {SumTree} from "./libraries/SumTree.sol";

/// Who works in a job. A member keeps its index for ever, and the stake it last locked stays on record after it left,
/// since faults are proven later than they are made.
/// DANGER: between the choice of a seed and the draw nothing here may change who can be drawn, or the draw could be bent.
abstract contract Membership is Rewards {
    using SumTree for SumTree.Tree;

    bytes32 private constant JOB_JOIN_TYPEHASH = keccak256(
        "JobJoin(uint256 job,address provider,uint8 roles,uint256 stake,uint256 nonce,uint256 deadline)"
    );
    bytes32 private constant JOB_LEAVE_TYPEHASH =
        keccak256("JobLeave(uint256 job,address provider,uint256 nonce,uint256 deadline)");

    /// Locks stake. Whoever holds the operator key can join its provider to any job, up to all of its free stake.
    function joinJob(
        uint256 job,
        address provider,
        uint8 roles,
        uint256 stake,
        uint256 deadline,
        bytes32[] calldata allowlistProof,
        bytes calldata signature
    ) external returns (uint256 member) {
        JobRecord storage record = _known(job);
        if (record.state != JobState.Recruiting && record.state != JobState.Running) {
            revert JobStateWrong(job, record.state);
        }
        _requireNoDraw(job);
        parameters.requireEntryOpen();
        Provider memory known = registry.providerOf(provider);
        uint256 nonce = record.places[provider].nonce++;
        bytes32 structHash = keccak256(abi.encode(JOB_JOIN_TYPEHASH, job, provider, roles, stake, nonce, deadline));
        _checkSignature(structHash, deadline, signature, known.operator);
        if (roles == 0 || roles & ~known.roles != 0) revert RolesNotHeld(provider, roles, known.roles);
        _checkStake(record, stake);
        _checkAllowlist(record.parameters.allowlistRoot, job, provider, allowlistProof);
        member = _takePlace(record, job, provider, stake);
        _activate(record, job, member, MemberRecord(known.operator, roles, true, provider, uint96(stake)));
        registry.lock(provider, stake);
    }

    /// Earned credit stays claimable; the stake is free again, and slashable for what was done before.
    function leaveJob(uint256 job, address provider, uint256 deadline, bytes calldata signature) external {
        JobRecord storage record = _known(job);
        uint256 member = _activeMember(record, job, provider);
        uint256 nonce = record.places[provider].nonce++;
        bytes32 structHash = keccak256(abi.encode(JOB_LEAVE_TYPEHASH, job, provider, nonce, deadline));
        _checkSignature(structHash, deadline, signature, registry.providerOf(provider).operator);
        _checkFree(record, job, member);
        _remove(record, job, member);
    }

    /// Once the job is over and nothing of it can be appealed: frees the stake of those among `providers` who are still members.
    function release(uint256 job, address[] calldata providers) external {
        JobRecord storage record = _known(job);
        if (!_isOver(record)) revert JobStateWrong(job, record.state);
        _requireFinal(record, job);
        for (uint256 i = 0; i < providers.length; ++i) {
            uint256 member = _memberIndex(record, job, providers[i]);
            if (record.roster[member].active) _remove(record, job, member);
        }
    }

    /// Takes a provider out of a job who is jailed, or whose stake a slash has eaten into so far that it no longer backs its
    /// weight, so that it is neither waited for nor drawn. Anybody.
    function eject(uint256 job, address provider) external {
        JobRecord storage record = _known(job);
        uint256 member = _activeMember(record, job, provider);
        Provider memory known = registry.providerOf(provider);
        bool isBacked = known.locked >= record.roster[member].stake;
        if (known.jailedUntil == 0 && isBacked) revert IProviderRegistry.ProviderNotJailed(provider);
        _checkFree(record, job, member);
        _remove(record, job, member);
    }

    /// Makes the job know the operator that the registry names. Anybody.
    function refreshOperator(uint256 job, address provider) external {
        JobRecord storage record = _known(job);
        uint256 member = _activeMember(record, job, provider);
        address operator = registry.providerOf(provider).operator;
        record.roster[member].operator = operator;
        record.stale[member >> 8] |= 1 << (member & 255);
        emit MemberOperatorRefreshed(job, member, operator);
    }

    /// Makes `operatorsOf` cheap for the members `128 page` to `128 page + 127`; pays off for whoever carries batches.
    /// Those who join later are read one by one until the page is sealed again. Anybody.
    function sealRoster(uint256 job, uint256 page) external {
        JobRecord storage record = _known(job);
        uint256 first = page * CodePages.SIZE;
        if (first >= record.members) revert RosterPageEmpty(job, page);
        uint256 count = record.members - first;
        if (count > CodePages.SIZE) count = CodePages.SIZE;
        address[] memory operators = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            operators[i] = _operatorOf(record, first + i);
        }
        address pointer = CodePages.write(operators);
        record.pages[page] = pointer;
        record.stale[page >> 1] &= ~(uint256(type(uint128).max) << ((page & 1) << 7));
        emit RosterSealed(job, page, count, pointer);
    }

    /// Members and jobs that do not exist have no operators either.
    function operatorsOf(uint256 job, bytes calldata members) external view returns (address[] memory) {
        JobRecord storage record = _jobs[job];
        uint256 count = members.length / 2;
        address[] memory words = new address[](count + 1); // the answer as it goes out: offset, length, operators
        if (count < CodePages.FEW) {
            for (uint256 i = 0; i < count; ++i) {
                words[i + 1] = _operatorOf(record, _memberAt(members, i));
            }
        } else {
            _readOperators(record, members, words);
        }
        assembly ("memory-safe") {
            mstore(words, 0x20)
            mstore(add(words, 0x20), count)
            return(words, add(0x40, shl(5, count)))
        }
    }

    function rosterPageOf(uint256 job, uint256 page) external view returns (address pointer, uint256 stale) {
        JobRecord storage record = _jobs[job];
        if (page >= record.pages.length) return (address(0), 0);
        return (record.pages[page], uint128(record.stale[page >> 1] >> ((page & 1) << 7)));
    }

    function trainersOf(uint256 job) external view returns (uint256[] memory bitmap) {
        JobRecord storage record = _jobs[job];
        bitmap = new uint256[]((record.members + 255) / 256);
        for (uint256 i = 0; i < bitmap.length; ++i) {
            bitmap[i] = record.trainers[i];
        }
    }

    /// The caller answers for `seed`: whoever can choose it chooses the committee.
    function drawCommittee(uint256 job, uint256 size, bytes32 seed) external view returns (uint16[] memory) {
        JobRecord storage record = _jobs[job];
        return record.weights.draw(record.members, size, seed);
    }

    function drawJury(uint256 job, uint256 size, bytes32 seed, uint16[] calldata excluded) external view returns (uint16[] memory) {
        JobRecord storage record = _jobs[job];
        return record.weights.draw(record.members, size, seed, excluded);
    }

    function memberIndexOf(uint256 job, address provider) external view returns (uint256) {
        return _memberIndex(_known(job), job, provider);
    }

    function memberNonce(uint256 job, address provider) external view returns (uint256) {
        return _jobs[job].places[provider].nonce;
    }

    function _checkFree(JobRecord storage record, uint256 job, uint256 member) private view {
        if (_isOver(record)) _requireFinal(record, job);
        _requireNoDraw(job);
        if (rounds.isEngaged(job, member)) revert MemberEngaged(job, member);
    }

    function _requireNoDraw(uint256 job) private view {
        if (rounds.isDrawPending(job) || appeals.isDrawPending(job)) revert DrawPending(job);
    }

    /// Jurors are drawn from the members, so these stay until the last appeal is over.
    function _requireFinal(JobRecord storage record, uint256 job) private view {
        if (record.endedAt == 0) return;
        uint256 until = record.endedAt + parameters.parametersAt(record.parametersVersion).appealWindow;
        uint256 open = appeals.openCasesOf(job);
        if (block.timestamp < until || open != 0) revert StillAppealable(job, until, open);
    }

    function _checkStake(JobRecord storage record, uint256 stake) private view {
        uint256 need = record.parameters.minStake;
        if (stake < need) revert MemberStakeTooLow(stake, need);
        if (stake > JobRules.MAX_STAKE) revert MemberStakeTooHigh(stake, JobRules.MAX_STAKE);
    }

    function _checkAllowlist(bytes32 root, uint256 job, address provider, bytes32[] calldata proof) private pure {
        if (root == 0) return;
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(provider))));
        if (!MerkleProof.verifyCalldata(proof, root, leaf)) revert NotOnAllowlist(job, provider);
    }

    function _activeMember(JobRecord storage record, uint256 job, address provider) private view returns (uint256 member) {
        member = _memberIndex(record, job, provider);
        if (!record.roster[member].active) revert MemberUnknown(job, provider);
    }

    /// Who comes back locks no less than before: a fault proven later is sized by the stake locked last.
    function _takePlace(JobRecord storage record, uint256 job, address provider, uint256 stake) private returns (uint256 member) {
        uint256 place = record.places[provider].member;
        if (place != 0) {
            MemberRecord storage before = record.roster[place - 1];
            if (before.active) revert MemberExists(job, provider);
            if (stake < before.stake) revert MemberStakeTooLow(stake, before.stake);
            return place - 1;
        }
        member = record.members;
        if (member == SumTree.CAPACITY) revert JobFull(job, SumTree.CAPACITY);
        record.weights.append(member);
        record.members = uint16(member + 1);
        record.places[provider].member = uint16(member + 1);
        _openCredit(record, member);
    }

    function _activate(JobRecord storage record, uint256 job, uint256 member, MemberRecord memory its) private {
        record.roster[member] = its;
        if (its.roles & TRAINER != 0) {
            uint256 limit = record.parameters.maxTrainers;
            if (record.activeTrainers == limit) revert JobFull(job, limit);
            record.activeTrainers++;
            record.trainers[member >> 8] |= 1 << (member & 255);
        }
        if (its.roles & VALIDATOR != 0) {
            record.activeValidators++;
            record.weights.set(record.members, member, uint64(its.stake / JobRules.WEIGHT_UNIT));
        }
        emit MemberJoined(job, member, its.provider, its.operator, its.roles, its.stake);
    }

    function _remove(JobRecord storage record, uint256 job, uint256 member) private {
        MemberRecord memory its = record.roster[member];
        record.roster[member].active = false;
        record.stale[member >> 8] |= 1 << (member & 255);
        if (its.roles & TRAINER != 0) {
            record.activeTrainers--;
            record.trainers[member >> 8] &= ~(1 << (member & 255));
        }
        if (its.roles & VALIDATOR != 0) {
            record.activeValidators--;
            record.weights.set(record.members, member, 0);
        }
        emit MemberLeft(job, member, its.provider, its.stake);
        registry.unlock(its.provider, its.stake);
    }

    function _operatorOf(JobRecord storage record, uint256 member) private view returns (address) {
        if (member >= SumTree.CAPACITY) return address(0);
        MemberRecord storage its = record.roster[member];
        return its.active ? its.operator : address(0);
    }

    function _readOperators(JobRecord storage record, bytes calldata members, address[] memory words) private view {
        bytes memory page = CodePages.allocate();
        uint256 loaded = type(uint256).max;
        uint256 stale = 0;
        unchecked {
            for (uint256 i = 1; i < words.length; ++i) {
                uint256 member = _memberAt(members, i - 1);
                if (member >= SumTree.CAPACITY) continue;
                if (member >> 7 != loaded) {
                    loaded = member >> 7;
                    stale = record.stale[loaded >> 1];
                    CodePages.load(record.pages[loaded], page);
                }
                address operator = CodePages.entryAt(page, member);
                if (operator == address(0) || (stale >> (member & 255)) & 1 != 0) operator = _operatorOf(record, member);
                words[i] = operator;
            }
        }
    }

    function _memberAt(bytes calldata members, uint256 i) private pure returns (uint256 member) {
        assembly ("memory-safe") {
            member := shr(240, calldataload(add(members.offset, shl(1, i))))
        }
    }
}
