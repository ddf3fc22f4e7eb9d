// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Case, IAppeals, Settlement, Stage} from "../../contracts/interfaces/IAppeals.sol";
import {Slot} from "../../contracts/interfaces/IFaults.sol";
import {IJobBoard, JobState} from "../../contracts/interfaces/IJobBoard.sol";
import {IProviderRegistry, TRAINER} from "../../contracts/interfaces/IProviderRegistry.sol";
import {Phase} from "../../contracts/interfaces/IRounds.sol";
import {AppealKit} from "./support/AppealKit.sol";

/// What an appeal changes, and what it does not.
contract AppealsTest is AppealKit {
    uint256 private constant SLASH = STAKE / 10; // invalidSlashBps 1000

    function paidOut(address who, uint256 expected, string memory why) private {
        assertEq(appeals.owedTo(who), expected, why);
        if (expected == 0) return;
        uint256 before = token.balanceOf(who);
        appeals.takeOwed(who);
        assertEq(token.balanceOf(who) - before, expected, why);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NothingOwed.selector, who));
        appeals.takeOwed(who);
    }

    /// Nothing is left in the contract once all is paid out, and the registry holds what its books say.
    function checkBooks(uint256 unsettled) private view {
        assertEq(token.balanceOf(address(appeals)), 0, "appeals hold nothing");
        assertEq(token.balanceOf(address(registry)), allStakes() + unsettled, "registry holds stakes and slashes");
    }

    // Slashes

    function test_an_overturned_slash_makes_the_provider_whole() public {
        conclude(1, 65535);
        uint256 before = stakeOf(3);
        uint256 slash = slashLast(1);
        assertEq(before - stakeOf(3), SLASH, "slashed");
        uint256 appeal = appealSlash(slash);
        judgeAppeal(appeal, 4);
        assertEq(stageOf(appeal), uint256(Stage.Decided), "decided");
        waitForClose(appeal);
        uint256 part = PRICE * 3 / 4 / TRAINERS / 3; // the trainers' pool, for one of four, from three seats
        bool onSeat = committee[0] == 3 || committee[1] == 3 || committee[2] == 3;
        assertEq(stakeOf(3), before + (onSeat ? 2 : 3) * part, "made whole, and paid");
        paidOut(APPELLANT, BOND, "the bond comes back");
        checkBooks(0);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.SlashAlreadySettled.selector, slash));
        registry.settleSlash(slash);
    }

    function test_an_upheld_slash_costs_the_bond() public {
        conclude(1, 65535);
        uint256 slash = slashLast(1);
        uint256 appeal = appealSlash(slash);
        judgeAppeal(appeal, 3);
        waitWhileFrozen(slash);
        waitForClose(appeal);
        paidOut(APPELLANT, 0, "lost");
        paidOut(TREASURY, BOND, "an invalid update has no prover who could win");
        registry.settleSlash(slash);
        assertEq(token.balanceOf(TREASURY), BOND + SLASH, "treasury");
        checkBooks(0);
    }

    /// However long the appeal lasts.
    function waitWhileFrozen(uint256 slash) private {
        uint256 before = vm.snapshotState();
        vm.warp(block.timestamp + 365 days);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.NotYet.selector, block.timestamp, type(uint64).max));
        registry.settleSlash(slash);
        vm.revertToState(before);
    }

    function test_the_prover_of_an_upheld_absence_gets_half_of_the_bond() public {
        (uint256 slash, uint256 absent) = absence();
        uint256 appeal = appealSlash(slash);
        assertEq(appeals.caseOf(appeal).member, absent, "accused");
        judgeAppeal(appeal, 0);
        waitForClose(appeal);
        paidOut(TREASURY, BOND / 2, "half");
        uint256 balance = token.balanceOf(address(this));
        appeals.takeOwed(address(this));
        assertEq(token.balanceOf(address(this)) - balance, BOND / 2, "other half");
    }

    function test_an_overturned_absence_pardons() public {
        (uint256 slash, uint256 absent) = absence();
        assertEq(registry.providerOf(owner(absent)).missedDuties, 1, "missed");
        uint256 before = stakeOf(absent);
        uint256 appeal = appealSlash(slash);
        judgeAppeal(appeal, 7);
        waitForClose(appeal);
        assertEq(registry.providerOf(owner(absent)).missedDuties, 0, "pardoned");
        assertEq(stakeOf(absent) - before, STAKE * 2 / 100, "made whole");
    }

    /// Who was never jailed is not said to be free again.
    function test_a_pardon_says_what_changed() public {
        vm.recordLogs();
        vm.prank(address(appeals));
        registry.pardon(owner(0));
        assertEq(vm.getRecordedLogs().length, 0, "events");
        vm.startPrank(address(faults));
        registry.recordMissedDuty(owner(0), 1);
        registry.recordMissedDuty(owner(0), 1);
        vm.stopPrank();
        assertTrue(registry.providerOf(owner(0)).jailedUntil != 0, "jailed");
        vm.expectEmit(address(registry));
        emit IProviderRegistry.ProviderUnjailed(owner(0));
        vm.prank(address(appeals));
        registry.pardon(owner(0));
        assertEq(registry.providerOf(owner(0)).jailedUntil, 0, "free");
    }

    /// Signatures prove it, and no committee had a part in it.
    function test_an_overturned_equivocation_costs_no_judge_anything() public {
        conclude(1, 500);
        bytes32[2] memory words = [keccak256("one"), keccak256("two")];
        (bytes memory a, bytes memory b) = (signUpdate(0, 1, words[0]), signUpdate(0, 1, words[1]));
        uint256 stakes = allStakes();
        faults.proveEquivocation(job, 1, Slot.UpdateCommitment, words[0], a, words[1], b);
        assertEq(stakes - allStakes(), STAKE / 2, "slashed");
        uint256 appeal = appealSlash(registry.slashCount());
        assertEq(appeals.caseOf(appeal).committee, 0, "nobody to exclude");
        judgeAppeal(appeal, 7);
        waitForClose(appeal);
        assertEq(allStakes(), stakes, "made whole");
        vm.expectRevert(abi.encodeWithSelector(IAppeals.StageWrong.selector, appeal, Stage.Closed, Stage.Decided));
        appeals.advance(appeal);
    }

    /// Its committee stands aside in the appeal of an absence, and of no other fault in that round.
    function test_only_an_absence_is_appealed_against_its_committee() public {
        (uint256 slash,) = absence();
        uint256 appeal = appealSlash(slash);
        assertEq(appeals.caseOf(appeal).committee, committeeWord(0), "committee");
        bytes32[2] memory words = [keccak256("one"), keccak256("two")];
        (bytes memory a, bytes memory b) = (signUpdate(0, 1, words[0]), signUpdate(0, 1, words[1]));
        faults.proveEquivocation(job, 1, Slot.UpdateCommitment, words[0], a, words[1], b);
        appeal = appealSlash(registry.slashCount());
        assertEq(appeals.caseOf(appeal).committee, 0, "nobody to exclude");
    }

    // Twice

    function test_a_second_jury_can_uphold_what_the_first_overturned() public {
        conclude(1, 65535);
        uint256 slash = slashLast(1);
        uint256 taken = stakeOf(3);
        uint256 appeal = appealSlash(slash);
        judgeAppeal(appeal, 7);
        appealAgain(appeal);
        judgeAppeal(appeal, 7); // of fifteen
        assertEq(stageOf(appeal), uint256(Stage.Closed), "final");
        assertEq(stakeOf(3), taken, "still slashed");
        paidOut(OPPONENT, 2 * BOND + BOND / 2, "its bond, and half of the other");
        paidOut(TREASURY, BOND / 2, "the other half");
        paidOut(APPELLANT, 0, "lost");
        registry.settleSlash(slash);
        checkBooks(0);
    }

    function test_a_second_jury_can_overturn_what_the_first_upheld() public {
        conclude(1, 65535);
        uint256 taken = stakeOf(3);
        uint256 appeal = appealSlash(slashLast(1));
        judgeAppeal(appeal, 3);
        appealAgain(appeal);
        judgeAppeal(appeal, 8);
        assertTrue(stakeOf(3) >= taken, "made whole");
        paidOut(APPELLANT, BOND, "was right");
        paidOut(OPPONENT, 2 * BOND, "was right too");
        checkBooks(0);
    }

    function test_a_second_jury_that_agrees_costs_the_second_bond() public {
        conclude(1, 65535);
        uint256 appeal = appealSlash(slashLast(1));
        judgeAppeal(appeal, 5);
        appealAgain(appeal);
        judgeAppeal(appeal, 15);
        paidOut(APPELLANT, 2 * BOND, "its own, and half of the second");
        paidOut(TREASURY, BOND, "half of the second");
        paidOut(OPPONENT, 0, "lost");
        checkBooks(0);
    }

    function test_nobody_appeals_a_third_time_or_late() public {
        conclude(1, 65535);
        uint256 appeal = appealSlash(slashLast(1));
        judgeAppeal(appeal, 5);
        uint64 endsAt = appeals.caseOf(appeal).endsAt;
        vm.warp(endsAt);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.StageOver.selector, appeal, endsAt, endsAt));
        appeals.appealAgain(appeal);
        vm.warp(endsAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.StageNotOver.selector, appeal, endsAt, endsAt - 1));
        appeals.advance(appeal);
        appealAgain(appeal);
        judgeAppeal(appeal, 0);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.StageWrong.selector, appeal, Stage.Closed, Stage.Decided));
        appeals.appealAgain(appeal);
    }

    // Models

    function test_a_wrong_model_stops_the_job_and_pays_the_requester() public {
        conclude(1, 500);
        conclude(2, 500);
        uint256 appeal = appealSecondRound();
        uint256 held = token.balanceOf(REQUESTER);
        uint256[3] memory before = [stakeOf(committee[0]), stakeOf(committee[1]), stakeOf(committee[2])];
        judgeAppeal(appeal, 6);
        waitForClose(appeal);
        for (uint256 seat = 0; seat < 3; ++seat) {
            assertEq(before[seat] - stakeOf(committee[seat]), SLASH, "every attester");
        }
        assertEq(uint256(board.jobOf(job).state), uint256(JobState.Cancelled), "stopped");
        assertEq(phase(), uint256(Phase.None), "no round");
        uint256 count = registry.slashCount();
        for (uint256 i = 0; i < 3; ++i) {
            registry.settleSlash(count - i);
        }
        uint256 escrow = board.refund(job);
        assertTrue(escrow >= PRICE, "the third round's price");
        assertEq(token.balanceOf(REQUESTER) - held, escrow + 3 * SLASH, "less than the round cost, so all of it");
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NotAppealable.selector, count));
        appeals.appealSlash(count, settlement);
    }

    function appealSecondRound() private returns (uint256) {
        uint256 trainer = 0;
        commit(3, only(trainer)); // a round is in flight
        return appealModel(2);
    }

    function test_a_model_that_is_upheld_changes_nothing() public {
        conclude(1, 500);
        uint256 stakes = allStakes();
        uint256 appeal = appealModel(1);
        judgeAppeal(appeal, 0);
        waitForClose(appeal);
        assertEq(allStakes(), stakes, "stakes");
        assertEq(current().round, 2, "the job goes on");
        paidOut(TREASURY, BOND, "no one else may gain");
        vm.expectRevert(abi.encodeWithSelector(IAppeals.AlreadyAppealed.selector, appeal));
        appeals.appealModel(job, 1, settlement);
    }

    function test_a_wrong_last_model_leaves_its_job_ended() public {
        for (uint256 round = 1; round <= 3; ++round) {
            conclude(round, 500);
        }
        uint256 before = stakeOf(committee[0]);
        uint256 appeal = appealModel(3);
        judgeAppeal(appeal, 7);
        waitForClose(appeal);
        assertEq(before - stakeOf(committee[0]), SLASH, "slashed");
        assertEq(uint256(board.jobOf(job).state), uint256(JobState.Completed), "as it was");
        assertTrue(appeals.caseOf(appeal).overturned, "overturned");
    }

    function test_a_wrong_model_stops_a_job_that_is_being_cancelled() public {
        conclude(1, 500);
        commit(2, only(0));
        vm.prank(REQUESTER);
        board.cancel(job);
        uint256 appeal = appealModel(1);
        judgeAppeal(appeal, 7);
        waitForClose(appeal);
        assertEq(uint256(board.jobOf(job).state), uint256(JobState.Cancelled), "over");
        assertEq(phase(), uint256(Phase.None), "no round");
    }

    function test_a_settlement_that_never_was() public {
        conclude(1, 500);
        Settlement memory wrong = settlement;
        wrong.committee ^= 1 << 240; // one attester less
        vm.expectPartialRevert(IAppeals.SettlementWrong.selector);
        appeals.appealModel(job, 1, wrong);
        wrong = settlement;
        wrong.finalisedAt += 1;
        vm.expectPartialRevert(IAppeals.SettlementWrong.selector);
        appeals.appealModel(job, 1, wrong);
        vm.expectPartialRevert(IAppeals.SettlementWrong.selector);
        appeals.appealModel(job, 2, settlement);
        vm.warp(settlement.finalisedAt + 1 hours);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.AppealTooLate.selector, block.timestamp, block.timestamp));
        appeals.appealModel(job, 1, settlement);
    }
}

