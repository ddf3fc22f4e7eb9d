// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobBoard, JobParameters} from "../../contracts/interfaces/IJobBoard.sol";
import {Phase} from "../../contracts/interfaces/IRounds.sol";
import {TRAINER, VALIDATOR} from "../../contracts/interfaces/IProviderRegistry.sol";
import {VerdictTree} from "../../contracts/libraries/VerdictTree.sol";
import {RoundKit} from "./support/RoundKit.sol";
import {Vm} from "./support/Test.sol";

/// Judges who train too, and whose bits lie on both sides of a word's end.
contract JudgesBeyondTheFirstWordTest is RoundKit {
    uint256 private constant TRAINERS = 260;

    function setUp() public {
        deploy();
        openJob(terms(TRAINERS, 5), TRAINERS, 5, 0);
    }

    /// The last ones judge: 255 to 259.
    function rolesOf(uint256 i, uint256 trainers, uint256 validators) internal pure override returns (uint8) {
        return i + validators < trainers ? TRAINER : TRAINER | VALIDATOR;
    }

    function test_no_judge_counts_for_its_own_update() public {
        uint256[] memory first = range(1, 130); // without 1: the first word is not full
        first[0] = 0;
        commit(1, first);
        commit(1, range(130, TRAINERS));
        vm.warp(current().endsAt);
        rounds.advance(job);
        seed();
        reveal(1, 0, first, all(129));
        reveal(1, 1, range(130, TRAINERS), all(130));
        judge();
        for (uint256 seat = 0; seat < 5; ++seat) {
            assertTrue(committee[seat] > 254, "one of the last");
            ballots[seat][committee[seat] - 1] = 9000;
        }
        commitBallots(1, range(0, 5));
        revealBallots(1, range(0, 5));
        attest(1, modelOf(1), range(0, 5));
        finalise(1); // with the scores and shares that the plain tally gives
        assertEq(ledger.modelOf(job, 1), modelOf(1), "model");
    }
}

/// The first members judge, the others train: judges are paid before trainers, and each its own.
contract JudgesBeforeTrainersTest is RoundKit {
    uint256 private constant TRAINERS = 4;

    function rolesOf(uint256 i, uint256, uint256 validators) internal pure override returns (uint8) {
        return i < validators ? VALIDATOR : TRAINER;
    }

    /// Up to the ballots, which a test may still change.
    function openWith(uint256 seats, uint256 price) private {
        deploy();
        JobParameters memory wanted = terms(TRAINERS, uint8(seats));
        wanted.pricePerRound = uint128(price);
        openJob(wanted, TRAINERS + seats, seats, 0);
        uint256[] memory trainers = range(seats, seats + TRAINERS);
        commit(1, trainers);
        seed();
        reveal(1, 0, trainers, all(TRAINERS));
        judge();
    }

    function settleWith(uint256 seats) private {
        commitBallots(1, range(0, seats));
        revealBallots(1, range(0, seats));
        attest(1, modelOf(1), range(0, seats));
    }

    function credits(uint256 seats) private {
        openWith(seats, PRICE);
        settleWith(seats);
        (bytes memory scores, bytes memory shares) = expectedTally();
        finalise(1);
        checkTrainers(scores, seats);
        for (uint256 seat = 0; seat < seats; ++seat) {
            uint256 due = PRICE / 5 / seats * at(shares, seat) / 10_000; // validatorShareBps 2000
            assertEq(board.memberOf(job, committee[seat]).credit, due / quantum() * quantum(), "judge");
        }
    }

    function checkTrainers(bytes memory scores, uint256 seats) private view {
        uint256 pool = PRICE - PRICE / 5 - PRICE / 20; // less validatorShareBps and coordinatorShareBps
        uint256 sum;
        for (uint256 i = 0; i < TRAINERS; ++i) {
            sum += at(scores, i);
        }
        for (uint256 i = 0; i < TRAINERS; ++i) {
            assertEq(board.memberOf(job, seats + i).credit, pool * at(scores, i) / (sum * quantum()) * quantum(), "trainer");
        }
    }

    function quantum() private view returns (uint256) {
        return board.jobOf(job).quantum;
    }

    function at(bytes memory packed, uint256 i) private pure returns (uint256) {
        return uint256(uint8(packed[2 * i])) << 8 | uint8(packed[2 * i + 1]);
    }

    function test_a_seat_that_earned_nothing_is_not_in_the_payments() public {
        openWith(3, PRICE);
        ballots[1][0] = 60_000; // alone with it, and further off than all that was verified
        settleWith(3);
        vm.recordLogs();
        finalise(1);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IJobBoard.RoundSettled.selector) continue;
            (bytes memory payments,,,) = abi.decode(logs[i].data, (bytes, address, uint256, uint256));
            assertEq(payments.length, 6 * (TRAINERS + 2), "payments");
        }
        assertEq(board.memberOf(job, committee[1]).credit, 0, "nothing");
    }

    /// 15 wei: one for each of three seats, three for each of four updates.
    function test_a_single_unit_is_paid() public {
        openWith(3, 15);
        for (uint256 seat = 0; seat < 3; ++seat) {
            for (uint256 i = 0; i < TRAINERS; ++i) ballots[seat][i] = 100;
        }
        settleWith(3);
        finalise(1);
        for (uint256 i = 0; i < 3; ++i) assertEq(board.memberOf(job, i).credit, 1, "judge");
        for (uint256 i = 3; i < 7; ++i) assertEq(board.memberOf(job, i).credit, 3, "trainer");
    }

    function test_three_judges_and_four_trainers_are_paid_apart() public {
        credits(3);
    }

    function test_a_lone_judge_is_paid() public {
        credits(1);
    }
}

