// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobBoard, JobParameters} from "../../contracts/interfaces/IJobBoard.sol";
import {TRAINER} from "../../contracts/interfaces/IProviderRegistry.sol";
import {BoardKit} from "./support/BoardKit.sol";

contract RewardsTest is BoardKit {
    uint256 private constant MEMBERS = 11; // more than a word of credits holds
    address private constant RECIPIENT = address(0xfee);

    function open(uint256 escrow) private returns (uint256 job) {
        JobParameters memory asked = terms();
        asked.pricePerRound = 1;
        job = post(asked, escrow);
        for (uint256 i = 0; i < MEMBERS; ++i) {
            enrol(i, TRAINER, STAKE);
            join(job, i, TRAINER, STAKE);
        }
        markRunning(job);
    }

    function pay(uint256 member, uint256 units) private pure returns (bytes memory) {
        return abi.encodePacked(uint16(member), uint32(units));
    }

    function creditOf(uint256 job, uint256 member) private view returns (uint256) {
        return board.memberOf(job, member).credit;
    }

    function claim(uint256 i, uint256 job) private returns (uint256) {
        uint256[] memory jobs = new uint256[](2);
        (jobs[0], jobs[1]) = (job, job); // naming it twice pays once
        return board.claim(owner(i), jobs);
    }

    function test_settleAndClaim() external {
        uint256 job = open(1e30); // quantum above one wei
        uint256 quantum = board.jobOf(job).quantum;
        assertEq(quantum, 465_661_287_307_739_257_813, "1e30 / 2^31 + 1");
        bytes memory payments = bytes.concat(pay(1, 10), pay(2, 20), pay(3, 30), pay(8, 80));
        vm.expectEmit(address(board));
        emit IJobBoard.RoundSettled(job, 1, payments, RECIPIENT, 7, 140 * quantum + 7);
        settle(job, 1, payments, RECIPIENT, 7);
        settle(job, 2, pay(2, 5), RECIPIENT, 0);
        assertEq(creditOf(job, 0), 0);
        assertEq(creditOf(job, 1), 10 * quantum);
        assertEq(creditOf(job, 2), 25 * quantum);
        assertEq(creditOf(job, 8), 80 * quantum);
        assertEq(board.jobOf(job).escrow, 1e30 - 145 * quantum - 7);
        vm.expectEmit(address(board));
        emit IJobBoard.RewardClaimed(job, owner(2), 25 * quantum);
        assertEq(claim(2, job), 25 * quantum);
        assertEq(token.balanceOf(owner(2)), 25 * quantum);
        assertEq(creditOf(job, 2), 0);
        assertEq(creditOf(job, 3), 30 * quantum, "neighbour");
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.NothingToClaim.selector, owner(2)));
        claim(2, job);
        settle(job, 3, bytes.concat(pay(2, 4), pay(9, 9)), RECIPIENT, 0);
        assertEq(claim(8, job), 80 * quantum, "the second word");
        assertEq(creditOf(job, 9), 9 * quantum, "neighbour");
        assertEq(claim(2, job), 4 * quantum, "earned since");
    }

    function test_whatIsNotClaimedIsNotSaidToBe() external {
        uint256 job = open(1000);
        settle(job, 1, pay(2, 5), RECIPIENT, 0);
        vm.recordLogs();
        claim(2, job);
        assertEq(vm.getRecordedLogs().length, 2, "one claim, one transfer");
    }

    function test_aPaymentCutShortPaysNothing() external {
        uint256 job = open(1000);
        settle(job, 1, bytes.concat(pay(1, 10), hex"0002ffffff"), RECIPIENT, 0);
        assertEq(creditOf(job, 1), 10, "whole");
        assertEq(creditOf(job, 2), 0, "cut short");
        assertEq(board.jobOf(job).escrow, 990, "escrow");
    }

    function test_nobodyIsPaidBeyondTheRoster() external {
        uint256 job = open(1000);
        bytes memory payments = pay(2048, 1); // the first that no job has
        vm.prank(address(rounds));
        vm.expectRevert(abi.encodeWithSignature("Panic(uint256)", 1));
        board.settleRound(job, 1, payments, RECIPIENT, 0);
    }

    function test_creditOutlivesMembership() external {
        uint256 job = open(1000);
        settle(job, 1, pay(4, 100), RECIPIENT, 0);
        quit(job, 4);
        join(job, 4, TRAINER, STAKE);
        settle(job, 2, pay(4, 11), RECIPIENT, 0);
        quit(job, 4);
        assertEq(claim(4, job), 111);
    }

    function test_claimOfStrangers() external {
        uint256 job = open(1000);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.MemberUnknown.selector, job, owner(50)));
        claim(50, job);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.JobUnknown.selector, 9));
        claim(1, 9);
    }

    function test_fees() external {
        uint256 job = open(1000);
        settle(job, 1, "", RECIPIENT, 5);
        settle(job, 2, "", RECIPIENT, 6);
        assertEq(board.feesOf(RECIPIENT), 11);
        vm.expectEmit(address(board));
        emit IJobBoard.FeeClaimed(RECIPIENT, 11);
        assertEq(board.claimFees(RECIPIENT), 11);
        assertEq(token.balanceOf(RECIPIENT), 11);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.NothingToClaim.selector, RECIPIENT));
        board.claimFees(RECIPIENT);
    }

    function test_theLeastFee() external {
        uint256 job = open(1000);
        settle(job, 1, "", RECIPIENT, 1);
        assertEq(board.feesOf(RECIPIENT), 1, "one wei");
    }

    function test_neverMoreThanTheEscrow() external {
        uint256 job = open(1000);
        settle(job, 1, pay(0, 1000), RECIPIENT, 0);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.EscrowTooLow.selector, 0, 1));
        settle(job, 2, pay(0, 1), RECIPIENT, 0);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.EscrowTooLow.selector, 0, 2 * uint256(type(uint32).max)));
        settle(job, 2, bytes.concat(pay(0, type(uint32).max), pay(1, type(uint32).max)), RECIPIENT, 0);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.EscrowTooLow.selector, 0, 3));
        settle(job, 2, "", RECIPIENT, 3);
    }

    function test_wholeEscrowFitsOneLane() external {
        uint256 escrow = 2 ** 118;
        uint256 job = open(escrow);
        uint256 units = escrow / board.jobOf(job).quantum;
        settle(job, 1, pay(3, units), RECIPIENT, 0);
        settle(job, 2, pay(2, 0), RECIPIENT, 0);
        assertEq(creditOf(job, 2), 0);
        assertEq(creditOf(job, 3), units * board.jobOf(job).quantum);
        assertLe(units, 2 ** 31 - 1, "units");
    }

    function testFuzz_escrowIsConserved(uint96 escrow, uint256 seed) external {
        escrow = uint96(bound(escrow, 3, type(uint96).max));
        uint256 job = open(escrow);
        uint256 quantum = board.jobOf(job).quantum;
        uint256[MEMBERS] memory earned;
        uint256 left = escrow / quantum;
        for (uint256 round = 1; round <= 3; ++round) {
            bytes memory payments = "";
            for (uint256 member = 0; member < MEMBERS; ++member) {
                uint256 units = uint256(keccak256(abi.encode(seed, round, member))) % (left / 2 + 1);
                if (units % 5 == 0) continue;
                left -= units;
                earned[member] += units * quantum;
                payments = bytes.concat(payments, pay(member, units));
            }
            settle(job, round, payments, RECIPIENT, 0);
            endRound(job);
        }
        for (uint256 member = 0; member < MEMBERS; ++member) {
            assertEq(creditOf(job, member), earned[member], "credit");
            if (earned[member] != 0) assertEq(claim(member, job), earned[member], "claimed");
        }
        uint256 rest = board.jobOf(job).escrow;
        assertEq(token.balanceOf(address(board)), rest, "books");
        if (rest != 0) assertEq(board.refund(job), rest);
        assertEq(token.balanceOf(address(board)), 0, "all paid or refunded");
    }
}
