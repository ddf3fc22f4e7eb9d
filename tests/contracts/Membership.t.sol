// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobBoard, JobParameters, JobState, Member} from "../../contracts/interfaces/IJobBoard.sol";
import {IProviderRegistry, Provider, TRAINER, VALIDATOR} from "../../contracts/interfaces/IProviderRegistry.sol";
import {BoardKit} from "./support/BoardKit.sol";

contract MembershipTest is BoardKit {
    uint8 private constant BOTH = TRAINER | VALIDATOR;
    uint256 private job;

    function setUp() public override {
        super.setUp();
        job = post(terms());
    }

    function operatorOf(uint256 member) private view returns (address) {
        address[] memory one = board.operatorsOf(job, abi.encodePacked(uint16(member)));
        assertEq(one.length, 1, "as many as were asked for");
        return one[0];
    }

    /// Four or more take the way over the sealed page.
    function batchOf(uint256 member) private view returns (address) {
        return board.operatorsOf(job, abi.encodePacked(uint16(member), uint16(member), uint16(member), uint16(member)))[3];
    }

    function assertOperator(uint256 member, address operator) private view {
        assertEq(operatorOf(member), operator, "alone");
        assertEq(batchOf(member), operator, "in a batch");
    }

    function test_join() external {
        enrol(1, BOTH, 3 * STAKE);
        vm.expectEmit(address(board));
        emit IJobBoard.MemberJoined(job, 0, owner(1), vm.addr(key(1)), BOTH, 2 * STAKE);
        assertEq(join(job, 1, BOTH, 2 * STAKE), 0);
        Member memory its = board.memberOf(job, 0);
        assertEq(its.provider, owner(1));
        assertEq(its.operator, vm.addr(key(1)));
        assertEq(its.roles, BOTH);
        assertTrue(its.active);
        assertEq(its.stake, 2 * STAKE);
        assertEq(its.credit, 0);
        assertEq(registry.providerOf(owner(1)).locked, 2 * STAKE);
        assertEq(board.memberIndexOf(job, owner(1)), 0);
        assertEq(board.memberNonce(job, owner(1)), 1);
        assertEq(board.jobOf(job).activeTrainers, 1);
        assertEq(board.jobOf(job).activeValidators, 1);
        assertEq(board.trainersOf(job)[0], 1);
        assertOperator(0, vm.addr(key(1)));
    }

    function tryJoin(uint256 i, uint8 roles, uint256 stake, bytes memory data) private {
        bytes memory signature = signJoin(job, i, key(i), roles, stake, NOW);
        vm.expectRevert(data);
        board.joinJob(job, owner(i), roles, stake, NOW, new bytes32[](0), signature);
    }

    function test_joinRefusals() external {
        enrol(1, TRAINER, STAKE);
        tryJoin(1, TRAINER, STAKE - 1, abi.encodeWithSelector(IJobBoard.MemberStakeTooLow.selector, STAKE - 1, STAKE));
        uint256 limit = ((1 << 53) - 1) * 1e9;
        tryJoin(1, TRAINER, limit + 1, abi.encodeWithSelector(IJobBoard.MemberStakeTooHigh.selector, limit + 1, limit));
        bytes memory poor = abi.encodeWithSelector(IProviderRegistry.StakeTooLow.selector, owner(1), STAKE, STAKE + 1);
        tryJoin(1, TRAINER, STAKE + 1, poor);
        tryJoin(1, BOTH, STAKE, abi.encodeWithSelector(IJobBoard.RolesNotHeld.selector, owner(1), BOTH, TRAINER));
        tryJoin(1, 0, STAKE, abi.encodeWithSelector(IJobBoard.RolesNotHeld.selector, owner(1), 0, TRAINER));
        join(job, 1, TRAINER, STAKE);
        tryJoin(1, TRAINER, STAKE, abi.encodeWithSelector(IJobBoard.MemberExists.selector, job, owner(1)));
        address nobody = vm.addr(key(2));
        tryJoin(2, TRAINER, STAKE, abi.encodeWithSelector(IJobBoard.SignatureWrong.selector, nobody, address(0)));
    }

    function test_joinSignatures() external {
        enrol(1, TRAINER, STAKE);
        bytes memory forged = signJoin(job, 1, key(2), TRAINER, STAKE, NOW);
        vm.expectRevert(
            abi.encodeWithSelector(IJobBoard.SignatureWrong.selector, vm.addr(key(2)), vm.addr(key(1)))
        );
        board.joinJob(job, owner(1), TRAINER, STAKE, NOW, new bytes32[](0), forged);
        bytes memory signed = signJoin(job, 1, key(1), TRAINER, STAKE, NOW);
        vm.expectPartialRevert(IJobBoard.SignatureWrong.selector);
        board.joinJob(job, owner(1), TRAINER, STAKE, NOW + 1, new bytes32[](0), signed);
        board.joinJob(job, owner(1), TRAINER, STAKE, NOW, new bytes32[](0), signed);
        quit(job, 1);
        vm.expectPartialRevert(IJobBoard.SignatureWrong.selector); // replayed
        board.joinJob(job, owner(1), TRAINER, STAKE, NOW, new bytes32[](0), signed);
        vm.warp(NOW + 1);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.SignatureExpired.selector, NOW));
        board.joinJob(job, owner(1), TRAINER, STAKE, NOW, new bytes32[](0), signed);
    }

    function test_jailedCannotJoin() external {
        enrol(1, TRAINER, STAKE);
        jail(1);
        bytes memory jailed =
            abi.encodeWithSelector(IProviderRegistry.ProviderIsJailed.selector, owner(1), NOW + 2 hours);
        tryJoin(1, TRAINER, STAKE, jailed);
    }

    function test_trainersAreLimited() external {
        JobParameters memory asked = terms();
        asked.maxTrainers = 1;
        job = post(asked);
        enrolAndJoin(job, 1, TRAINER, STAKE);
        enrol(2, BOTH, STAKE);
        tryJoin(2, BOTH, STAKE, abi.encodeWithSelector(IJobBoard.JobFull.selector, job, 1));
        assertEq(join(job, 2, VALIDATOR, STAKE), 1);
    }

    function test_allowlist() external {
        bytes32 first = keccak256(bytes.concat(keccak256(abi.encode(owner(1)))));
        bytes32 second = keccak256(bytes.concat(keccak256(abi.encode(owner(2)))));
        JobParameters memory asked = terms();
        asked.allowlistRoot =
            first < second ? keccak256(abi.encode(first, second)) : keccak256(abi.encode(second, first));
        job = post(asked);
        enrol(1, TRAINER, STAKE);
        tryJoin(1, TRAINER, STAKE, abi.encodeWithSelector(IJobBoard.NotOnAllowlist.selector, job, owner(1)));
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = second;
        bytes memory signature = signJoin(job, 1, key(1), TRAINER, STAKE, NOW);
        board.joinJob(job, owner(1), TRAINER, STAKE, NOW, proof, signature);
    }

    function test_nobodyMovesWhileADrawIsPending() external {
        enrolAndJoin(job, 1, BOTH, STAKE);
        enrol(2, BOTH, STAKE);
        rounds.setDrawPending(job, true);
        bytes memory pending = abi.encodeWithSelector(IJobBoard.DrawPending.selector, job);
        tryJoin(2, BOTH, STAKE, pending);
        bytes memory leaving = signLeave(job, 1, key(1), NOW);
        vm.expectRevert(pending);
        board.leaveJob(job, owner(1), NOW, leaving);
        jail(1);
        vm.expectRevert(pending);
        board.eject(job, owner(1));
    }

    function test_leaveAndComeBackUnderTheSameIndex() external {
        enrolAndJoin(job, 1, BOTH, STAKE);
        enrolAndJoin(job, 2, BOTH, 2 * STAKE);
        vm.expectEmit(address(board));
        emit IJobBoard.MemberLeft(job, 0, owner(1), STAKE);
        quit(job, 1);
        Member memory its = board.memberOf(job, 0);
        assertFalse(its.active);
        assertEq(its.stake, STAKE, "kept for faults");
        assertEq(registry.providerOf(owner(1)).free, STAKE);
        assertEq(board.jobOf(job).activeTrainers, 1);
        assertEq(board.trainersOf(job)[0], 2);
        assertOperator(0, address(0));
        assertEq(board.drawCommittee(job, 5, 0).length, 1);
        assertEq(join(job, 1, VALIDATOR, STAKE), 0);
        assertEq(board.jobOf(job).members, 2);
        assertEq(board.jobOf(job).activeValidators, 2);
        assertEq(board.trainersOf(job)[0], 2);
        assertOperator(0, vm.addr(key(1)));
        assertEq(board.drawCommittee(job, 5, 0).length, 2);
    }

    function test_leaveRefusals() external {
        enrolAndJoin(job, 1, BOTH, STAKE);
        bytes memory forged = signLeave(job, 1, key(2), NOW);
        vm.expectRevert(
            abi.encodeWithSelector(IJobBoard.SignatureWrong.selector, vm.addr(key(2)), vm.addr(key(1)))
        );
        board.leaveJob(job, owner(1), NOW, forged);
        rounds.setEngaged(job, 0, true);
        bytes memory leaving = signLeave(job, 1, key(1), NOW);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.MemberEngaged.selector, job, 0));
        board.leaveJob(job, owner(1), NOW, leaving);
        rounds.setEngaged(job, 0, false);
        board.leaveJob(job, owner(1), NOW, leaving);
        bytes memory unknown = abi.encodeWithSelector(IJobBoard.MemberUnknown.selector, job, owner(1));
        vm.expectRevert(unknown);
        board.leaveJob(job, owner(1), NOW, leaving);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.MemberUnknown.selector, job, owner(2)));
        board.memberIndexOf(job, owner(2));
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.MemberUnknown.selector, job, address(0)));
        board.memberOf(job, 1);
    }

    function test_ejectOnlyTheJailed() external {
        enrolAndJoin(job, 1, BOTH, STAKE);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderNotJailed.selector, owner(1)));
        board.eject(job, owner(1));
        jail(1);
        rounds.setEngaged(job, 0, true);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.MemberEngaged.selector, job, 0));
        board.eject(job, owner(1));
        rounds.setEngaged(job, 0, false);
        board.eject(job, owner(1));
        assertFalse(board.memberOf(job, 0).active);
        assertEq(board.drawCommittee(job, 1, 0).length, 0);
    }

    function test_ejectWhoseStakeNoLongerBacksItsWeight() external {
        enrolAndJoin(job, 1, BOTH, STAKE);
        vm.prank(FAULTS);
        registry.slash(owner(1), 1, address(0), 1);
        board.eject(job, owner(1));
        assertEq(board.drawCommittee(job, 1, 0).length, 0);
    }

    /// Or a slash proven afterwards, sized by the stake locked last, could be made small.
    function test_whoComesBackLocksNoLess() external {
        enrol(1, BOTH, 3 * STAKE);
        join(job, 1, BOTH, 2 * STAKE);
        quit(job, 1);
        tryJoin(1, BOTH, 2 * STAKE - 1, abi.encodeWithSelector(IJobBoard.MemberStakeTooLow.selector, 2 * STAKE - 1, 2 * STAKE));
        assertEq(join(job, 1, BOTH, 3 * STAKE), 0);
        assertEq(board.memberOf(job, 0).stake, 3 * STAKE);
    }

    function test_releaseAfterTheEnd() external {
        enrolAndJoin(job, 1, BOTH, STAKE);
        enrolAndJoin(job, 2, BOTH, STAKE);
        address[] memory both = new address[](2);
        (both[0], both[1]) = (owner(1), owner(2));
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.JobStateWrong.selector, job, JobState.Recruiting));
        board.release(job, both);
        quit(job, 2);
        markRunning(job);
        exhaust(job);
        vm.warp(NOW + 1 hours - 1);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.StillAppealable.selector, job, NOW + 1 hours, 0));
        board.release(job, both);
        bytes memory leave = signLeave(job, 1, key(1), NOW + 1 hours);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.StillAppealable.selector, job, NOW + 1 hours, 0));
        board.leaveJob(job, owner(1), NOW + 1 hours, leave);
        jail(1);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.StillAppealable.selector, job, NOW + 1 hours, 0));
        board.eject(job, owner(1));
        vm.warp(NOW + 1 hours);
        appeals.setOpenCases(job, 1);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.StillAppealable.selector, job, NOW + 1 hours, 1));
        board.release(job, both);
        appeals.setOpenCases(job, 0);
        board.release(job, both);
        board.release(job, both); // twice is harmless
        vm.warp(NOW);
        assertEq(registry.providerOf(owner(1)).free, STAKE);
        assertEq(registry.providerOf(owner(2)).free, STAKE);
        bytes memory signature = signJoin(job, 1, key(1), BOTH, STAKE, NOW);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.JobStateWrong.selector, job, JobState.Exhausted));
        board.joinJob(job, owner(1), BOTH, STAKE, NOW, new bytes32[](0), signature);
    }

    /// No round was finalised, so nothing can be appealed.
    function test_aJobCancelledWhileRecruitingReleasesAtOnce() external {
        enrolAndJoin(job, 1, BOTH, STAKE);
        vm.prank(requester());
        board.cancel(job);
        address[] memory one = new address[](1);
        one[0] = owner(1);
        board.release(job, one);
        assertEq(registry.providerOf(owner(1)).free, STAKE);
    }

    function test_slashedLockIsReleasedAsFarAsItGoes() external {
        enrolAndJoin(job, 1, BOTH, STAKE);
        vm.prank(FAULTS);
        registry.slash(owner(1), STAKE / 4, address(0), 1);
        quit(job, 1);
        Provider memory its = registry.providerOf(owner(1));
        assertEq(its.free, STAKE * 3 / 4);
        assertEq(its.locked, 0);
    }

    function test_refreshOperator() external {
        enrolAndJoin(job, 1, BOTH, STAKE);
        board.sealRoster(job, 0);
        vm.prank(owner(1));
        registry.setOperator(owner(77));
        assertOperator(0, vm.addr(key(1)));
        vm.expectEmit(address(board));
        emit IJobBoard.MemberOperatorRefreshed(job, 0, owner(77));
        board.refreshOperator(job, owner(1));
        assertOperator(0, owner(77));
        board.sealRoster(job, 0);
        assertOperator(0, owner(77));
    }

    function test_sealedPagesNeverGoStale() external {
        for (uint256 i = 0; i < 6; ++i) {
            enrolAndJoin(job, i, TRAINER, STAKE);
        }
        board.sealRoster(job, 0);
        enrolAndJoin(job, 6, TRAINER, STAKE);
        quit(job, 2);
        quit(job, 3);
        join(job, 3, TRAINER, STAKE);
        address[] memory have = board.operatorsOf(job, hex"0006000500040003000200010000ffff0080");
        for (uint256 i = 0; i < 7; ++i) {
            assertEq(have[6 - i], i == 2 ? address(0) : vm.addr(key(i)));
        }
        (address pointer, uint256 stale) = board.rosterPageOf(job, 0);
        assertEq(pointer.code.length, 1 + 20 * 6, "one byte, then six entries");
        assertEq(stale, 1 << 2 | 1 << 3, "stale");
        assertEq(have[7], address(0));
        assertEq(have[8], address(0));
        bytes32 emptyPage = keccak256(abi.encodeWithSelector(IJobBoard.RosterPageEmpty.selector, job, 1));
        try board.sealRoster(job, 1) {
            assertTrue(false);
        } catch (bytes memory data) {
            assertEq(keccak256(data), emptyPage);
        }
    }

    function test_pagesBeyondTheFirst() external {
        for (uint256 i = 0; i < 131; ++i) {
            enrolAndJoin(job, i, i % 2 == 0 ? TRAINER : VALIDATOR, STAKE);
        }
        vm.expectEmit(true, true, true, false, address(board));
        emit IJobBoard.RosterSealed(job, 1, 3, address(0));
        board.sealRoster(job, 1);
        board.sealRoster(job, 0);
        quit(job, 129);
        (address second, uint256 stale) = board.rosterPageOf(job, 1);
        assertEq(stale, 1 << 1, "stale");
        assertEq(second.code.length, 1 + 20 * 3, "three entries");
        (, uint256 staleInFirst) = board.rosterPageOf(job, 0);
        assertEq(staleInFirst, 0, "stale in the first page");
        (address none, uint256 noneStale) = board.rosterPageOf(job, 511);
        assertEq(none, address(0), "beyond the roster");
        assertEq(noneStale, 0, "nothing is stale there");
        address[] memory have = board.operatorsOf(job, hex"0000007f00800081008200830001");
        uint256[7] memory want = [uint256(0), 127, 128, 129, 130, 131, 1];
        assertEq(have.length, 7, "as many as were asked for");
        for (uint256 i = 0; i < 7; ++i) {
            assertEq(have[i], want[i] == 129 || want[i] == 131 ? address(0) : vm.addr(key(want[i])));
        }
        assertEq(operatorOf(0xffff), address(0), "one beyond the job's capacity");
        address[] memory nobody = board.operatorsOf(job, hex"ffff0800080107ff");
        for (uint256 i = 0; i < 4; ++i) assertEq(nobody[i], address(0), "beyond the job's capacity");
        Member[] memory page = board.membersOf(job, 129, 10);
        assertEq(page.length, 2);
        assertEq(page[1].provider, owner(130));
        assertEq(board.membersOf(job, 129, 1).length, 1);
        assertEq(board.membersOf(job, 200, 10).length, 0);
    }

    function test_sealedPagesAreCheaperToRead() external {
        for (uint256 i = 0; i < 140; ++i) {
            enrolAndJoin(job, i, TRAINER, STAKE);
        }
        board.sealRoster(job, 0);
        vm.cool(address(board));
        uint256 sealedGas = gasOfOperators(hex"000000010002000300040005000600070008");
        vm.cool(address(board));
        uint256 openGas = gasOfOperators(hex"008000810082008300840085008600870088");
        assertLe(sealedGas + 9 * 2000, openGas, "each member's own word is not read"); // cold: 2100
    }

    function gasOfOperators(bytes memory wanted) private view returns (uint256 gas) {
        gas = gasleft();
        board.operatorsOf(job, wanted);
        return gas - gasleft();
    }

    function test_anEmptyRoster() external {
        assertEq(board.trainersOf(job).length, 0, "words");
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.RosterPageEmpty.selector, job, 0));
        board.sealRoster(job, 0);
        (address pointer, uint256 stale) = board.rosterPageOf(job, 16); // the first that no job has
        assertEq(pointer, address(0), "no page");
        assertEq(stale, 0, "nothing is stale");
        assertEq(operatorOf(2048), address(0), "the first that no job has");
    }

    function test_theLargestStake() external {
        uint256 limit = ((1 << 53) - 1) * 1e9;
        enrolAndJoin(job, 1, BOTH, limit);
        assertEq(board.memberOf(job, 0).stake, limit, "stake");
    }

    /// A unit of weight is a gwei of stake.
    function testFuzz_aDrawWeighsStakes(bytes32 seed) external {
        enrolAndJoin(job, 0, VALIDATOR, STAKE);
        enrolAndJoin(job, 1, VALIDATOR, 3 * STAKE);
        uint256 point = uint256(keccak256(abi.encode(seed, uint256(0)))) % (4 * STAKE / 1e9);
        assertEq(board.drawCommittee(job, 1, seed)[0], point < STAKE / 1e9 ? 0 : 1, "drawn");
    }

    function test_drawNeedsTheValidatorRole() external {
        enrolAndJoin(job, 0, TRAINER, STAKE);
        enrolAndJoin(job, 1, VALIDATOR, STAKE);
        enrolAndJoin(job, 2, BOTH, STAKE);
        uint16[] memory drawn = board.drawCommittee(job, 5, keccak256("seed"));
        assertEq(drawn.length, 2);
        assertEq(drawn[0] + drawn[1], 3);
        assertEq(board.drawCommittee(99, 5, 0).length, 0);
        assertEq(board.operatorsOf(99, hex"0000")[0], address(0));
    }

    function test_whoever_has_the_least_weight_is_left_out_of_juries_too() external {
        JobParameters memory asked = terms();
        asked.minStake = 1e9;
        uint256 small = post(asked);
        for (uint256 i = 1; i < 4; ++i) {
            enrol(i, BOTH, STAKE);
            join(small, i, BOTH, 1e9);
        }
        uint16[] memory excluded = new uint16[](1);
        for (uint256 seed = 0; seed < 20; ++seed) {
            uint16[] memory drawn = board.drawJury(small, 3, keccak256(abi.encode(seed)), excluded);
            assertEq(drawn.length, 2, "the other two");
            assertTrue(drawn[0] != 0 && drawn[1] != 0, "not the one that is left out");
        }
    }
}
