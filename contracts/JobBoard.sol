// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Job, JobParameters, JobState, Member, Permit} from "./interfaces/IJobBoard.sol";
import {IParameters} from "./interfaces/IParameters.sol";
import {IProviderRegistry} from "./interfaces/IProviderRegistry.sol";
import {JobStore} from "./JobStore.sol";
import {Membership} from "./Membership.sol";
import {JobRules} from "./libraries/JobRules.sol";
import {TokenTransfer} from "./libraries/TokenTransfer.sol";

/// Escrowed money leaves only as pay for finalised rounds or, when the job is over, back to its requester. A requester
/// cannot take it back while a round is in flight, nor change what a job asks for.
contract JobBoard is Membership {
    using SafeCast for uint256;
    using TokenTransfer for IERC20;

    bytes32 private constant JOB_OFFER_TYPEHASH = keccak256(
        "JobOffer(address requester,bytes32 parametersHash,uint256 escrow,uint256 nonce,uint256 deadline)"
    );

    mapping(address requester => mapping(uint256 nonce => bool)) public isOfferUsed;

    constructor(IERC20 token_, IProviderRegistry registry_, IParameters parameters_, address rounds_, address appeals_)
        JobStore(token_, registry_, parameters_, rounds_, appeals_)
    {}

    function createJob(JobParameters memory parameters_, uint256 escrow) external nonReentrant returns (uint256 job) {
        return _create(msg.sender, parameters_, escrow);
    }

    function createJobFor(
        address requester,
        JobParameters memory parameters_,
        uint256 escrow,
        uint256 nonce,
        uint256 deadline,
        bytes calldata signature,
        Permit calldata permit
    ) external nonReentrant returns (uint256 job) {
        bytes32 structHash = keccak256(
            abi.encode(JOB_OFFER_TYPEHASH, requester, keccak256(abi.encode(parameters_)), escrow, nonce, deadline)
        );
        _checkSignature(structHash, deadline, signature, requester);
        if (isOfferUsed[requester][nonce]) revert OfferUsed(requester, nonce);
        isOfferUsed[requester][nonce] = true;
        if (permit.value != 0) _tryPermit(requester, permit);
        return _create(requester, parameters_, escrow);
    }

    /// While recruiting the job is over at once; later the round in flight is the last, and is paid.
    function cancel(uint256 job) external {
        JobRecord storage record = _known(job);
        if (msg.sender != record.requester) revert NotRequester(msg.sender, record.requester);
        if (record.state == JobState.Recruiting) return _changeState(record, job, JobState.Cancelled);
        if (record.state != JobState.Running) revert JobStateWrong(job, record.state);
        _changeState(record, job, JobState.Cancelling);
    }

    function refund(uint256 job) external nonReentrant returns (uint256 amount) {
        JobRecord storage record = _known(job);
        if (!_isOver(record)) revert JobStateWrong(job, record.state);
        amount = record.escrow;
        if (amount == 0) revert NothingToRefund(job);
        record.escrow = 0;
        address requester = record.requester;
        emit EscrowRefunded(job, requester, amount);
        token.push(requester, amount);
    }

    function markRunning(uint256 job) external onlyRounds {
        JobRecord storage record = _known(job);
        if (record.state != JobState.Recruiting) revert JobStateWrong(job, record.state);
        _changeState(record, job, JobState.Running);
    }

    /// Believes Rounds for who earned what, never for how much the escrow holds.
    function settleRound(uint256 job, uint256 round, bytes calldata payments, address feeRecipient, uint256 fee)
        external
        onlyRounds
    {
        JobRecord storage record = _known(job);
        (uint256 escrow, uint256 quantum) = (record.escrow, record.quantum);
        uint256 spent = _credit(record, payments) * quantum + fee;
        if (spent > escrow) revert EscrowTooLow(escrow, spent);
        record.escrow = uint128(escrow - spent);
        record.finalisedRounds++;
        if (fee != 0) feesOf[feeRecipient] += fee;
        emit RoundSettled(job, round, payments, feeRecipient, fee, spent);
    }

    function recordFailedRound(uint256 job) external onlyRounds {
        _known(job).failedRounds++;
    }

    function stopJob(uint256 job) external onlyRounds returns (bool running) {
        JobRecord storage record = _known(job);
        running = !_isOver(record);
        if (record.state == JobState.Running) _changeState(record, job, JobState.Cancelling);
    }

    /// True if the job goes on.
    function endRound(uint256 job) external onlyRounds returns (bool more) {
        JobRecord storage record = _known(job);
        if (record.finalisedRounds >= record.parameters.rounds) {
            _end(record, job, JobState.Completed);
        } else if (record.failedRounds > record.parameters.maxFailedRounds) {
            _end(record, job, JobState.Exhausted);
        } else if (record.state == JobState.Cancelling) {
            _end(record, job, JobState.Cancelled);
        } else {
            return true;
        }
    }

    function isReady(uint256 job) external view returns (bool) {
        JobRecord storage record = _known(job);
        JobParameters storage asked = record.parameters;
        return record.state == JobState.Recruiting
            && (record.activeTrainers == asked.maxTrainers || block.timestamp >= asked.recruitUntil)
            && record.activeTrainers >= asked.minTrainers && record.activeValidators >= asked.committeeSize;
    }

    function jobOf(uint256 job) external view returns (Job memory) {
        JobRecord storage record = _known(job);
        return Job({
            requester: record.requester,
            state: record.state,
            parametersVersion: record.parametersVersion,
            finalisedRounds: record.finalisedRounds,
            failedRounds: record.failedRounds,
            members: record.members,
            activeTrainers: record.activeTrainers,
            activeValidators: record.activeValidators,
            escrow: record.escrow,
            quantum: record.quantum,
            parameters: record.parameters
        });
    }

    function memberOf(uint256 job, uint256 member) external view returns (Member memory) {
        JobRecord storage record = _known(job);
        if (member >= record.members) revert MemberUnknown(job, address(0));
        return _memberView(record, member);
    }

    /// Fewer than `count` at the roster's end.
    function membersOf(uint256 job, uint256 from, uint256 count) external view returns (Member[] memory members) {
        JobRecord storage record = _known(job);
        uint256 known = record.members;
        if (from > known) from = known;
        if (count > known - from) count = known - from;
        members = new Member[](count);
        for (uint256 i = 0; i < count; ++i) {
            members[i] = _memberView(record, from + i);
        }
    }

    function _end(JobRecord storage record, uint256 job, JobState state) private {
        record.endedAt = uint64(block.timestamp);
        _changeState(record, job, state);
    }

    function _memberView(JobRecord storage record, uint256 member) private view returns (Member memory) {
        MemberRecord storage its = record.roster[member];
        return Member(its.provider, its.operator, its.roles, its.active, its.stake, _creditOf(record, member));
    }

    function _create(address requester, JobParameters memory asked, uint256 escrow) private returns (uint256 job) {
        parameters.requireEntryOpen();
        uint256 version = parameters.currentVersion();
        JobRules.check(asked, parameters.parametersAt(version));
        uint256 need = uint256(asked.rounds) * asked.pricePerRound;
        if (escrow < need) revert EscrowTooLow(escrow, need);
        job = ++jobCount;
        JobRecord storage record = _jobs[job];
        record.requester = requester;
        record.state = JobState.Recruiting;
        record.parametersVersion = uint32(version);
        record.escrow = escrow.toUint128();
        record.quantum = (escrow / 2 ** 31 + 1).toUint96();
        record.parameters = asked;
        emit JobCreated(job, requester, asked.specDigest, escrow, record.quantum, version, asked);
        token.pull(requester, escrow);
    }

    // Whoever sees a permit may use it first; the allowance is there all the same.
    function _tryPermit(address requester, Permit calldata permit) private {
        try IERC20Permit(address(token)).permit(
            requester, address(this), permit.value, permit.deadline, permit.v, permit.r, permit.s
        ) {} catch {}
    }
}