/// Four of five attested the model, and the fifth another one.
contract DissentTest is AppealKit {
    function setUp() public override {
        deploy();
        openJob(terms(TRAINERS, 5), TRAINERS, TRAINERS, EXTRA);
        token.transfer(APPELLANT, BOND);
    }

    function test_who_attested_another_model_is_not_slashed() public {
        toAttest(1, TRAINERS);
        attest(1, modelOf(1), range(0, 4));
        attest(1, modelOf(8), only(4));
        (scores,) = expectedTally();
        settlement = Settlement(committeeWord(15), uint40(block.timestamp), uint16(TRAINERS), treeRoot(1));
        finalise(1);
        uint256[5] memory before;
        for (uint256 seat = 0; seat < 5; ++seat) {
            before[seat] = stakeOf(committee[seat]);
        }
        uint256 appeal = appealModel(1);
        judgeAppeal(appeal, 11);
        waitForClose(appeal);
        for (uint256 seat = 0; seat < 5; ++seat) {
            assertEq(before[seat] - stakeOf(committee[seat]), seat == 4 ? 0 : STAKE / 10, "slash");
        }
    }

    function test_who_attested_an_agreed_model_answers_for_it_too() public {
        toAttest(1, TRAINERS);
        attest(1, modelOf(1), range(0, 4));
        assertEq(current().agreedModel, modelOf(1), "agreed");
        attest(1, modelOf(1), only(4));
        (scores,) = expectedTally();
        settlement = Settlement(committeeWord(31), uint40(block.timestamp), uint16(TRAINERS), treeRoot(1));
        finalise(1);
        uint256 appeal = appealModel(1);
        assertEq(appeals.caseOf(appeal).committee, committeeWord(31), "all five");
    }
}
