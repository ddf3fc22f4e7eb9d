// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {TRAINER, VALIDATOR} from "../../contracts/interfaces/IProviderRegistry.sol";
import {IJobBoard, Job, JobParameters, JobState, Permit} from "../../contracts/interfaces/IJobBoard.sol";
import {BoardKit} from "./support/BoardKit.sol";

contract JobBoardTest is BoardKit {
    uint256 private constant ESCROW = 3 * PRICE;

    function stateOf(uint256 job) private view returns (uint256) {
        return uint256(board.jobOf(job).state);
    }

    function test_createJob() external {
        token.transfer(requester(), ESCROW + 5);
        vm.startPrank(requester());
        token.approve(address(board), ESCROW + 5);
        uint256 quantum = (ESCROW + 5) / 2 ** 31 + 1;
        JobParameters memory asked = terms();
        vm.expectEmit(address(board));
        emit IJobBoard.JobCreated(1, requester(), asked.specDigest, ESCROW + 5, quantum, 1, asked);
        uint256 job = board.createJob(asked, ESCROW + 5);
        vm.stopPrank();
        Job memory its = board.jobOf(job);
        assertEq(its.requester, requester());
        assertEq(uint256(its.state), uint256(JobState.Recruiting));
        assertEq(its.parametersVersion, 1);
        assertEq(its.escrow, ESCROW + 5);
        assertEq(its.quantum, quantum);
        assertEq(keccak256(abi.encode(its.parameters)), keccak256(abi.encode(asked)));
        assertEq(board.jobCount(), 1);
        assertEq(token.balanceOf(address(board)), ESCROW + 5);
    }

    function refuses(JobParameters memory asked, string memory field, uint256 value, uint256 limit) private {
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.JobParameterInvalid.selector, field, value, limit));
        board.createJob(asked, type(uint128).max);
    }

    function test_contentAndCountsOutOfBounds() external {
        JobParameters memory p = terms();
        p.specDigest = 0;
        refuses(p, "specDigest", 0, 1);
        p = terms();
        p.initialModel = 0;
        refuses(p, "initialModel", 0, 1);
        p = terms();
        p.rounds = 0;
        refuses(p, "rounds", 0, 1);
        p.rounds = 1_000_001;
        refuses(p, "rounds", 1_000_001, 1_000_000);
        p = terms();
        p.maxTrainers = 1025;
        refuses(p, "maxTrainers", 1025, 1024);
        p.maxTrainers = 0;
        refuses(p, "maxTrainers", 0, 1);
        p = terms();
        p.minTrainers = 0;
        refuses(p, "minTrainers", 0, 1);
        (p.minTrainers, p.maxTrainers) = (6, 5);
        refuses(p, "minTrainers", 6, 5);
        p = terms();
        p.maxFailedRounds = 10_001;
        refuses(p, "maxFailedRounds", 10_001, 10_000);
        p = terms();
        p.recruitUntil = uint64(NOW + 366 days);
        refuses(p, "recruitUntil", NOW + 366 days, NOW + 365 days);
    }

    function test_sharesCommitteeAndStakeOutOfBounds() external {
        JobParameters memory p = terms();
        p.validatorShareBps = 10_001;
        refuses(p, "validatorShareBps", 10_001, 10_000);
        p = terms();
        p.coordinatorShareBps = 8001;
        refuses(p, "coordinatorShareBps", 8001, 8000);
        p = terms();
        p.committeeSize = 0;
        refuses(p, "committeeSize", 0, 1);
        p.committeeSize = 11;
        refuses(p, "committeeSize", 11, 9); // times 1024: more scores than a transaction can count
        (p.committeeSize, p.maxTrainers) = (4, 100);
        refuses(p, "committeeSize", 4, 15);
        p.committeeSize = 17;
        refuses(p, "committeeSize", 17, 15);
        p = terms();
        p.minStake = 1e9 - 1;
        refuses(p, "minStake", 1e9 - 1, 1e9);
        p.minStake = uint128((1 << 53) * 1e9);
        refuses(p, "minStake", (1 << 53) * 1e9, ((1 << 53) - 1) * 1e9);
    }

    function test_everyBoundItselfIsAllowed() external {
        JobParameters memory p = terms();
        (p.validatorShareBps, p.coordinatorShareBps, p.maxFailedRounds, p.recruitUntil) = (0, 0, 0, 0);
        (p.rounds, p.pricePerRound, p.minTrainers, p.maxTrainers, p.committeeSize) = (1, 1, 1, 1, 1);
        p.minStake = 1e9;
        (p.commitWindow, p.revealWindow, p.ballotCommitWindow, p.ballotRevealWindow, p.attestWindow) = (10, 10, 10, 10, 10);
        post(p);
        (p.validatorShareBps, p.coordinatorShareBps) = (2000, 8000);
        (p.maxFailedRounds, p.recruitUntil, p.rounds) = (10_000, uint64(NOW + 365 days), 1_000_000);
        (p.minTrainers, p.maxTrainers, p.committeeSize) = (1024, 1024, 9);
        p.minStake = uint128(((1 << 53) - 1) * 1e9);
        uint32 day = 1 days;
        (p.commitWindow, p.revealWindow, p.ballotCommitWindow, p.ballotRevealWindow, p.attestWindow) = (day, day, day, day, day);
        post(p);
        (p.minTrainers, p.maxTrainers, p.committeeSize) = (1, 666, 15);
        assertEq(post(p), 3, "the most seats");
    }

    function test_windowsOutOfBounds() external {
        JobParameters memory p = terms();
        p.commitWindow = 9;
        refuses(p, "commitWindow", 9, 10);
        p = terms();
        p.revealWindow = 1 days + 1;
        refuses(p, "revealWindow", 1 days + 1, 1 days);
        p = terms();
        p.ballotCommitWindow = 9;
        refuses(p, "ballotCommitWindow", 9, 10);
        p = terms();
        p.ballotRevealWindow = 1 days + 1;
        refuses(p, "ballotRevealWindow", 1 days + 1, 1 days);
        p = terms();
        p.attestWindow = 9;
        refuses(p, "attestWindow", 9, 10);
    }

    function test_escrowMustCoverEveryRound() external {
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.EscrowTooLow.selector, ESCROW - 1, ESCROW));
        board.createJob(terms(), ESCROW - 1);
    }

    function test_quantumFitsItsBits() external {
        uint256 tooMuch = 2 ** 127;
        vm.expectRevert(abi.encodeWithSelector(SafeCast.SafeCastOverflowedUintDowncast.selector, 96, 2 ** 96 + 1));
        board.createJob(terms(), tooMuch);
    }

    function test_unknownJobs() external {
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.JobUnknown.selector, 1));
        board.jobOf(1);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.JobUnknown.selector, 1));
        board.refund(1);
    }

    function signOffer(uint256 by, JobParameters memory asked, uint256 nonce, uint256 deadline)
        private
        view
        returns (bytes memory)
    {
        bytes32 typeHash = keccak256(
            "JobOffer(address requester,bytes32 parametersHash,uint256 escrow,uint256 nonce,uint256 deadline)"
        );
        bytes32 asking = keccak256(abi.encode(asked));
        return sign(by, keccak256(abi.encode(typeHash, requester(), asking, ESCROW, nonce, deadline)));
    }

    function signPermit(uint256 value) private view returns (Permit memory permit) {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash = keccak256(
            abi.encode(typeHash, requester(), address(board), value, token.nonces(requester()), NOW)
        );
        (permit.value, permit.deadline) = (value, NOW);
        (permit.v, permit.r, permit.s) =
            vm.sign(REQUESTER_KEY, hashTyped(token.DOMAIN_SEPARATOR(), structHash));
    }

    function carry(uint256 nonce, bytes memory signature, Permit memory permit) private returns (uint256) {
        return board.createJobFor(requester(), terms(), ESCROW, nonce, NOW, signature, permit);
    }

    function test_carriedOfferWithPermit() external {
        token.transfer(requester(), ESCROW);
        uint256 job = carry(7, signOffer(REQUESTER_KEY, terms(), 7, NOW), signPermit(ESCROW));
        assertEq(board.jobOf(job).requester, requester());
        assertEq(token.balanceOf(requester()), 0);
        assertTrue(board.isOfferUsed(requester(), 7));
    }

    /// It would take back the allowance that is there.
    function test_aPermitOfNothingIsNotUsed() external {
        token.transfer(requester(), ESCROW);
        vm.prank(requester());
        token.approve(address(board), ESCROW);
        assertEq(carry(7, signOffer(REQUESTER_KEY, terms(), 7, NOW), signPermit(0)), 1);
        assertEq(token.nonces(requester()), 0, "the permit is unused");
    }

    function test_permitUsedByAnotherFirstDoesNoHarm() external {
        token.transfer(requester(), ESCROW);
        Permit memory permit = signPermit(ESCROW);
        token.permit(requester(), address(board), permit.value, permit.deadline, permit.v, permit.r, permit.s);
        assertEq(carry(7, signOffer(REQUESTER_KEY, terms(), 7, NOW), permit), 1);
    }

    function testFuzz_eachOfferCountsOnce(uint256 nonce, uint256 other) external {
        vm.assume(nonce != other);
        token.transfer(requester(), ESCROW);
        bytes memory signature = signOffer(REQUESTER_KEY, terms(), nonce, NOW);
        carry(nonce, signature, signPermit(ESCROW));
        assertTrue(board.isOfferUsed(requester(), nonce));
        assertFalse(board.isOfferUsed(requester(), other));
        assertFalse(board.isOfferUsed(address(board), nonce));
        Permit memory none;
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.OfferUsed.selector, requester(), nonce));
        carry(nonce, signature, none);
    }

    function test_offerRefusals() external {
        token.transfer(requester(), 2 * ESCROW);
        vm.prank(requester());
        token.approve(address(board), 2 * ESCROW);
        Permit memory none;
        bytes memory signature = signOffer(REQUESTER_KEY, terms(), 7, NOW);
        carry(7, signature, none);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.OfferUsed.selector, requester(), 7));
        carry(7, signature, none);
        vm.expectPartialRevert(IJobBoard.SignatureWrong.selector);
        carry(8, signature, none);
        bytes memory forged = signOffer(key(1), terms(), 9, NOW);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.SignatureWrong.selector, vm.addr(key(1)), requester()));
        carry(9, forged, none);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.SignatureWrong.selector, address(0), requester()));
        carry(9, abi.encodePacked(signature, uint8(1)), none);
        vm.warp(NOW + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.SignatureExpired.selector, NOW));
        carry(9, signature, none);
    }

    function test_cancelWhileRecruitingRefundsAll() external {
        uint256 job = post(terms());
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.NotRequester.selector, address(this), requester()));
        board.cancel(job);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.JobStateWrong.selector, job, JobState.Recruiting));
        board.refund(job);
        vm.prank(requester());
        board.cancel(job);
        assertEq(stateOf(job), uint256(JobState.Cancelled));
        vm.expectEmit(address(board));
        emit IJobBoard.EscrowRefunded(job, requester(), ESCROW);
        assertEq(board.refund(job), ESCROW);
        assertEq(token.balanceOf(requester()), ESCROW);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.NothingToRefund.selector, job));
        board.refund(job);
        vm.prank(requester());
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.JobStateWrong.selector, job, JobState.Cancelled));
        board.cancel(job);
    }

    function test_cancelWhileRunningLetsTheRoundEnd() external {
        uint256 job = post(terms());
        markRunning(job);
        vm.prank(requester());
        board.cancel(job);
        assertEq(stateOf(job), uint256(JobState.Cancelling));
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.JobStateWrong.selector, job, JobState.Cancelling));
        board.refund(job);
        settle(job, 1, "", address(3), 10);
        assertFalse(endRound(job));
        assertEq(stateOf(job), uint256(JobState.Cancelled));
        assertEq(board.refund(job), ESCROW - 10);
    }

    function test_jobCompletesAfterItsRounds() external {
        uint256 job = post(terms());
        markRunning(job);
        for (uint256 round = 1; round <= 3; ++round) {
            settle(job, round, "", address(3), 1);
            assertEq(endRound(job), round < 3);
        }
        assertEq(stateOf(job), uint256(JobState.Completed));
        assertEq(board.jobOf(job).finalisedRounds, 3);
        assertEq(board.refund(job), ESCROW - 3);
    }

    function test_jobIsExhaustedByFailedRounds() external {
        uint256 job = post(terms());
        markRunning(job);
        vm.prank(address(rounds));
        board.recordFailedRound(job);
        assertTrue(endRound(job));
        vm.prank(address(rounds));
        board.recordFailedRound(job);
        assertFalse(endRound(job));
        assertEq(stateOf(job), uint256(JobState.Exhausted));
        assertEq(board.jobOf(job).failedRounds, 2);
    }

    function test_markRunningOnce() external {
        uint256 job = post(terms());
        markRunning(job);
        vm.prank(address(rounds));
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.JobStateWrong.selector, job, JobState.Running));
        board.markRunning(job);
    }

    function test_onlyRounds() external {
        bytes memory refused = abi.encodeWithSelector(IJobBoard.NotRounds.selector, address(this));
        vm.expectRevert(refused);
        board.markRunning(1);
        vm.expectRevert(refused);
        board.settleRound(1, 1, "", address(1), 1);
        vm.expectRevert(refused);
        board.recordFailedRound(1);
        vm.expectRevert(refused);
        board.endRound(1);
    }

    function test_readyOnceRecruited() external {
        JobParameters memory asked = terms();
        (asked.maxTrainers, asked.minTrainers) = (2, 2);
        uint256 job = post(asked);
        enrolAndJoin(job, 1, TRAINER, STAKE);
        assertFalse(board.isReady(job), "one trainer");
        enrolAndJoin(job, 2, TRAINER, STAKE);
        assertFalse(board.isReady(job), "no validator");
        enrolAndJoin(job, 3, VALIDATOR, STAKE);
        assertTrue(board.isReady(job), "full");
        quit(job, 2);
        vm.warp(asked.recruitUntil);
        assertFalse(board.isReady(job), "too few");
        join(job, 2, TRAINER, STAKE);
        assertTrue(board.isReady(job));
        markRunning(job);
        assertFalse(board.isReady(job), "running");
    }

    function test_recruitsUntilItsTime() external {
        uint256 job = post(terms());
        enrolAndJoin(job, 1, TRAINER | VALIDATOR, STAKE);
        vm.warp(terms().recruitUntil - 1);
        assertFalse(board.isReady(job));
        vm.warp(terms().recruitUntil);
        assertTrue(board.isReady(job));
    }
}
