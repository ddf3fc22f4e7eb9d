// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {JobBoard} from "../../contracts/JobBoard.sol";
import {ProviderRegistry} from "../../contracts/ProviderRegistry.sol";
import {JobParameters, Permit} from "../../contracts/interfaces/IJobBoard.sol";
import {IProviderRegistry, TRAINER} from "../../contracts/interfaces/IProviderRegistry.sol";
import {BoardKit} from "./support/BoardKit.sol";
import {HostileToken} from "./support/HostileToken.sol";

/// Registry and board over such a token. Whatever it does, nobody else's money moves.
contract HostileTokenTest is BoardKit {
    HostileToken private hostile;

    function setUp() public override {
        super.setUp();
        hostile = new HostileToken();
        address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        registry = deployRegistry(hostile, next, FAULTS, address(appeals));
        board = deployBoard(hostile);
        hostile.approve(address(board), type(uint256).max);
        hostile.approve(address(registry), type(uint256).max);
    }

    function failed() private view returns (bytes memory) {
        return abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(hostile));
    }

    function mismatch(uint256 have, uint256 want) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IProviderRegistry.TokenAmountMismatch.selector, have, want);
    }

    function escrowed() private pure returns (uint256) {
        return 3 * PRICE;
    }

    function enrolFirst() private {
        hostile.transfer(owner(1), STAKE);
        vm.startPrank(owner(1));
        hostile.approve(address(registry), STAKE);
        registry.register(vm.addr(key(1)), TRAINER, STAKE, "", 0);
        vm.stopPrank();
    }

    function create() private returns (uint256) {
        return board.createJob(terms(), escrowed());
    }

    function test_a_token_that_answers_false_pays_nothing_in() external {
        hostile.setAnswer(false);
        vm.expectRevert(failed());
        registry.register(vm.addr(1), TRAINER, STAKE, "", 0);
        vm.expectRevert(failed());
        create();
    }

    function test_a_refund_that_the_token_denies_is_still_owed() external {
        uint256 job = create();
        board.cancel(job);
        hostile.setAnswer(false);
        vm.expectRevert(failed());
        board.refund(job);
        hostile.setAnswer(true);
        assertEq(board.refund(job), escrowed(), "refund");
        assertEq(hostile.balanceOf(address(board)), 0, "left");
    }

    function test_a_withdrawal_that_the_token_denies_is_still_owed() external {
        registry.register(vm.addr(1), TRAINER, STAKE, "", 0);
        registry.unbond(STAKE);
        vm.warp(NOW + 1 days);
        hostile.setAnswer(false);
        vm.expectRevert(failed());
        registry.withdraw();
        hostile.setAnswer(true);
        assertEq(registry.withdraw(), STAKE, "withdrawn");
    }

    function test_a_fee_is_refused_on_every_way_in() external {
        hostile.setFee(1);
        vm.expectRevert(mismatch(STAKE - 1, STAKE));
        registry.register(vm.addr(1), TRAINER, STAKE, "", 0);
        vm.expectRevert(mismatch(escrowed() - 1, escrowed()));
        create();
        hostile.setFee(0);
        registry.register(vm.addr(1), TRAINER, STAKE, "", 0);
        hostile.setFee(1);
        vm.expectRevert(mismatch(0, 1));
        registry.addStake(1);
    }

    /// The token calls `victim` in the middle of a refund; what it got back.
    function outcomeDuringRefund(address victim, bytes memory data) private returns (bytes32) {
        uint256 job = create();
        board.cancel(job);
        hostile.callBack(victim, data);
        uint256 before = hostile.balanceOf(address(this));
        board.refund(job);
        assertEq(hostile.balanceOf(address(this)) - before, escrowed(), "refunded once");
        assertEq(hostile.balanceOf(address(board)), 0, "left");
        return bytes32(bytes4(hostile.outcome()));
    }

    function test_nobody_reenters_the_board() external {
        bytes32 barred = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;
        address here = address(board);
        assertEq(outcomeDuringRefund(here, abi.encodeCall(board.refund, (1))), barred, "refund");
        assertEq(outcomeDuringRefund(here, abi.encodeCall(board.claim, (address(this), new uint256[](0)))), barred, "claim");
        assertEq(outcomeDuringRefund(here, abi.encodeCall(board.claimFees, (address(this)))), barred, "fees");
        assertEq(outcomeDuringRefund(here, abi.encodeCall(board.createJob, (terms(), 0))), barred, "create");
        Permit memory none;
        bytes memory carried = abi.encodeCall(board.createJobFor, (address(this), terms(), 0, 1, NOW, "", none));
        assertEq(outcomeDuringRefund(here, carried), barred, "create for another");
    }

    function test_nobody_reenters_the_registry() external {
        bytes32 barred = ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector;
        bytes[4] memory calls = [
            abi.encodeCall(registry.register, (vm.addr(2), TRAINER, 0, "", 0)),
            abi.encodeCall(registry.addStake, (1)),
            abi.encodeCall(registry.withdraw, ()),
            abi.encodeCall(registry.settleSlash, (1))
        ];
        registry.register(vm.addr(1), TRAINER, STAKE, "", 0);
        for (uint256 i = 0; i < calls.length; ++i) {
            hostile.callBack(address(registry), calls[i]);
            registry.addStake(1);
            assertEq(bytes32(bytes4(hostile.outcome())), barred, "barred");
        }
        assertEq(registry.providerOf(address(this)).free, STAKE + 4, "stake");
    }

    function test_a_requester_who_cannot_receive_holds_up_nobody() external {
        uint256 job = create();
        enrolFirst();
        uint256 member = join(job, 1, TRAINER, STAKE);
        markRunning(job);
        settle(job, 1, abi.encodePacked(uint16(member), uint32(1000)), address(0xc00d), 7);
        exhaust(job);
        vm.warp(NOW + 1 hours); // nothing can be appealed any more
        hostile.refuse(address(this));
        vm.expectRevert("refused");
        board.refund(job);
        payOthers(job);
        hostile.refuse(address(0));
        board.refund(job);
        assertEq(hostile.balanceOf(address(board)), 0, "left");
    }

    function payOthers(uint256 job) private {
        uint256[] memory jobs = new uint256[](1);
        jobs[0] = job;
        assertEq(board.claim(owner(1), jobs), 1000 * board.jobOf(job).quantum, "pay");
        assertEq(board.claimFees(address(0xc00d)), 7, "fee");
        address[] memory providers = new address[](1);
        providers[0] = owner(1);
        board.release(job, providers);
        assertEq(registry.providerOf(owner(1)).free, STAKE, "stake is free");
    }

    function test_a_provider_who_cannot_receive_keeps_its_credit() external {
        enrolFirst();
        uint256 job = create();
        uint256 member = join(job, 1, TRAINER, STAKE);
        markRunning(job);
        settle(job, 1, abi.encodePacked(uint16(member), uint32(5)), address(0), 0);
        hostile.refuse(owner(1));
        uint256[] memory jobs = new uint256[](1);
        jobs[0] = job;
        vm.expectRevert("refused");
        board.claim(owner(1), jobs);
        exhaust(job);
        board.refund(job);
        hostile.refuse(address(0));
        assertEq(board.claim(owner(1), jobs), 5 * board.jobOf(job).quantum, "pay");
        assertEq(hostile.balanceOf(address(board)), 0, "left");
    }

    // Dust and rounding over thousands of rounds: the books match the money to the wei, and all of it comes out.

    function test_thousands_of_rounds_at_the_least_price() external {
        play(1, 1);
    }

    function test_thousands_of_rounds_at_a_price_of_a_gwei() external {
        play(2, 1e9 + 7);
    }

    function test_thousands_of_rounds_at_an_odd_price() external {
        play(3, 1_234_567_890_123_456_789_012_345);
    }

    function play(uint256 seed, uint128 price) private {
        JobParameters memory asked = terms();
        asked.rounds = 3000;
        asked.pricePerRound = price;
        uint256 escrow = uint256(asked.rounds) * asked.pricePerRound + seed % 3000;
        uint256 job = board.createJob(asked, escrow);
        uint256 quantum = board.jobOf(job).quantum;
        enrolFirst();
        uint256 member = join(job, 1, TRAINER, STAKE);
        markRunning(job);
        uint256 units;
        uint256 fees;
        for (uint256 round = 1; round <= asked.rounds; ++round) {
            uint256 random = uint256(keccak256(abi.encode(seed, round)));
            uint256 fee = random % (asked.pricePerRound / 10 + 1);
            uint256 pay = (random >> 128) % ((asked.pricePerRound - fee) / quantum + 1);
            settle(job, round, abi.encodePacked(uint16(member), uint32(pay)), address(0xc00d), fee);
            (units, fees) = (units + pay, fees + fee);
        }
        assertFalse(endRound(job));
        assertEq(board.jobOf(job).escrow, escrow - units * quantum - fees, "escrow");
        drain(job, units * quantum, fees);
    }

    function drain(uint256 job, uint256 earned, uint256 fees) private {
        uint256[] memory jobs = new uint256[](1);
        jobs[0] = job;
        if (earned != 0) assertEq(board.claim(owner(1), jobs), earned, "pay");
        if (fees != 0) assertEq(board.claimFees(address(0xc00d)), fees, "fees");
        if (board.jobOf(job).escrow != 0) board.refund(job);
        assertEq(hostile.balanceOf(address(board)), 0, "left");
    }
}