contract LoneTrainerTest is RoundKit {
    function test_one_verdict_is_a_tree() public {
        deploy();
        JobParameters memory wanted = terms(1, 1);
        wanted.minTrainers = 1;
        openJob(wanted, 1, 0, 1);
        toAttest(1, 1);
        attest(1, modelOf(1), only(0));
        (bytes memory scores,) = expectedTally();
        bytes32 leaf = VerdictTree.leafOf(0, updateOf(1, 0), uint256(uint16(bytes2(scores))));
        bytes32 settlement = settlementLeaf(1, 1);
        finalise(1);
        assertEq(ledger.verdictRootOf(job, 1), VerdictTree.pair(leaf, settlement), "root");
    }
}

contract FifteenSeatsTest is RoundKit {
    uint256 private constant TRAINERS = 15;

    function setUp() public {
        deploy();
        openJob(terms(TRAINERS, 15), TRAINERS, TRAINERS, 0);
    }

    function test_the_largest_committee_judges_a_round() public {
        whole(1, TRAINERS);
        assertEq(ledger.modelOf(job, 1), modelOf(1), "model");
        assertEq(current().round, 2, "the next round");
        for (uint256 i = 0; i < TRAINERS; ++i) {
            assertTrue(board.memberOf(job, i).credit > 0, "paid");
        }
    }

    /// Special scores, none, and the least: what an update earned comes on top of what its maker's seat did.
    function test_a_judge_is_paid_for_its_seat_whatever_its_update_is_worth() public {
        toBallots(1, TRAINERS);
        for (uint256 seat = 0; seat < 15; ++seat) {
            for (uint256 i = 0; i < TRAINERS; ++i) {
                ballots[seat][i] = 1;
            }
            (ballots[seat][5], ballots[seat][6], ballots[seat][7]) = (65535, 65534, 0);
        }
        commitBallots(1, range(0, 15));
        revealBallots(1, range(0, 15));
        attest(1, modelOf(1), range(0, 15));
        finalise(1);
        uint256 quantum = board.jobOf(job).quantum;
        uint256 fromSeat = PRICE / 5 / 15 / quantum; // all agree, so every seat has its full share
        uint256 fromUpdate = (PRICE - PRICE / 5 - PRICE / 20) / 12 / quantum;
        for (uint256 i = 0; i < TRAINERS; ++i) {
            uint256 units = i >= 5 && i <= 7 ? fromSeat : fromSeat + fromUpdate;
            assertEq(board.memberOf(job, i).credit, units * quantum, "credit");
        }
    }

    function test_each_of_fifteen_can_be_absent() public {
        toBallots(1, TRAINERS);
        commitBallots(1, range(0, 14));
        vm.warp(current().endsAt);
        rounds.advance(job);
        revealBallots(1, range(0, 14));
        attest(1, modelOf(1), range(0, 15));
        finalise(1);
        (uint16[] memory seated, uint16 absent) = rounds.absencesOf(job, 1);
        assertEq(seated.length, 15, "seats");
        assertEq(absent, 1 << 14, "the last");
        faults.proveAbsent(job, 1, 14);
        assertEq(registry.slashOf(1).provider, owner(committee[14]), "slashed");
        assertEq(phase(), uint256(Phase.Commit), "the next round");
    }
}
