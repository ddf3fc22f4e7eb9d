// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Case, IAppeals, Stage} from "../../contracts/interfaces/IAppeals.sol";
import {IRounds} from "../../contracts/interfaces/IRounds.sol";
import {AppealKit} from "./support/AppealKit.sol";

/// What a case says about itself, who may be a juror, and what single votes are worth.
contract JurorsTest is AppealKit {
    uint256 private constant SEEDS = 20;
    uint256 private appeal;

    function open() private {
        conclude(1, 65535);
        appeal = appealSlash(slashLast(1));
    }

    function isIn(uint16[] memory list, uint256 member) private pure returns (bool) {
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i] == member) return true;
        }
        return false;
    }

    /// In how many of twenty draws the member is on the jury.
    function timesDrawn(uint256 member) private returns (uint256 times) {
        uint256 level = appeals.caseOf(appeal).level;
        for (uint256 i = 0; i < SEEDS; ++i) {
            uint256 snapshot = vm.snapshotState();
            vm.roll(block.number + 300 + i);
            appeals.advance(appeal); // another seed each time
            drawJury(appeal);
            if (isIn(appeals.juryOf(appeal, level), member)) ++times;
            vm.revertToState(snapshot);
        }
    }

    function expectOpened(uint256 slash, uint256 level, address appellant, uint256 bond) private {
        vm.expectEmit(address(appeals));
        emit IAppeals.AppealOpened(1, job, 1, slash, level, appellant, bond, uint64(block.number + 4));
    }

    function test_an_appeal_says_who_pays_which_bond() public {
        conclude(1, 65535);
        uint256 slash = slashLast(1);
        asAppellant(APPELLANT, BOND);
        expectOpened(slash, 1, APPELLANT, BOND);
        appeal = appeals.appealSlash(slash, settlement);
        vm.stopPrank();
        judgeAppeal(appeal, 7);
        asAppellant(OPPONENT, 2 * BOND);
        expectOpened(slash, 2, OPPONENT, 2 * BOND);
        appeals.appealAgain(appeal);
        vm.stopPrank();
    }

    function test_no_jury_is_drawn_in_its_seed_block() public {
        open();
        uint64 seedBlock = appeals.caseOf(appeal).seedBlock;
        vm.roll(seedBlock);
        vm.expectRevert(abi.encodeWithSelector(IAppeals.SeedPending.selector, seedBlock, seedBlock));
        appeals.draw(appeal, headerOf(seedBlock));
    }

    function test_a_jury_has_the_windows_of_a_committee() public {
        open();
        drawJury(appeal);
        assertEq(appeals.caseOf(appeal).endsAt, block.timestamp + WINDOW, "to seal");
        commitVotes(appeal, 0, 7);
        assertEq(appeals.caseOf(appeal).endsAt, block.timestamp + WINDOW, "to open");
    }

    function test_a_case_shows_who_has_voted_for_what() public {
        open();
        drawJury(appeal);
        commitVotes(appeal, 7 << 4, 7);
        revealVotes(appeal, 7 << 4, 6);
        Case memory its = appeals.caseOf(appeal);
        assertEq(its.revealed, 63, "six have voted");
        assertEq(its.overturning, 3 << 4, "two of them to overturn");
        appeals.revealVote(appeal, 6, true, voteSalt(6));
        its = appeals.caseOf(appeal);
        assertEq(uint256(its.stage), uint256(Stage.Decided), "decided");
        assertFalse(its.overturned, "three of seven");
        assertEq(its.endsAt, block.timestamp + 1 hours, "may be appealed for the whole window");
    }

    function test_a_tie_upholds() public {
        open();
        drawJury(appeal);
        commitVotes(appeal, 3, 4);
        vm.warp(appeals.caseOf(appeal).endsAt);
        appeals.advance(appeal);
        revealVotes(appeal, 3, 4);
        assertEq(stageOf(appeal), uint256(Stage.Decided), "a quorum");
        assertFalse(appeals.caseOf(appeal).overturned, "two of four");
    }

    function test_a_juror_who_left_votes_no_more() public {
        open();
        drawJury(appeal);
        uint16[] memory jury = appeals.juryOf(appeal, 1);
        bytes32[] memory words = new bytes32[](1);
        words[0] = voteCommitment(appeal, 0, true);
        quit(jury[0]);
        vm.expectRevert(abi.encodeWithSelector(IRounds.SeatSignatureWrong.selector, 0, vm.addr(key(jury[0]))));
        appeals.commitVotes(appeal, hex"00", words, signVote(appeal, 1, jury[0], words[0]));
        // Nobody's signature is not the signature of a seat without an operator.
        vm.expectRevert(abi.encodeWithSelector(IRounds.SeatSignatureWrong.selector, 0, address(0)));
        appeals.commitVotes(appeal, hex"00", words, new bytes(64));
    }

    function test_every_vote_has_its_signature() public {
        open();
        drawJury(appeal);
        vm.expectRevert(abi.encodeWithSelector(IRounds.LengthsDiffer.selector, 64, 128));
        appeals.commitVotes(appeal, hex"0001", new bytes32[](2), new bytes(64));
    }

    /// Nobody is accused, so member 0 is not excluded in place of one who would be.
    function test_the_first_member_may_judge_a_model() public {
        conclude(1, 500);
        assertFalse(isIn(committee, 0), "not of the committee");
        appeal = appealModel(1);
        assertTrue(timesDrawn(0) > 0, "drawn");
    }

    function test_a_second_appellant_does_not_judge() public {
        open();
        judgeAppeal(appeal, 7);
        uint256 mine = TRAINERS;
        while (isIn(committee, mine) || isIn(appeals.juryOf(appeal, 1), mine)) ++mine;
        token.transfer(owner(mine), 2 * BOND);
        asAppellant(owner(mine), 2 * BOND);
        appeals.appealAgain(appeal);
        vm.stopPrank();
        assertEq(timesDrawn(mine), 0, "the appellant");
    }
}
