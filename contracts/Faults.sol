// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fault, IFaults, Slot} from "./interfaces/IFaults.sol";
import {IJobBoard, Job, Member} from "./interfaces/IJobBoard.sol";
import {IModelLedger} from "./interfaces/IModelLedger.sol";
import {IParameters, ProtocolParameters} from "./interfaces/IParameters.sol";
import {IProviderRegistry} from "./interfaces/IProviderRegistry.sol";
import {IRounds, SCORE_INVALID, SCORE_UNAVAILABLE} from "./interfaces/IRounds.sol";
import {CompactSignatures} from "./libraries/CompactSignatures.sol";
import {Packed} from "./libraries/Packed.sol";

/// Anybody brings the proof; the chain's own records decide, and what is taken waits for the appeal window in the registry.
/// DANGER: a fault that voters decide (an invalid update) pays its prover nothing: no one may earn by condemning.
contract Faults is IFaults {
    uint256 private constant BPS = 10_000;

    IProviderRegistry public immutable registry;
    IJobBoard public immutable board;
    IRounds public immutable rounds;
    IModelLedger public immutable ledger;
    IParameters public immutable parameters;

    struct Context {
        uint64 job;
        uint64 round;
        uint16 member;
        Fault fault;
    }

    mapping(uint256 job => mapping(uint256 round => mapping(uint256 member => uint256 faults))) private _proven;
    mapping(uint256 slash => Context) private _contexts;
    /// The last round of the job in which the member missed a duty; 0 once a later update has ended the row.
    mapping(uint256 job => mapping(uint256 member => uint256 round)) private _lastMiss;

    constructor(IProviderRegistry registry_, IJobBoard board_, IRounds rounds_, IModelLedger ledger_, IParameters parameters_) {
        registry = registry_;
        board = board_;
        rounds = rounds_;
        ledger = ledger_;
        parameters = parameters_;
    }

    function proveUnrevealed(uint256 job, uint256 round, uint256 member) external {
        _require(rounds.isUnrevealed(job, round, member), job, round, member, Fault.Unrevealed);
        _punish(job, round, member, Fault.Unrevealed, _rules(job).unrevealedSlashBps, msg.sender);
    }

    function proveInvalid(uint256 job, uint256 round, uint16 member, bytes32 digest, bytes32[] calldata proof) external {
        bool proven = ledger.isVerdict(job, round, member, digest, SCORE_INVALID, proof);
        _require(proven, job, round, member, Fault.InvalidUpdate);
        _punish(job, round, member, Fault.InvalidUpdate, _rules(job).invalidSlashBps, address(0));
    }

    function proveUnavailable(uint256 job, uint256 round, uint16 member, bytes32 digest, bytes32[] calldata proof) external {
        bool proven = ledger.isVerdict(job, round, member, digest, SCORE_UNAVAILABLE, proof);
        _require(proven, job, round, member, Fault.UnavailableUpdate);
        _punish(job, round, member, Fault.UnavailableUpdate, 0, address(0));
        _noteMiss(job, round, member);
    }

    function proveAbsent(uint256 job, uint256 round, uint256 seat) external {
        (uint16[] memory members, uint16 absent) = rounds.absencesOf(job, round);
        if (seat >= members.length) revert IRounds.SeatUnknown(seat);
        uint256 member = members[seat];
        _require((absent >> seat) & 1 != 0, job, round, member, Fault.Absent);
        _punish(job, round, member, Fault.Absent, _rules(job).absentSlashBps, msg.sender);
        _noteMiss(job, round, member);
    }

    function proveEquivocation(
        uint256 job,
        uint256 round,
        Slot slot,
        bytes32 first,
        bytes calldata firstSignature,
        bytes32 second,
        bytes calldata secondSignature
    ) external {
        if (first == second) revert MessagesEqual(first);
        // A key could otherwise be made to contradict itself about rounds that never were, as often as its thief likes.
        _require(round != 0 && round <= rounds.lastRoundOf(job), job, round, type(uint256).max, Fault.Equivocation);
        address provider = _signerOf(job, round, slot, first, firstSignature);
        address other = _signerOf(job, round, slot, second, secondSignature);
        _require(provider != address(0) && provider == other, job, round, type(uint256).max, Fault.Equivocation);
        uint256 member = board.memberIndexOf(job, provider);
        _punish(job, round, member, Fault.Equivocation, _rules(job).equivocationSlashBps, msg.sender);
    }

    function proveDutyDone(uint256 job, uint256 round, uint16 member, bytes32 digest, uint16 score, bytes32[] calldata proof) external {
        address provider = board.memberOf(job, member).provider;
        uint256 lastMiss = _lastMiss[job][member];
        if (lastMiss == 0 || round <= lastMiss) revert NoMissedDuties(provider);
        bool done = score < SCORE_UNAVAILABLE && ledger.isVerdict(job, round, member, digest, score, proof);
        _require(done, job, round, member, Fault.UnavailableUpdate);
        // Forgotten, so that the same update cannot end another row.
        _lastMiss[job][member] = 0;
        registry.clearMissedDuties(provider);
    }

    function faultOf(uint256 slash) external view returns (uint256 job, uint256 round, uint256 member, Fault fault) {
        Context memory its = _contexts[slash];
        return (its.job, its.round, its.member, its.fault);
    }

    function _require(bool proven, uint256 job, uint256 round, uint256 member, Fault fault) private pure {
        if (!proven) revert FaultNotProven(job, round, member, fault);
    }

    function _rules(uint256 job) private view returns (ProtocolParameters memory) {
        return parameters.parametersAt(board.jobOf(job).parametersVersion);
    }

    /// Once per (job, round, member, fault), whoever comes first.
    function _punish(uint256 job, uint256 round, uint256 member, Fault fault, uint256 bps, address prover) private {
        uint256 bit = 1 << uint256(fault);
        uint256 proven = _proven[job][round][member];
        if (proven & bit != 0) revert FaultAlreadyProven(job, round, member, fault);
        _proven[job][round][member] = proven | bit;
        Member memory its = board.memberOf(job, member);
        uint256 amount = its.stake * bps / BPS;
        uint256 slash = amount == 0 ? 0 : registry.slash(its.provider, amount, prover, board.jobOf(job).parametersVersion);
        if (slash != 0) _contexts[slash] = Context(uint64(job), uint64(round), uint16(member), fault);
        emit FaultProven(job, round, member, fault, its.provider, slash);
    }

    function _noteMiss(uint256 job, uint256 round, uint256 member) private {
        if (round > _lastMiss[job][member]) _lastMiss[job][member] = round;
        registry.recordMissedDuty(board.memberOf(job, member).provider, board.jobOf(job).parametersVersion);
    }

    function _signerOf(uint256 job, uint256 round, Slot slot, bytes32 value, bytes calldata signature) private view returns (address) {
        if (signature.length != 64) revert IRounds.LengthsDiffer(signature.length, 64);
        bytes32 domain = CompactSignatures.domainOf(address(rounds));
        (bytes32 r, bytes32 vs) = Packed.pairAt(signature, 0);
        address operator = CompactSignatures.recover(CompactSignatures.digestOf(domain, _typeOf(slot), job, round, value), r, vs);
        if (operator == address(0) || _isForgotten(operator)) return address(0);
        return registry.providerOfOperator(operator);
    }

    /// A replaced key answers for what it signed as long as the stake of that time could be unbonding, and no longer.
    function _isForgotten(address operator) private view returns (bool) {
        uint256 retiredAt = registry.operatorRetiredAt(operator);
        uint256 period = parameters.parametersAt(parameters.currentVersion()).unbondingPeriod;
        return retiredAt != 0 && block.timestamp > retiredAt + period;
    }

    function _typeOf(Slot slot) private pure returns (bytes32) {
        if (slot == Slot.UpdateCommitment) return CompactSignatures.UPDATE_COMMITMENT;
        if (slot == Slot.BallotCommitment) return CompactSignatures.BALLOT_COMMITMENT;
        return CompactSignatures.MODEL_ATTESTATION;
    }
}
