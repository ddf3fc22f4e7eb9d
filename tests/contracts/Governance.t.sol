// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";
import {IJobBoard, JobParameters, JobState, Permit} from "../../contracts/interfaces/IJobBoard.sol";
import {IParameters, ProtocolParameters} from "../../contracts/interfaces/IParameters.sol";
import {TRAINER, VALIDATOR} from "../../contracts/interfaces/IProviderRegistry.sol";
import {BoardKit} from "./support/BoardKit.sol";

/// A contract that signs: it takes one digest for its own, whatever the signature's bytes are.
contract Wallet {
    bytes32 private _digest;

    function approve(bytes32 digest) external {
        _digest = digest;
    }

    function isValidSignature(bytes32 digest, bytes calldata) external view returns (bytes4) {
        return digest == _digest ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}

/// Who governs can keep newcomers out and set the rules of jobs to come; never more.
contract GovernanceTest is BoardKit {
    uint64 private constant GUARDIAN_ROLE = 1;
    address private constant GUARDIAN = address(0x6a);
    address private constant ADMIN = address(0xad);
    uint32 private constant DELAY = 2 days;

    /// As `commonweal.adapters.deploying` hands a deployment over.
    function setUp() public override {
        super.setUp();
        bytes4[] memory both = new bytes4[](2);
        (both[0], both[1]) = (IParameters.pauseEntry.selector, IParameters.resumeEntry.selector);
        manager.setTargetFunctionRole(address(parameters), both, GUARDIAN_ROLE);
        manager.grantRole(GUARDIAN_ROLE, GUARDIAN, 0);
        manager.grantRole(0, ADMIN, DELAY);
        manager.renounceRole(0, address(this));
    }

    function pause() private {
        vm.prank(GUARDIAN);
        parameters.pauseEntry();
    }

    function refuse(bytes4 reason) private {
        vm.expectRevert(abi.encodeWithSelector(reason));
    }

    // Pause

    function test_pause_closes_every_entry() public {
        uint256 job = post(terms());
        enrol(1, TRAINER | VALIDATOR, STAKE);
        vm.expectEmit(address(parameters));
        emit IParameters.EntryPaused();
        pause();
        bytes memory signature = signJoin(job, 1, key(1), TRAINER, STAKE, block.timestamp);
        refuse(IParameters.EntryIsPaused.selector);
        board.joinJob(job, owner(1), TRAINER, STAKE, block.timestamp, new bytes32[](0), signature);
        refuse(IParameters.EntryIsPaused.selector);
        board.createJob(terms(), 3 * PRICE);
        refuse(IParameters.EntryIsPaused.selector);
        registry.register(vm.addr(key(2)), TRAINER, 0, "", 0);
        vm.prank(GUARDIAN);
        parameters.resumeEntry();
        board.joinJob(job, owner(1), TRAINER, STAKE, block.timestamp, new bytes32[](0), signature);
        enrol(2, TRAINER, STAKE);
        post(terms());
    }

    function test_pause_closes_no_exit() public {
        uint256 job = post(terms());
        uint256 second = post(terms());
        for (uint256 i = 0; i < 3; ++i) {
            enrolAndJoin(job, i, TRAINER | VALIDATOR, STAKE);
        }
        pause();
        quit(job, 2);
        markRunning(job);
        settle(job, 1, abi.encodePacked(uint16(0), uint32(1000), uint16(1), uint32(7)), ADMIN, 5);
        uint256[] memory jobs = new uint256[](1);
        jobs[0] = job;
        board.claim(owner(0), jobs);
        board.claimFees(ADMIN);
        vm.startPrank(requester());
        board.cancel(second);
        board.cancel(job);
        vm.stopPrank();
        assertEq(board.refund(second), 3 * PRICE, "refund");
        assertFalse(endRound(job), "the last round ends");
        assertTrue(board.refund(job) != 0, "refund");
        address[] memory everybody = new address[](2);
        (everybody[0], everybody[1]) = (owner(0), owner(1));
        vm.warp(block.timestamp + 1 hours);
        board.release(job, everybody);
        vm.startPrank(owner(0));
        registry.unbond(STAKE);
        vm.warp(block.timestamp + 1 days);
        assertEq(registry.withdraw(), STAKE, "withdrawn");
        vm.stopPrank();
        jail(1);
        vm.warp(block.timestamp + 2 hours);
        vm.prank(owner(1));
        registry.unjail();
    }

    function test_only_the_guardian_pauses() public {
        bytes memory reason = abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, address(this));
        vm.expectRevert(reason);
        parameters.pauseEntry();
        pause();
        vm.expectRevert(reason);
        parameters.resumeEntry();
    }

    // Timelock

    function test_parameters_wait_for_the_timelock() public {
        ProtocolParameters memory next = rules();
        next.invalidSlashBps = 9999;
        bytes memory call = abi.encodeCall(IParameters.publish, (next));
        vm.startPrank(ADMIN);
        vm.expectRevert();
        parameters.publish(next);
        manager.schedule(address(parameters), call, 0);
        vm.warp(block.timestamp + DELAY - 1);
        vm.expectPartialRevert(IAccessManager.AccessManagerNotReady.selector);
        parameters.publish(next);
        vm.warp(block.timestamp + 1);
        assertEq(parameters.publish(next), 2, "version");
        vm.stopPrank();
    }

    function test_a_guardian_does_not_publish() public {
        vm.prank(GUARDIAN);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, GUARDIAN));
        parameters.publish(rules());
    }

    // Contracts that sign

    function test_a_contract_can_offer_a_job() public {
        Wallet wallet = new Wallet();
        token.transfer(address(wallet), 3 * PRICE);
        vm.prank(address(wallet));
        token.approve(address(board), 3 * PRICE);
        bytes32 form = keccak256("JobOffer(address requester,bytes32 parametersHash,uint256 escrow,uint256 nonce,uint256 deadline)");
        bytes32 offer = keccak256(abi.encode(form, wallet, keccak256(abi.encode(terms())), 3 * PRICE, uint256(4), block.timestamp));
        Permit memory none;
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.SignatureWrong.selector, address(0), address(wallet)));
        board.createJobFor(address(wallet), terms(), 3 * PRICE, 4, block.timestamp, "anything", none);
        wallet.approve(hashTyped(computeDomainSeparator(address(board)), offer));
        uint256 job = board.createJobFor(address(wallet), terms(), 3 * PRICE, 4, block.timestamp, "anything", none);
        assertEq(board.jobOf(job).requester, address(wallet), "requester");
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.OfferUsed.selector, address(wallet), 4));
        board.createJobFor(address(wallet), terms(), 3 * PRICE, 4, block.timestamp, "anything", none);
        vm.prank(address(wallet));
        board.cancel(job);
        board.refund(job);
        assertEq(token.balanceOf(address(wallet)), 3 * PRICE, "back");
    }

    function test_a_contract_can_be_an_operator_that_joins() public {
        Wallet wallet = new Wallet();
        enrol(1, TRAINER, STAKE);
        vm.prank(owner(1));
        registry.setOperator(address(wallet));
        uint256 job = post(terms());
        bytes32 form = keccak256("JobJoin(uint256 job,address provider,uint8 roles,uint256 stake,uint256 nonce,uint256 deadline)");
        bytes32 message = keccak256(abi.encode(form, job, owner(1), TRAINER, STAKE, uint256(0), block.timestamp));
        wallet.approve(hashTyped(computeDomainSeparator(address(board)), message));
        board.joinJob(job, owner(1), TRAINER, STAKE, block.timestamp, new bytes32[](0), "");
        assertEq(board.memberIndexOf(job, owner(1)), 0, "member");
    }

    /// An account may have code and still sign with its key.
    function test_a_key_with_code_still_signs() public {
        enrol(1, TRAINER, STAKE);
        uint256 job = post(terms());
        vm.etch(vm.addr(key(1)), hex"00");
        join(job, 1, TRAINER, STAKE);
        assertEq(board.memberIndexOf(job, owner(1)), 0, "member");
    }
}
