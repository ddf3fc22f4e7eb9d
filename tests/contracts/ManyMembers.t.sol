// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds} from "../../contracts/interfaces/IRounds.sol";
import {RoundKit} from "./support/RoundKit.sol";

/// More members than a word has bits: what is noted about a round spans two.
contract ManyMembersTest is RoundKit {
    uint256 private constant TRAINERS = 260;

    function setUp() public {
        deploy();
        openJob(terms(TRAINERS, 5), TRAINERS, 6, 0);
    }

    function commitAll() private {
        commit(1, range(0, 130));
        commit(1, range(130, TRAINERS));
        seed();
    }

    function test_a_round_over_two_words_pays_every_trainer() external {
        commitAll();
        reveal(1, 1, range(130, TRAINERS), all(130));
        reveal(1, 0, range(0, 130), all(130));
        assertEq(current().reveals, TRAINERS, "reveals");
        judge();
        commitBallots(1, range(0, 5));
        revealBallots(1, range(0, 5));
        attest(1, modelOf(1), range(0, 5));
        finalise(1);
        assertEq(ledger.modelOf(job, 1), modelOf(1), "model");
        for (uint256 i = 0; i < TRAINERS; ++i) {
            assertTrue(board.memberOf(job, i).credit > 0, "credit");
        }
    }

    function test_a_member_of_the_second_word_is_engaged() external {
        commit(1, only(TRAINERS - 1));
        assertTrue(rounds.isEngaged(job, TRAINERS - 1), "it has committed");
        assertFalse(rounds.isEngaged(job, TRAINERS - 257), "the same bit of the first word has not");
    }

    function test_a_full_batch_is_opened_at_once() external {
        commit(1, range(0, 256));
        commit(1, range(256, TRAINERS));
        seed();
        reveal(1, 0, range(0, 256), all(256));
        assertEq(current().reveals, 256, "reveals");
        reveal(1, 1, range(256, TRAINERS), all(4));
        assertEq(current().reveals, TRAINERS, "all");
    }

    function test_a_member_of_the_second_word_reveals_once() external {
        commitAll();
        reveal(1, 1, range(130, TRAINERS), 1 << 129);
        assertEq(current().reveals, 1, "reveals");
        refuse(abi.encodeWithSelector(IRounds.AlreadyRevealed.selector, TRAINERS - 1));
        reveal(1, 1, range(130, TRAINERS), 1 << 129);
    }
}
