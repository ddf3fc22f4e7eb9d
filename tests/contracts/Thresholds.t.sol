// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobBoard, JobParameters} from "../../contracts/interfaces/IJobBoard.sol";
import {FailureReason, IRounds, Phase} from "../../contracts/interfaces/IRounds.sol";
import {VerdictTree} from "../../contracts/libraries/VerdictTree.sol";
import {RoundKit} from "./support/RoundKit.sol";
import {Vm} from "./support/Test.sol";

/// What happens exactly at a limit: the seed block itself, just enough commitments, two thirds of the seats, and member 0,
/// whose bit is the word's lowest.
contract ThresholdsTest is RoundKit {
    uint256 private constant TRAINERS = 4;

    function setUp() public {
        deploy();
        openJob(terms(TRAINERS, 3), TRAINERS, 3, 0);
    }

    function pastDeadline() private {
        vm.warp(current().endsAt);
    }

    function others() private pure returns (uint256[] memory) {
        return range(1, TRAINERS);
    }

    function test_nothing_is_drawn_or_armed_again_in_the_seed_block() public {
        commit(1, range(0, TRAINERS));
        uint64 seedBlock = current().seedBlock;
        vm.roll(seedBlock);
        bytes memory pending = abi.encodeWithSelector(IRounds.SeedPending.selector, seedBlock, seedBlock);
        vm.expectRevert(pending);
        rounds.draw(job, headerOf(seedBlock));
        vm.expectRevert(pending);
        rounds.advance(job);
        assertEq(current().seedBlock, seedBlock, "the same");
    }

    function test_too_few_trainers_close_nothing_by_being_all() public {
        for (uint256 i = 1; i < TRAINERS; ++i) quit(i);
        commit(1, only(0));
        assertEq(phase(), uint256(Phase.Commit), "one of at least two");
    }

    function test_just_enough_trainers_close_by_being_all() public {
        quit(2);
        quit(3);
        commit(1, range(0, 2));
        assertEq(phase(), uint256(Phase.Reveal), "two of at least two");
    }

    function test_member_0_is_not_waited_for_twice() public {
        commit(1, others());
        pastDeadline();
        rounds.advance(job);
        seed();
        reveal(1, 0, others(), all(3));
        judge();
        commitBallots(1, range(0, 3));
        revealBallots(1, range(0, 3));
        attest(1, modelOf(1), range(0, 3));
        finalise(1);
        assertEq(current().expected, 3, "all but one");
        commit(2, others());
        assertEq(phase(), uint256(Phase.Reveal), "closed");
    }

    function test_member_0_is_held_to_its_commitment() public {
        toReveal(1, TRAINERS);
        reveal(1, 0, range(0, TRAINERS), 14);
        pastDeadline();
        rounds.advance(job);
        assertTrue(rounds.isUnrevealed(job, 1, 0), "unrevealed");
    }

    function test_two_thirds_of_the_seats_are_no_committee() public {
        quit(2); // the third judge
        uint256[] memory who = new uint256[](3);
        (who[0], who[1], who[2]) = (0, 1, 3);
        commit(1, who);
        seed();
        bytes memory header = headerOf(current().seedBlock);
        vm.expectEmit(address(rounds));
        emit IRounds.RoundFailed(job, 1, FailureReason.CommitteeTooSmall);
        rounds.draw(job, header);
    }

    function test_a_round_in_which_all_is_done_records_no_fault() public {
        vm.recordLogs();
        whole(1, TRAINERS);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            assertTrue(logs[i].topics[0] != IRounds.UnrevealedRecorded.selector, "unrevealed");
            assertTrue(logs[i].topics[0] != IRounds.AbsenceRecorded.selector, "absent");
        }
        (uint16[] memory seated,) = rounds.absencesOf(job, 1);
        assertEq(seated.length, 0, "nobody");
    }

    function test_the_first_seat_alone_is_absent() public {
        toBallots(1, TRAINERS);
        commitBallots(1, range(1, 3));
        pastDeadline();
        rounds.advance(job);
        revealBallots(1, range(1, 3));
        attest(1, modelOf(1), range(0, 3));
        finalise(1);
        (, uint16 absent) = rounds.absencesOf(job, 1);
        assertEq(absent, 1, "seat 0");
    }

    function test_two_thirds_of_the_seats_agree_on_nothing() public {
        toAttest(1, TRAINERS);
        attest(1, modelOf(1), range(0, 2));
        assertEq(current().agreedModel, bytes32(0), "two of three");
        attest(1, modelOf(1), only(2));
        assertEq(current().agreedModel, modelOf(1), "three of three");
    }

    function test_the_first_member_of_a_word_that_no_trainer_has() public {
        refuse(abi.encodeWithSelector(IRounds.NotTrainer.selector, 256));
        commit(1, only(256));
    }

    function test_who_has_revealed_before_is_named() public {
        toReveal(1, TRAINERS);
        reveal(1, 0, range(0, TRAINERS), 4);
        refuse(abi.encodeWithSelector(IRounds.AlreadyRevealed.selector, 2));
        reveal(1, 0, range(0, TRAINERS), 5);
    }

    function test_reveals_in_two_calls_make_one_tree() public {
        toReveal(1, TRAINERS);
        reveal(1, 0, range(0, TRAINERS), 10);
        reveal(1, 0, range(0, TRAINERS), 5);
        judge();
        commitBallots(1, range(0, 3));
        revealBallots(1, range(0, 3));
        attest(1, modelOf(1), range(0, 3));
        (bytes memory scores,) = expectedTally();
        bytes32[] memory leaves = new bytes32[](TRAINERS);
        for (uint256 i = 0; i < TRAINERS; ++i) {
            leaves[i] = VerdictTree.leafOf(i, updateOf(1, i), uint256(uint8(scores[2 * i])) << 8 | uint8(scores[2 * i + 1]));
        }
        bytes32 settlement = settlementLeaf(7, TRAINERS);
        finalise(1);
        assertEq(ledger.verdictRootOf(job, 1), VerdictTree.pair(VerdictTree.rootOf(leaves), settlement), "root");
    }

    /// Whoever is named twice is left out once.
    function test_a_jury_leaves_each_out_once() public view {
        uint16[] memory excluded = new uint16[](4);
        (excluded[0], excluded[1], excluded[2], excluded[3]) = (1, 1, 3, 1);
        for (uint256 seed_ = 0; seed_ < 8; ++seed_) {
            uint16[] memory drawn = board.drawJury(job, 3, bytes32(seed_), excluded);
            assertEq(drawn.length, 2, "jurors");
            assertEq(uint256(drawn[0]) + drawn[1], 2, "0 and 2");
            assertTrue(drawn[0] != drawn[1], "not one twice");
        }
    }

    /// It had nothing to judge yet.
    function test_no_committee_is_absent_from_a_round_that_trainers_fail() public {
        toReveal(1, TRAINERS);
        draw();
        assertEq(seatMembers().length, 3, "drawn");
        pastDeadline();
        rounds.advance(job);
        assertEq(current().round, 2, "too few reveals");
        (uint16[] memory seated, uint16 absent) = rounds.absencesOf(job, 1);
        assertEq(seated.length, 0, "nobody");
        assertEq(absent, 0, "absent");
    }

    function test_after_the_last_round_no_model_waits() public {
        for (uint256 round = 1; round <= 3; ++round) {
            whole(round, TRAINERS);
        }
        assertEq(phase(), uint256(Phase.None), "over");
        assertEq(current().agreedModel, bytes32(0), "agreed");
        assertEq(current().parentModel, modelOf(3), "the last");
        assertFalse(rounds.isEngaged(job, 3), "nobody is waited for");
        vm.warp(block.timestamp + 1 hours);
        quit(3);
    }

    /// It does not judge.
    function test_a_trainer_is_engaged_from_its_commitment_on() public {
        assertFalse(rounds.isEngaged(job, 3), "before");
        commit(1, only(3));
        assertTrue(rounds.isEngaged(job, 3), "after");
        refuse(abi.encodeWithSelector(IJobBoard.MemberEngaged.selector, job, 3));
        quit(3);
    }
}

/// Every phase has a window of its own length.
contract WindowsTest is RoundKit {
    uint256 private constant TRAINERS = 4;

    function setUp() public {
        deploy();
        JobParameters memory wanted = terms(TRAINERS, 3);
        (wanted.commitWindow, wanted.revealWindow, wanted.attestWindow) = (101, 203, 509);
        (wanted.ballotCommitWindow, wanted.ballotRevealWindow) = (307, 401);
        openJob(wanted, TRAINERS, TRAINERS, 0);
    }

    function checkWindow(uint256 window) private view {
        assertEq(current().endsAt, block.timestamp + window, "deadline");
    }

    function test_each_phase_lasts_as_long_as_the_job_says() public {
        checkWindow(101);
        commit(1, range(0, TRAINERS));
        checkWindow(203);
        seed();
        reveal(1, 0, range(0, TRAINERS), all(TRAINERS));
        checkWindow(307);
        judge();
        commitBallots(1, range(0, 3));
        checkWindow(401);
        revealBallots(1, range(0, 3));
        checkWindow(509);
        attest(1, modelOf(1), range(0, 3));
        finalise(1);
        checkWindow(101);
    }
}
