// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobParameters} from "../../../contracts/interfaces/IJobBoard.sol";
import {RoundView} from "../../../contracts/interfaces/IRoundLens.sol";
import {Phase} from "../../../contracts/interfaces/IRounds.sol";
import {JobActions} from "./JobActions.sol";

/// Follows the round in flight from outside: which messages it took, which phases it went through, who failed at what.
abstract contract RoundWatch is JobActions {
    struct Seen {
        uint256 job;
        uint256 round;
        uint256 phase;
        uint256 endsAt;
        uint256 committed; // a bit per member
        uint256 revealed;
        uint256 ballots; // a bit per seat
        uint256 copied; // seats whose ballot commitment is another's
        uint256 opened;
        uint256 attested;
        uint256 agreeing; // seats that attested the model all others attest
        uint256 talliedAt;
    }

    Seen internal seen;
    uint256[][] internal batches;
    mapping(uint256 job => mapping(uint256 round => uint256 members)) internal unrevealedIn;
    mapping(uint256 job => mapping(uint256 round => uint256 seats)) internal absentIn;
    mapping(uint256 job => mapping(uint256 round => uint16[])) internal committeeIn;
    mapping(uint256 job => uint256) internal lastRound;
    mapping(uint256 job => bool) internal isStopped; // by an appeal, in the midst of a round

    function isBusy(uint256 member) internal view override returns (bool) {
        if (seen.job != job || seen.phase == 0) return false;
        if (seen.committed >> member & 1 != 0) return true;
        for (uint256 seat = 0; seat < committee.length; ++seat) {
            if (committee[seat] == member) return true;
        }
        return false;
    }

    /// After everything that happens.
    function look() internal {
        if (job == 0) return;
        RoundView memory now_ = current();
        if (seen.job != job) {
            _forgetRound();
            delete seen;
            seen.job = job;
        }
        if (now_.round == seen.round && uint256(now_.phase) == seen.phase) return _lookAtSame(now_);
        _leavePhase(now_);
        _enterPhase(now_);
    }

    function _lookAtSame(RoundView memory now_) private {
        if (now_.phase == Phase.None) return;
        if (now_.endsAt != seen.endsAt) blame(7, "a deadline moved");
        _lookAtMessages(now_);
    }

    function _lookAtMessages(RoundView memory now_) private {
        if (now_.ballotsCommitted != seen.ballots) blame(6, "other ballots are committed than were given");
        if (now_.ballotsRevealed != seen.opened) blame(6, "other ballots are open than were given");
        if (now_.ballotsRevealed & ~now_.ballotsCommitted != 0) blame(6, "a ballot is open that was never committed");
        if (now_.attested != seen.attested) blame(8, "others attested than signed");
        if (now_.committedBitmap.length != 0 && now_.committedBitmap[0] != seen.committed) blame(8, "others committed than signed");
        if (committee.length == 0 && now_.committee.length != 0) committee = now_.committee;
        if (committee.length != now_.committee.length) blame(9, "the committee changed");
        for (uint256 seat = 0; seat < committee.length; ++seat) {
            if (committee[seat] != now_.committee[seat]) blame(9, "the committee changed");
        }
    }

    function _leavePhase(RoundView memory now_) private {
        bool over = time() >= seen.endsAt;
        bool sameRound = now_.round == seen.round && now_.phase != Phase.None;
        if (now_.round < seen.round || now_.round > seen.round + 1) blame(7, "rounds do not follow one another");
        if (sameRound && uint256(now_.phase) != seen.phase + 1) blame(7, "phases do not follow one another");
        if (isStopped[job]) return _forgetRound();
        if (!over && !sameRound && seen.phase == uint256(Phase.Commit)) blame(7, "a round ended before its commit phase");
        if (seen.phase == uint256(Phase.Reveal) && over) unrevealedIn[job][seen.round] = seen.committed & ~seen.revealed;
        if (sameRound) return;
        note(_ends()[seen.phase]);
        absentIn[job][seen.round] = _absent(over);
        committeeIn[job][seen.round] = committee;
        _forgetRound();
    }

    function _absent(bool over) private view returns (uint256 seats) {
        uint256 all_ = (1 << committee.length) - 1;
        if (seen.phase == uint256(Phase.BallotCommit)) return all_ & ~seen.ballots;
        if (seen.phase == uint256(Phase.BallotReveal)) return all_ & ~seen.opened;
        if (seen.phase != uint256(Phase.Attest)) return 0;
        seats = all_ & ~seen.opened;
        if (over) seats |= all_ & ~seen.attested;
    }

    /// How a round that ended in this phase ended, or the job began.
    function _ends() private pure returns (string[6] memory) {
        return ["started", "failed in COMMIT", "failed in REVEAL", "failed in BALLOT COMMIT", "failed in BALLOT REVEAL", "ended in ATTEST"];
    }

    function _forgetRound() private {
        forget();
        delete batches;
        delete seals;
        delete committee;
        (seen.committed, seen.revealed, seen.ballots, seen.copied) = (0, 0, 0, 0);
        (seen.opened, seen.attested, seen.agreeing) = (0, 0, 0);
    }

    function _enterPhase(RoundView memory now_) private {
        (seen.round, seen.phase, seen.endsAt) = (now_.round, uint256(now_.phase), now_.endsAt);
        lastRound[job] = now_.round;
        if (now_.phase == Phase.Attest) seen.talliedAt = time();
        if (now_.phase == Phase.None) {
            if (now_.round != 0 && !isOver(job)) blame(7, "no round, and the job is not over");
            return;
        }
        if (now_.endsAt != time() + _window(now_.phase)) blame(9, "a window is not the one the job asked for");
        _lookAtMessages(now_);
    }

    function _window(Phase phase_) private view returns (uint256) {
        JobParameters storage wanted = asked[job];
        if (phase_ == Phase.Commit) return wanted.commitWindow;
        if (phase_ == Phase.Reveal) return wanted.revealWindow;
        if (phase_ == Phase.BallotCommit) return wanted.ballotCommitWindow;
        if (phase_ == Phase.BallotReveal) return wanted.ballotRevealWindow;
        return wanted.attestWindow;
    }
}
