// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobState} from "../../contracts/interfaces/IJobBoard.sol";
import {FailureReason, IRounds, Phase} from "../../contracts/interfaces/IRounds.sol";
import {RoundKit} from "./support/RoundKit.sol";

/// Every way in which a round fails: nobody is paid, nothing is lost, the next one opens under a number of its own.
contract RoundFailuresTest is RoundKit {
    uint256 private constant TRAINERS = 6;

    function setUp() public {
        deploy();
        openJob(terms(TRAINERS, 5), TRAINERS, 5, 0);
    }

    function pastDeadline() private {
        vm.warp(current().endsAt);
    }

    function expectFailure(FailureReason reason) private {
        vm.expectEmit(address(rounds));
        emit IRounds.RoundFailed(job, current().round, reason);
    }

    function failed(uint256 round) private {
        assertEq(current().round, round + 1, "a number of its own");
        assertEq(phase(), uint256(Phase.Commit), "open");
        assertEq(current().parentModel, INITIAL_MODEL, "same parent");
        assertEq(board.jobOf(job).failedRounds, round, "counted");
        assertEq(board.jobOf(job).escrow, 3 * PRICE, "nothing spent");
        forget();
    }

    function absentIn(uint256 round) private view returns (uint256) {
        (, uint16 absent) = rounds.absencesOf(job, round);
        return absent;
    }

    function test_too_few_commitments() public {
        commit(1, only(0));
        pastDeadline();
        expectFailure(FailureReason.TooFewCommitments);
        rounds.advance(job);
        failed(1);
        assertFalse(rounds.isUnrevealed(job, 1, 0), "it had no time to reveal");
        assertEq(current().expected, 4, "the silent are not waited for, but a minority decides nothing");
        commit(2, range(0, 3));
        assertEq(phase(), uint256(Phase.Commit), "half of them shut out nobody");
        commit(2, only(3));
        assertEq(phase(), uint256(Phase.Reveal), "enough");
    }

    function abandon(FailureReason reason) private {
        uint64 endedAt = current().endsAt;
        vm.warp(endedAt + 7 days - 1);
        vm.expectRevert(abi.encodeWithSelector(IRounds.NothingToAdvance.selector, job, current().phase, endedAt));
        rounds.advance(job);
        vm.warp(endedAt + 7 days);
        expectFailure(reason);
        rounds.advance(job);
        failed(1);
    }

    function test_a_committee_that_nobody_draws() public {
        toReveal(1, TRAINERS);
        uint64 seedBlock = current().seedBlock;
        vm.setBlockhash(seedBlock, keccak256("of a header that nobody can read"));
        reveal(1, 0, range(0, TRAINERS), 0x3f);
        uint64 endedAt = current().endsAt;
        vm.warp(endedAt + 7 days - 1);
        vm.expectRevert(abi.encodeWithSelector(IRounds.DrawDue.selector, seedBlock));
        rounds.advance(job);
        vm.warp(endedAt + 7 days);
        expectFailure(FailureReason.NotDrawn);
        rounds.advance(job);
        failed(1);
        whole(2, TRAINERS);
    }

    function test_ballots_that_nobody_tallies() public {
        toBallotReveal(1, TRAINERS);
        revealBallots(1, range(0, 3));
        abandon(FailureReason.TooFewBallots);
        whole(2, TRAINERS);
        assertEq(board.jobOf(job).finalisedRounds, 1, "the job goes on");
    }

    function test_an_agreed_model_that_nobody_finalises() public {
        toAttest(1, TRAINERS);
        attest(1, modelOf(1), range(0, 4));
        abandon(FailureReason.NoModelAgreed);
        whole(2, TRAINERS);
        assertEq(current().parentModel, modelOf(2), "not the abandoned one");
    }

    function test_too_few_reveals() public {
        toReveal(1, TRAINERS);
        reveal(1, 0, range(0, TRAINERS), 1 << 2);
        pastDeadline();
        uint256[] memory bitmap = new uint256[](1);
        bitmap[0] = 0x3b;
        vm.expectEmit(address(rounds));
        emit IRounds.UnrevealedRecorded(job, 1, bitmap);
        expectFailure(FailureReason.TooFewReveals);
        rounds.advance(job);
        failed(1);
        for (uint256 i = 0; i < TRAINERS; ++i) {
            assertEq(rounds.isUnrevealed(job, 1, i), i != 2, "unrevealed");
        }
    }

    function test_too_few_reveals_before_the_draw() public {
        commit(1, range(0, TRAINERS));
        pastDeadline();
        expectFailure(FailureReason.TooFewReveals);
        rounds.advance(job);
        failed(1);
        assertFalse(rounds.isDrawPending(job), "no draw is pending");
        whole2();
    }

    function whole2() private {
        toAttest(2, TRAINERS);
        attest(2, modelOf(2), range(0, 5));
        finalise(2);
    }

    function test_enough_reveals_but_no_draw_waits_for_the_seed() public {
        commit(1, range(0, TRAINERS));
        reveal(1, 0, range(0, TRAINERS), 3);
        pastDeadline();
        vm.expectRevert(abi.encodeWithSelector(IRounds.SeedPending.selector, current().seedBlock, block.number));
        rounds.advance(job);
        seed();
        draw();
        rounds.advance(job);
        assertEq(phase(), uint256(Phase.BallotCommit), "drawn and closed");
        assertTrue(rounds.isUnrevealed(job, 1, 2), "unrevealed");
        assertFalse(rounds.isUnrevealed(job, 1, 1), "revealed");
    }

    function test_committee_too_small() public {
        quit(4);
        quit(3);
        commit(1, range(0, 3));
        pastDeadline();
        rounds.advance(job);
        seed();
        // Three validators of five seats can be a quorum, but never agree.
        bytes memory header = headerOf(current().seedBlock);
        expectFailure(FailureReason.CommitteeTooSmall);
        rounds.draw(job, header);
        failed(1);
    }

    function test_a_committee_one_short_still_agrees() public {
        quit(4);
        uint256[] memory who = new uint256[](5);
        (who[0], who[1], who[2], who[3], who[4]) = (0, 1, 2, 3, 5);
        commit(1, who);
        seed();
        reveal(1, 0, who, all(5));
        judge();
        assertEq(committee.length, 4, "seats");
        commitBallots(1, range(0, 4));
        revealBallots(1, range(0, 4));
        attest(1, modelOf(1), range(0, 4));
        finalise(1);
        assertEq(current().round, 2, "next");
    }

    function test_too_few_ballots_committed() public {
        toBallots(1, TRAINERS);
        commitBallots(1, both(0, 3));
        pastDeadline();
        vm.expectEmit(address(rounds));
        emit IRounds.AbsenceRecorded(job, 1, 22);
        expectFailure(FailureReason.TooFewBallots);
        rounds.advance(job);
        failed(1);
        assertEq(absentIn(1), 22, "absent");
    }

    function test_too_few_ballots_revealed() public {
        toBallots(1, TRAINERS);
        commitBallots(1, range(0, 4));
        pastDeadline();
        rounds.advance(job);
        revealBallots(1, range(0, 2));
        pastDeadline();
        expectFailure(FailureReason.TooFewBallots);
        rounds.advance(job);
        failed(1);
        assertEq(absentIn(1), 28, "absent");
    }

    function test_nothing_verified() public {
        toBallots(1, TRAINERS);
        for (uint256 seat = 0; seat < 5; ++seat) {
            for (uint256 i = 0; i < TRAINERS; ++i) {
                ballots[seat][i] = i < 3 ? 65535 : 0;
            }
        }
        commitBallots(1, range(0, 4));
        pastDeadline();
        rounds.advance(job);
        expectFailure(FailureReason.NothingVerified);
        revealBallots(1, range(0, 4));
        failed(1);
        assertEq(absentIn(1), 16, "absent");
    }

    function test_no_model_agreed() public {
        toAttest(1, TRAINERS);
        attest(1, modelOf(1), range(0, 3));
        attest(1, modelOf(2), only(3));
        pastDeadline();
        expectFailure(FailureReason.NoModelAgreed);
        rounds.advance(job);
        failed(1);
        assertEq(absentIn(1), 16, "absent");
        whole2();
    }

    function test_who_had_still_time_to_attest_missed_nothing() public {
        toAttest(1, TRAINERS);
        attest(1, modelOf(1), range(0, 4));
        finalise(1);
        assertEq(absentIn(1), 0, "in time");
        toAttest(2, TRAINERS);
        attest(2, modelOf(2), range(0, 4));
        pastDeadline();
        finalise(2);
        assertEq(absentIn(2), 16, "at the deadline");
    }

    function test_a_job_that_fails_too_often_is_exhausted_and_refunded() public {
        for (uint256 round = 1; round <= 4; ++round) {
            assertEq(current().round, round, "round");
            pastDeadline();
            rounds.advance(job);
        }
        assertEq(uint256(board.jobOf(job).state), uint256(JobState.Exhausted), "state");
        assertEq(phase(), uint256(Phase.None), "phase");
        assertEq(board.refund(job), 3 * PRICE, "refund");
        assertFalse(rounds.isEngaged(job, 0), "free");
        refuse(abi.encodeWithSelector(IRounds.PhaseWrong.selector, job, Phase.None, Phase.Commit));
        commit(4, only(0));
    }

    /// However the phases go, they only ever go on: the round number and the phase never step back.
    function testFuzz_phases_are_monotone(uint256 random) public {
        uint256 before = current().round * 8 + phase();
        for (uint256 step = 0; step < 12 && phase() != uint256(Phase.None); ++step) {
            move(uint256(keccak256(abi.encode(random, step))));
            uint256 now_ = current().round * 8 + phase();
            assertGe(now_, phase() == 0 ? 0 : before, "monotone");
            before = now_;
        }
    }

    function move(uint256 random) private {
        uint256 round = current().round;
        if (random % 3 == 0) {
            pastDeadline();
            if (current().seedBlock != 0 && current().seedBlock <= block.number) {
                seed();
                draw();
            }
            try rounds.advance(job) {} catch {}
            if (current().round != round) forget();
            return;
        }
        vm.roll(block.number + 2);
        if (phase() == uint256(Phase.Commit) && current().commits == 0) commit(round, range(0, TRAINERS));
        else if (phase() == uint256(Phase.Reveal) && current().reveals == 0) {
            seed();
            reveal(round, 0, range(0, TRAINERS), all(TRAINERS));
        } else if (phase() == uint256(Phase.BallotCommit) && current().ballotsCommitted == 0) {
            judge();
            commitBallots(round, range(0, 5));
        } else if (phase() == uint256(Phase.BallotReveal)) {
            revealBallots(round, range(0, 5));
        } else if (phase() == uint256(Phase.Attest)) {
            attest(round, modelOf(round), range(0, 5));
            finalise(round);
        }
    }
}
