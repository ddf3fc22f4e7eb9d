// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {FailureReason, Phase} from "./interfaces/IRounds.sol";
import {Bitmaps} from "./libraries/Bitmaps.sol";
import {Committees} from "./libraries/Committees.sol";
import {Headers} from "./libraries/Headers.sol";
import {Header, IWords, JobWords, RoundState} from "./libraries/RoundState.sol";
import {RoundStore} from "./RoundStore.sol";

/// How a round moves on: opening, closing of phases, the draw, failure. Every transition is open to everybody.
/// DANGER: no caller may choose the block that seeds the draw. It is fixed when COMMIT closes, before it exists.
abstract contract RoundProgress is RoundStore {
    // Long enough for anybody to finish a round that can be finished.
    uint256 private constant ABANDONED_AFTER = 7 days;

    function advance(uint256 job) external {
        Header memory header = _load(job);
        if (header.phase == Phase.None) _start(job, header);
        else if (header.phase == Phase.Commit) _advanceCommit(job, header);
        else if (header.phase == Phase.Reveal) _advanceReveal(job, header);
        else _advanceCommittee(job, header);
        _save(job, header);
    }

    /// Nobody is at fault for what a stopped round lacks.
    function stop(uint256 job) external {
        if (msg.sender != appeals) revert NotAppeals(msg.sender);
        if (!board.stopJob(job)) return;
        Header memory header = _load(job);
        _abort(job, header, FailureReason.Stopped);
        _save(job, header);
    }

    // Commit

    function _start(uint256 job, Header memory header) private {
        if (!board.isReady(job)) revert JobNotReady(job);
        board.markRunning(job);
        uint256[29] memory its = IWords(address(board)).jobOf(job);
        uint256 feeGrace = IWords(address(parameters)).parametersAt(its[JobWords.PARAMETERS_VERSION])[JobWords.FEE_GRACE];
        InFlight storage round = _rounds[job];
        round.terms = RoundState.termsOf(its, feeGrace);
        round.prices = RoundState.pricesOf(its);
        round.coordinator = address(uint160(its[JobWords.COORDINATOR]));
        round.models[header.parent] = bytes32(its[JobWords.INITIAL_MODEL]);
        _open(job, header);
    }

    function _open(uint256 job, Header memory header) private {
        Header memory next;
        next.round = header.round + 1;
        next.phase = Phase.Commit;
        next.idles = header.idles;
        next.parent = header.parent;
        next.endsAt = block.timestamp + _rounds[job].terms.window(Phase.Commit);
        _replace(header, next);
        emit RoundOpened(job, next.round, _parentModel(job, next), uint64(next.endsAt));
    }

    function _replace(Header memory header, Header memory next) private pure {
        assembly ("memory-safe") {
            mcopy(header, next, 0x200) // sixteen fields
        }
    }

    function _advanceCommit(uint256 job, Header memory header) private {
        uint256[] memory trainers = board.trainersOf(job);
        bool enough = header.commits >= _rounds[job].terms.minTrainers();
        if (!_isOver(header) && !(enough && _haveExpectedCommitted(job, header, trainers))) {
            revert NothingToAdvance(job, header.phase, uint64(header.endsAt));
        }
        if (enough) return _closeCommit(job, header, trainers);
        _noteIdle(job, header, trainers);
        _fail(job, header, FailureReason.TooFewCommitments);
    }

    /// Whoever could be expected has committed, and most of the active trainers are among them.
    function _closeCommitIfComplete(uint256 job, Header memory header, uint256[] memory trainers) internal {
        if (header.commits < _rounds[job].terms.minTrainers()) return;
        if (_haveExpectedCommitted(job, header, trainers)) _closeCommit(job, header, trainers);
    }

    /// A minority never closes the phase: after a window that all had missed, the first few would shut the others out for ever.
    function _haveExpectedCommitted(uint256 job, Header memory header, uint256[] memory trainers) private view returns (bool) {
        uint256 active;
        for (uint256 word = 0; word < trainers.length; ++word) {
            uint256 missing = trainers[word] & ~_committedWord(job, header, word);
            if (missing != 0 && missing & ~_idleWord(job, header, word) != 0) return false;
            active += Bitmaps.count(trainers[word]);
        }
        return 2 * header.commits > active;
    }

    function _closeCommit(uint256 job, Header memory header, uint256[] memory trainers) private {
        _noteIdle(job, header, trainers);
        _startPhase(job, header, Phase.Reveal);
        _fixSeedBlock(job, header);
    }

    /// The next round does not wait for those who stayed silent in this one.
    function _noteIdle(uint256 job, Header memory header, uint256[] memory trainers) private {
        bool idles;
        for (uint256 word = 0; word < trainers.length; ++word) {
            uint256 idle = trainers[word] & ~_committedWord(job, header, word);
            if (idle != 0) idles = true;
            if (idle != 0 || header.idles) _rounds[job].idle[word] = idle;
        }
        header.idles = idles;
    }

    function _fixSeedBlock(uint256 job, Header memory header) private {
        header.seedBlock = block.number + Headers.SEED_DELAY;
        emit SeedBlockFixed(job, header.round, uint64(header.seedBlock));
    }

    // Reveal

    function draw(uint256 job, bytes calldata seedHeader) external {
        Header memory header = _load(job);
        if (header.phase != Phase.Reveal) revert PhaseWrong(job, header.phase, Phase.Reveal);
        if (header.seats != 0) revert AlreadyDrawn(job, header.round);
        if (block.number <= header.seedBlock) revert SeedPending(uint64(header.seedBlock), block.number);
        _drawCommittee(job, header, Headers.randaoOf(seedHeader, header.seedBlock));
        _closeRevealIfComplete(job, header);
        _save(job, header);
    }

    function _advanceReveal(uint256 job, Header memory header) private {
        bool over = _isOver(header);
        if (over && header.reveals < _rounds[job].terms.minTrainers()) {
            return _fail(job, header, FailureReason.TooFewReveals);
        }
        if (header.seats == 0) {
            if (_isAbandoned(header)) return _fail(job, header, FailureReason.NotDrawn);
            return _rearmSeed(job, header);
        }
        if (!over) revert NothingToAdvance(job, header.phase, uint64(header.endsAt));
        _closeReveal(job, header);
    }

    /// After the draw or a batch of reveals: nothing is missing.
    function _closeRevealIfComplete(uint256 job, Header memory header) internal {
        bool complete = header.seats != 0 && header.reveals == header.commits;
        if (header.phase == Phase.Reveal && complete) _closeReveal(job, header);
    }

    function _closeReveal(uint256 job, Header memory header) private {
        _noteUnrevealed(job, header);
        _startPhase(job, header, Phase.BallotCommit);
    }

    /// The hash of the seed block is out of reach after 256 blocks; a new block is fixed, its seed as unknown as the first.
    function _rearmSeed(uint256 job, Header memory header) private {
        if (block.number <= header.seedBlock) revert SeedPending(uint64(header.seedBlock), block.number);
        if (blockhash(header.seedBlock) != 0) revert DrawDue(uint64(header.seedBlock));
        _fixSeedBlock(job, header);
    }

    /// The round may have failed afterwards, for want of validators.
    function _drawCommittee(uint256 job, Header memory header, bytes32 randao) private {
        bytes32 seed = keccak256(abi.encode(randao, address(this), job, header.round));
        uint256 size = _rounds[job].terms.committeeSize();
        uint16[] memory members = board.drawCommittee(job, size, seed);
        // Too few to ever agree on a model.
        if (3 * members.length <= 2 * size) return _fail(job, header, FailureReason.CommitteeTooSmall);
        header.seats = members.length;
        _rounds[job].committee = Committees.pack(members);
        emit CommitteeDrawn(job, header.round, seed, members);
    }

    function _noteUnrevealed(uint256 job, Header memory header) private {
        if (header.reveals == header.commits) return;
        uint256[] memory bitmap = new uint256[](_wordsIn(header.freshCommitted));
        for (uint256 word = 0; word < bitmap.length; ++word) {
            uint256 bits = _committedWord(job, header, word) & ~_revealedWord(job, header, word);
            if (bits == 0) continue;
            bitmap[word] = bits;
            _unrevealed[job][header.round][word] = bits;
        }
        emit UnrevealedRecorded(job, header.round, bitmap);
    }

    function _wordsIn(uint256 fresh) internal pure returns (uint256 words) {
        while (fresh >> words != 0) ++words;
    }

    // Ballots, attestations

    /// Ballots that are a quorum are tallied by revealBallots, an agreed model is taken over by finalise.
    function _advanceCommittee(uint256 job, Header memory header) private {
        if (_isOver(header)) {
            bool abandoned = _isAbandoned(header);
            if (header.phase == Phase.BallotCommit) return _closeBallotCommit(job, header);
            if (header.phase == Phase.BallotReveal && (abandoned || !_isQuorum(job, header.ballotsRevealed))) {
                return _fail(job, header, FailureReason.TooFewBallots);
            }
            if (header.phase == Phase.Attest && (abandoned || !header.agreed)) {
                return _fail(job, header, FailureReason.NoModelAgreed);
            }
        }
        revert NothingToAdvance(job, header.phase, uint64(header.endsAt));
    }

    function _closeBallotCommit(uint256 job, Header memory header) private {
        if (!_isQuorum(job, header.ballotsCommitted)) return _fail(job, header, FailureReason.TooFewBallots);
        _startPhase(job, header, Phase.BallotReveal);
    }

    function _isQuorum(uint256 job, uint256 seats) internal view returns (bool) {
        return 2 * Bitmaps.count(seats) > _rounds[job].terms.committeeSize();
    }

    // Every phase

    /// A round that nobody moves on for days, because the data for it are lost or the chain's headers cannot be read, fails,
    /// so that neither escrow nor stake stays locked.
    function _isAbandoned(Header memory header) private view returns (bool) {
        return block.timestamp >= header.endsAt + ABANDONED_AFTER;
    }

    function _startPhase(uint256 job, Header memory header, Phase phase) internal {
        header.phase = phase;
        header.endsAt = block.timestamp + _rounds[job].terms.window(phase);
        emit PhaseStarted(job, header.round, phase, uint64(header.endsAt));
    }

    function _fail(uint256 job, Header memory header, FailureReason reason) internal {
        if (header.phase == Phase.Reveal && _isOver(header)) _noteUnrevealed(job, header);
        _noteAbsent(job, header);
        _abort(job, header, reason);
    }

    function _abort(uint256 job, Header memory header, FailureReason reason) private {
        emit RoundFailed(job, header.round, reason);
        board.recordFailedRound(job);
        _next(job, header);
    }

    /// A round that ended, either way, is followed by the next in the same transaction, or by none.
    function _next(uint256 job, Header memory header) internal {
        if (board.endRound(job)) return _open(job, header);
        header.phase = Phase.None;
        header.agreed = false;
    }

    function _noteAbsent(uint256 job, Header memory header) internal {
        uint256 absent = _absentSeats(header);
        if (absent == 0) return;
        _absences[job][header.round] = Committees.withSeats(_rounds[job].committee, absent);
        emit AbsenceRecorded(job, header.round, uint16(absent));
    }

    /// Only a deadline makes a seat absent: who had still time to attest when enough others had, missed nothing.
    function _absentSeats(Header memory header) private view returns (uint256 absent) {
        uint256 all = (1 << header.seats) - 1;
        if (header.phase == Phase.BallotCommit) return all & ~header.ballotsCommitted;
        if (header.phase == Phase.BallotReveal) return all & ~header.ballotsRevealed;
        if (header.phase != Phase.Attest) return 0;
        absent = all & ~header.ballotsRevealed;
        if (_isOver(header)) absent |= all & ~header.attested;
    }
}
