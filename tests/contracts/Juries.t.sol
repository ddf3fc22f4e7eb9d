// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAppeals, Stage} from "../../contracts/interfaces/IAppeals.sol";
import {IJobBoard} from "../../contracts/interfaces/IJobBoard.sol";
import {IProviderRegistry, TRAINER, VALIDATOR} from "../../contracts/interfaces/IProviderRegistry.sol";
import {IRounds} from "../../contracts/interfaces/IRounds.sol";
import {AppealKit} from "./support/AppealKit.sol";

/// Who judges an appeal, and whose vote counts.
contract JuriesTest is AppealKit {
    uint256 private appeal;
    uint256 private slash;

    function open() private {
        conclude(1, 65535);
        slash = slashLast(1);
        appeal = appealSlash(slash);
    }

    function isIn(uint16[] memory list, uint256 member) private pure returns (bool) {
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i] == member) return true;
        }
        return false;
    }

    function testFuzz_juries_are_larger_and_disjoint(bytes32 salt) public {
        open();
        vm.roll(uint256(salt) % 1e6 + block.number + 300);
        appeals.advance(appeal); // out of reach: another block
        drawJury(appeal);
        uint16[] memory first = appeals.juryOf(appeal, 1);
        assertEq(first.length, 7, "2n + 1");
        commitVotes(appeal, 127, 7);
        revealVotes(appeal, 127, 7);
        appealAgain(appeal);
        drawJury(appeal);
        uint16[] memory second = appeals.juryOf(appeal, 2);
        assertEq(second.length, 15, "4n + 3");
        for (uint256 member = 0; member < members; ++member) {
            uint256 roles = (isIn(committee, member) ? 1 : 0) + (isIn(first, member) ? 1 : 0) + (isIn(second, member) ? 1 : 0);
            assertTrue(roles < 2, "no one decides twice");
            if (member == 3 && !isIn(committee, 3)) assertEq(roles, 0, "the accused does not judge");
        }
    }

    function test_an_appellant_does_not_judge() public {
        conclude(1, 500);
        uint256 mine = members - 1;
        token.transfer(owner(mine), BOND);
        asAppellant(owner(mine), BOND);
        appeal = appeals.appealModel(job, 1, settlement);
        vm.stopPrank();
        for (uint256 i = 0; i < 20; ++i) {
            uint256 snapshot = vm.snapshotState();
            vm.roll(block.number + 300 + i);
            appeals.advance(appeal); // another seed each time
            drawJury(appeal);
            assertFalse(isIn(appeals.juryOf(appeal, 1), mine), "appellant");
            vm.revertToState(snapshot);
        }
    }

    function test_a_jury_that_nobody_draws() public {
        open();
        uint64 seedBlock = appeals.caseOf(appeal).seedBlock;
        vm.roll(seedBlock + 1);
        vm.setBlockhash(seedBlock, keccak256("of a header that nobody can read"));
        vm.warp(block.timestamp + 7 days - 1);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.DrawDue.selector, seedBlock));
        appeals.advance(appeal);
        vm.warp(block.timestamp + 1);
        appeals.advance(appeal);
        assertEq(stageOf(appeal), uint256(Stage.Closed), "void");
        assertFalse(appeals.isDrawPending(job), "people may leave");
        assertEq(appeals.owedTo(APPELLANT), BOND, "the bond comes back");
        assertEq(registry.slashOf(slash).settleableAt, block.timestamp, "the slash goes on");
        quit(20);
    }

    function test_nobody_joins_or_leaves_before_the_draw() public {
        open();
        assertTrue(appeals.isDrawPending(job), "pending");
        refuse(abi.encodeWithSelector(IJobBoard.DrawPending.selector, job));
        quit(20);
        uint64 seedBlock = appeals.caseOf(appeal).seedBlock;
        vm.roll(seedBlock);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.SeedPending.selector, seedBlock, block.number));
        appeals.advance(appeal);
        vm.roll(seedBlock + 300);
        appeals.advance(appeal); // its hash is out of reach: another block, as unknown as the first
        assertEq(appeals.caseOf(appeal).seedBlock, block.number + 4, "moved");
        assertTrue(appeals.isDrawPending(job), "still pending");
        drawJury(appeal);
        assertFalse(appeals.isDrawPending(job), "drawn");
        quit(20);
    }

    function test_each_step_has_its_time() public {
        open();
        uint64 seedBlock = appeals.caseOf(appeal).seedBlock;
        vm.expectRevert(abi.encodeWithSelector(IAppeals.SeedPending.selector, seedBlock, block.number));
        appeals.draw(appeal, headerOf(seedBlock));
        drawJury(appeal);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.StageWrong.selector, appeal, Stage.Commit, Stage.Drawing));
        appeals.draw(appeal, headerOf(seedBlock));
        uint64 endsAt = appeals.caseOf(appeal).endsAt;
        vm.warp(endsAt - 1);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.StageNotOver.selector, appeal, endsAt, endsAt - 1));
        appeals.advance(appeal);
        bytes32[] memory words = new bytes32[](1);
        bytes memory signature = signVote(appeal, 1, appeals.juryOf(appeal, 1)[0], words[0]);
        vm.warp(endsAt);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.StageOver.selector, appeal, endsAt, endsAt));
        appeals.commitVotes(appeal, hex"00", words, signature);
    }

    /// Validators that do not train: only a seat keeps them.
    function test_a_rounds_judges_stay_until_it_is_over() public {
        toBallots(1, TRAINERS);
        uint256 kept;
        for (uint256 i = TRAINERS; i < members; ++i) {
            bool seated = isIn(committee, i);
            if (seated) refuse(abi.encodeWithSelector(IJobBoard.MemberEngaged.selector, job, i));
            if (seated) ++kept;
            quit(i);
        }
        assertTrue(kept != 0 && kept < EXTRA, "of both kinds");
    }

    function test_votes_are_sealed_until_all_are_in() public {
        open();
        drawJury(appeal);
        commitVotes(appeal, 0, 6);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.StageWrong.selector, appeal, Stage.Commit, Stage.Reveal));
        appeals.revealVote(appeal, 0, false, voteSalt(0));
        vm.warp(appeals.caseOf(appeal).endsAt);
        appeals.advance(appeal);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.VoteNotCommitted.selector, 6));
        appeals.revealVote(appeal, 6, false, voteSalt(6));
        vm.expectRevert(abi.encodeWithSelector(IAppeals.VoteWrong.selector, 0));
        appeals.revealVote(appeal, 0, true, voteSalt(0));
        vm.expectRevert(abi.encodeWithSelector(IAppeals.VoteWrong.selector, 0));
        appeals.revealVote(appeal, 0, false, voteSalt(1));
        appeals.revealVote(appeal, 0, false, voteSalt(0));
        vm.expectRevert(abi.encodeWithSelector(IAppeals.VoteWrong.selector, 0));
        appeals.revealVote(appeal, 0, false, voteSalt(0));
        vm.expectRevert(abi.encodeWithSelector(IRounds.SeatUnknown.selector, 7));
        appeals.revealVote(appeal, 7, false, voteSalt(7));
    }

    function test_forged_votes() public {
        open();
        drawJury(appeal);
        bytes32[] memory words = new bytes32[](1);
        words[0] = voteCommitment(appeal, 0, true);
        uint16[] memory jury = appeals.juryOf(appeal, 1);
        vm.expectRevert(abi.encodeWithSelector(IRounds.SeatSignatureWrong.selector, 0, vm.addr(key(jury[1]))));
        appeals.commitVotes(appeal, hex"00", words, signVote(appeal, 1, jury[1], words[0]));
        vm.expectPartialRevert(IRounds.SeatSignatureWrong.selector); // signed for the other instance
        appeals.commitVotes(appeal, hex"00", words, signVote(appeal, 2, jury[0], words[0]));
        appeals.commitVotes(appeal, hex"00", words, signVote(appeal, 1, jury[0], words[0]));
        vm.expectRevert(abi.encodeWithSelector(IAppeals.VoteAlreadyCommitted.selector, 0));
        appeals.commitVotes(appeal, hex"00", words, signVote(appeal, 1, jury[0], words[0]));
        vm.expectRevert(IRounds.BatchEmpty.selector);
        appeals.commitVotes(appeal, "", new bytes32[](0), "");
        vm.expectRevert(abi.encodeWithSelector(IRounds.LengthsDiffer.selector, 1, 0));
        appeals.commitVotes(appeal, hex"00", new bytes32[](0), "");
        vm.expectRevert(abi.encodeWithSelector(IRounds.LengthsDiffer.selector, 63, 64));
        appeals.commitVotes(appeal, hex"01", words, new bytes(63));
    }

    function test_without_a_quorum_nothing_changes() public {
        open();
        uint256 taken = stakeOf(3);
        drawJury(appeal);
        commitVotes(appeal, 127, 7);
        revealVotes(appeal, 127, 3);
        vm.warp(appeals.caseOf(appeal).endsAt);
        appeals.advance(appeal);
        checkVoid(taken);
    }

    function test_without_votes_nothing_changes() public {
        open();
        uint256 taken = stakeOf(3);
        drawJury(appeal);
        vm.warp(appeals.caseOf(appeal).endsAt);
        appeals.advance(appeal);
        checkVoid(taken);
    }

    function test_without_validators_nothing_changes() public {
        open();
        uint256 taken = stakeOf(3);
        uint256 snapshot = vm.snapshotState();
        vm.revertToState(snapshot);
        drawJury(appeal); // frees the roster
        commitVotes(appeal, 127, 7);
        revealVotes(appeal, 127, 7);
        for (uint256 i = 12; i < members; ++i) {
            quit(i);
        }
        appealAgain(appeal);
        drawJury(appeal);
        assertEq(stageOf(appeal), uint256(Stage.Closed), "too few for a second jury");
        assertTrue(stakeOf(3) > taken, "so the first one's decision stands");
        assertEq(appeals.owedTo(OPPONENT), 2 * BOND, "and the second bond comes back");
        assertEq(appeals.owedTo(APPELLANT), BOND, "as the first does");
    }

    function checkVoid(uint256 taken) private {
        assertEq(stageOf(appeal), uint256(Stage.Closed), "closed");
        assertEq(stakeOf(3), taken, "still slashed");
        assertEq(appeals.owedTo(APPELLANT), BOND, "the bond comes back");
        registry.settleSlash(slash);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.AlreadyAppealed.selector, appeal));
        appeals.appealSlash(slash, settlement);
    }

    function test_who_decided_cannot_withdraw_meanwhile() public {
        open();
        address judge = owner(committee[0]);
        vm.startPrank(judge);
        registry.unbond(STAKE);
        vm.warp(block.timestamp + 1 days);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.StakeIsHeld.selector, judge, 1));
        registry.withdraw();
        vm.stopPrank();
        judgeAppeal(appeal, 0);
        waitForClose(appeal);
        vm.prank(judge);
        registry.withdraw();
    }

    function test_only_appeals_judge() public {
        bytes memory reason = abi.encodeWithSelector(IProviderRegistry.NotAuthorised.selector, address(this));
        vm.expectRevert(reason);
        registry.freezeSlash(1);
        vm.expectRevert(reason);
        registry.unfreezeSlash(1);
        vm.expectRevert(reason);
        registry.returnSlash(1);
        vm.expectRevert(reason);
        registry.slashFor(owner(0), 1, address(1), 1, 1);
        vm.expectRevert(reason);
        registry.moveStake(owner(0), owner(1), 1);
        vm.expectRevert(reason);
        registry.holdStake(owner(0));
        vm.expectRevert(reason);
        registry.freeStake(owner(0));
        vm.expectRevert(reason);
        registry.pardon(owner(0));
        vm.expectRevert(abi.encodeWithSelector(IRounds.NotAppeals.selector, address(this)));
        rounds.stop(job);
    }

    function test_unknown_and_too_late() public {
        vm.expectRevert(abi.encodeWithSelector(IAppeals.AppealUnknown.selector, 9));
        appeals.advance(9);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NotAppealable.selector, 9));
        appeals.appealSlash(9, settlement);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.NothingOwed.selector, address(9)));
        appeals.takeOwed(address(9));
        conclude(1, 65535);
        slash = slashLast(1);
        uint256 end = registry.slashOf(slash).settleableAt;
        vm.warp(end);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.AppealTooLate.selector, end, end));
        appeals.appealSlash(slash, settlement);
    }
}
