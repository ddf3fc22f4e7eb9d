// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RoundView} from "../../contracts/interfaces/IRoundLens.sol";
import {Phase} from "../../contracts/interfaces/IRounds.sol";
import {RoundKit} from "./support/RoundKit.sol";

/// What the lens shows of a round, step by step.
contract LensTest is RoundKit {
    uint256 private constant TRAINERS = 4;

    function setUp() public {
        deploy();
        openJob(terms(TRAINERS, 3), TRAINERS, TRAINERS, 0);
    }

    function checkPlace(Phase phase_, uint256 commits, uint256 reveals_, uint256 expected) private view {
        RoundView memory shown = current();
        assertEq(shown.job, job, "job");
        assertEq(shown.round, 1, "round");
        assertEq(uint256(shown.phase), uint256(phase_), "phase");
        assertEq(shown.committeeSize, 3, "committee size");
        assertEq(shown.commits, commits, "commits");
        assertEq(shown.batches, commits == 0 ? 0 : 1, "batches");
        assertEq(shown.reveals, reveals_, "reveals");
        assertEq(shown.expected, expected, "expected");
        assertEq(shown.parentModel, INITIAL_MODEL, "parent");
    }

    function test_trainers_step_by_step() public {
        checkPlace(Phase.Commit, 0, 0, TRAINERS);
        assertEq(current().committedBitmap.length, 0, "nobody");
        commit(1, both(1, 3));
        checkPlace(Phase.Commit, 2, 0, TRAINERS);
        assertEq(current().committedBitmap[0], 10, "two");
        assertEq(current().committedBitmap.length, 1, "one word");
        assertEq(current().revealedBitmap[0], 0, "none revealed");
        vm.warp(current().endsAt);
        rounds.advance(job);
        checkPlace(Phase.Reveal, 2, 0, 2);
        seed();
        reveal(1, 0, both(1, 3), 1);
        checkPlace(Phase.Reveal, 2, 1, 2);
        assertEq(current().committee.length, 3, "drawn");
        assertEq(current().revealedBitmap[0], 2, "one revealed");
        reveal(1, 0, both(1, 3), 2);
        checkPlace(Phase.BallotCommit, 2, 2, 2);
        assertEq(current().revealedBitmap[0], 10, "both revealed");
    }

    /// Half of the active are idle: one more than these must come, since half decides nothing.
    function test_half_are_not_enough_to_expect() public {
        commit(1, both(1, 3));
        for (uint256 phases = 0; phases < 2; ++phases) {
            vm.warp(current().endsAt);
            rounds.advance(job);
        }
        assertEq(current().round, 2, "nobody revealed");
        assertEq(current().expected, 3, "expected");
    }

    function test_the_last_rounds_reveals_are_not_this_ones() public {
        whole(1, TRAINERS);
        commit(2, both(0, 2));
        assertEq(current().committedBitmap[0], 5, "committed");
        assertEq(current().revealedBitmap[0], 0, "nobody has revealed");
    }

    function checkSeats(uint256 committed, uint256 opened, uint256 attested) private view {
        RoundView memory shown = current();
        assertEq(shown.ballotsCommitted, committed, "sealed");
        assertEq(shown.ballotsRevealed, opened, "opened");
        assertEq(shown.attested, attested, "attested");
    }

    function test_judges_step_by_step() public {
        toBallots(1, TRAINERS);
        checkSeats(0, 0, 0);
        commitBallots(1, only(1));
        checkSeats(2, 0, 0);
        commitBallots(1, both(0, 2));
        checkSeats(7, 0, 0);
        revealBallots(1, only(2));
        checkSeats(7, 4, 0);
        revealBallots(1, range(0, 3));
        checkSeats(7, 7, 0);
        attest(1, modelOf(1), only(1));
        checkSeats(7, 7, 2);
        assertEq(current().agreedModel, bytes32(0), "one of three");
        attest(1, modelOf(1), both(0, 2));
        checkSeats(7, 7, 7);
        assertEq(current().agreedModel, modelOf(1), "all");
    }
}
