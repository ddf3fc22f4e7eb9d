// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAppeals} from "../../contracts/interfaces/IAppeals.sol";
import {JobParameters} from "../../contracts/interfaces/IJobBoard.sol";
import {Phase} from "../../contracts/interfaces/IRounds.sol";
import {AppealKit} from "./support/AppealKit.sol";
import {Vm} from "./support/Test.sol";

/// A price below what the attesters of a wrong model lose: the requester gets what the rounds cost, the treasury the rest.
contract BondsTest is AppealKit {
    uint256 private constant CHEAP = 4 ether;
    uint256 private constant ALL_SLASHES = 3 * STAKE / 10; // invalidSlashBps 1000, three attesters

    function setUp() public override {
        deploy();
        JobParameters memory wanted = terms(TRAINERS, 3);
        wanted.rounds = 4;
        wanted.pricePerRound = uint128(CHEAP);
        openJob(wanted, TRAINERS, TRAINERS, EXTRA);
        token.transfer(APPELLANT, BOND);
        token.transfer(OPPONENT, 2 * BOND);
    }

    function test_the_prover_wins_half_of_both_bonds_when_both_juries_uphold() public {
        (uint256 slash,) = absence();
        uint256 appeal = appealSlash(slash);
        judgeAppeal(appeal, 0);
        appealAgain(appeal);
        judgeAppeal(appeal, 0);
        assertEq(appeals.owedTo(address(this)), BOND / 2 + BOND, "the prover");
        assertEq(appeals.owedTo(TREASURY), BOND / 2 + BOND, "the treasury");
        assertEq(appeals.owedTo(APPELLANT), 0, "the first appellant");
        assertEq(appeals.owedTo(OPPONENT), 0, "the second");
    }

    function test_a_bond_that_nobody_may_win_is_awarded_once() public {
        conclude(1, 65535);
        uint256 appeal = appealSlash(slashLast(1));
        judgeAppeal(appeal, 0);
        vm.recordLogs();
        waitForClose(appeal);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        uint256 awards;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IAppeals.BondAwarded.selector) continue;
            ++awards;
            assertEq(logs[i].topics[2], bytes32(uint256(uint160(TREASURY))), "to the treasury");
        }
        assertEq(awards, 1, "awards");
    }

    /// Overturns the model and settles its slashes: `rounds_` is how many the requester must be paid for.
    function overturn(uint256 appeal, uint256 rounds_) private {
        judgeAppeal(appeal, 7);
        waitForClose(appeal);
        uint256 held = token.balanceOf(REQUESTER);
        for (uint256 slash = 1; slash <= 3; ++slash) {
            registry.settleSlash(slash);
        }
        assertEq(token.balanceOf(REQUESTER) - held, rounds_ * CHEAP, "the requester");
        assertEq(token.balanceOf(TREASURY), ALL_SLASHES - rounds_ * CHEAP, "the treasury");
    }

    function test_a_requester_is_not_paid_for_rounds_before_the_wrong_model() public {
        for (uint256 round = 1; round <= 3; ++round) {
            conclude(round, 500);
        }
        commit(4, only(0)); // in flight
        overturn(appealModel(3), 2);
    }

    function test_a_requester_is_not_paid_for_rounds_that_failed() public {
        conclude(1, 500);
        vm.warp(current().endsAt);
        rounds.advance(job);
        assertEq(current().round, 3, "the second failed");
        assertEq(phase(), uint256(Phase.Commit), "the third is in flight");
        overturn(appealModel(1), 1);
    }
}
