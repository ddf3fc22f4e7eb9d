// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fault, IFaults, Slot} from "../../contracts/interfaces/IFaults.sol";
import {Slash} from "../../contracts/interfaces/IProviderRegistry.sol";
import {IRounds} from "../../contracts/interfaces/IRounds.sol";
import {VerdictTree} from "../../contracts/libraries/VerdictTree.sol";
import {RoundKit} from "./support/RoundKit.sol";

/// Every fault, proven and not; what it costs, and how a row of missed duties ends.
contract FaultsTest is RoundKit {
    uint256 private constant TRAINERS = 4; // all of them judge too
    address private constant PROVER = address(0xb047);

    function setUp() public {
        deploy();
        openJob(terms(TRAINERS, 3), TRAINERS, TRAINERS, 0);
    }

    function notProven(uint256 round, uint256 member, Fault fault) private view returns (bytes memory) {
        return abi.encodeWithSelector(IFaults.FaultNotProven.selector, job, round, member, fault);
    }

    function twice(uint256 round, uint256 member, Fault fault) private view returns (bytes memory) {
        return abi.encodeWithSelector(IFaults.FaultAlreadyProven.selector, job, round, member, fault);
    }

    function checkSlash(uint256 member, uint256 bps, address prover) private view {
        Slash memory slash = registry.slashOf(registry.slashCount());
        assertEq(slash.provider, owner(member), "provider");
        assertEq(slash.amount, STAKE * bps / 10_000, "amount");
        assertEq(slash.prover, prover, "prover");
        uint256 bounty = slash.amount / 10 < 1 ether ? slash.amount / 10 : 1 ether;
        assertEq(slash.bounty, prover == address(0) ? 0 : bounty, "bounty");
    }

    function missed(uint256 member) private view returns (uint256) {
        return registry.providerOf(owner(member)).missedDuties;
    }

    // Unrevealed

    function leaveUnrevealed() private {
        toReveal(1, TRAINERS);
        reveal(1, 0, range(0, TRAINERS), 7);
        vm.warp(current().endsAt);
        rounds.advance(job);
    }

    function test_unrevealed() public {
        leaveUnrevealed();
        vm.prank(PROVER);
        faults.proveUnrevealed(job, 1, 3);
        checkSlash(3, 100, PROVER);
        assertEq(missed(3), 0, "no duty");
        vm.expectRevert(twice(1, 3, Fault.Unrevealed));
        faults.proveUnrevealed(job, 1, 3);
        vm.expectRevert(notProven(1, 2, Fault.Unrevealed));
        faults.proveUnrevealed(job, 1, 2);
        vm.expectRevert(notProven(2, 3, Fault.Unrevealed));
        faults.proveUnrevealed(job, 2, 3);
    }

    function test_who_left_is_slashed_all_the_same() public {
        toReveal(1, TRAINERS);
        reveal(1, 0, range(0, TRAINERS), 1);
        vm.warp(current().endsAt);
        rounds.advance(job); // too few reveals: the round is over
        quit(3);
        faults.proveUnrevealed(job, 1, 3);
        checkSlash(3, 100, address(this));
    }

    // Verdicts

    /// Finalises round `round` with these scores from every seat; leaves the proofs' parts behind.
    function conclude(uint256 round, uint256 scoreOfLast) private {
        toBallots(round, TRAINERS);
        for (uint256 seat = 0; seat < committee.length; ++seat) {
            ballots[seat][3] = scoreOfLast;
        }
        commitBallots(round, range(0, 3));
        revealBallots(round, range(0, 3));
        attest(round, modelOf(round), range(0, 3));
        (lastScores,) = expectedTally();
        lastSettlement = settlementLeaf(7, TRAINERS);
        finalise(round);
    }

    bytes private lastScores;
    bytes32 private lastSettlement;

    function scoreOf(uint256 member) private view returns (uint16) {
        return uint16(uint8(lastScores[2 * member])) << 8 | uint8(lastScores[2 * member + 1]);
    }

    function proof(uint256 round, uint256 member) private view returns (bytes32[] memory path) {
        bytes32[] memory leaves = new bytes32[](4);
        for (uint256 i = 0; i < 4; ++i) {
            leaves[i] = VerdictTree.leafOf(i, updateOf(round, i), scoreOf(i));
        }
        path = new bytes32[](3);
        path[0] = leaves[member ^ 1];
        path[2] = lastSettlement;
        bytes32[] memory pair = new bytes32[](2);
        (pair[0], pair[1]) = member < 2 ? (leaves[2], leaves[3]) : (leaves[0], leaves[1]);
        path[1] = VerdictTree.rootOf(pair);
    }

    function test_invalid_update_pays_no_bounty() public {
        conclude(1, 65535);
        bytes32[] memory path = proof(1, 3);
        faults.proveInvalid(job, 1, 3, updateOf(1, 3), path);
        checkSlash(3, 1000, address(0));
        assertEq(missed(3), 0, "no duty");
        vm.expectRevert(twice(1, 3, Fault.InvalidUpdate));
        faults.proveInvalid(job, 1, 3, updateOf(1, 3), path);
        vm.expectRevert(notProven(1, 3, Fault.UnavailableUpdate));
        faults.proveUnavailable(job, 1, 3, updateOf(1, 3), path);
        path = proof(1, 2);
        vm.expectRevert(notProven(1, 2, Fault.InvalidUpdate));
        faults.proveInvalid(job, 1, 2, updateOf(1, 2), path);
    }

    function test_unavailable_update_is_a_missed_duty_only() public {
        conclude(1, 65534);
        bytes32[] memory path = proof(1, 3);
        faults.proveUnavailable(job, 1, 3, updateOf(1, 3), path);
        assertEq(missed(3), 1, "missed");
        assertEq(registry.slashCount(), 0, "no slash");
        vm.expectRevert(twice(1, 3, Fault.UnavailableUpdate));
        faults.proveUnavailable(job, 1, 3, updateOf(1, 3), path);
        assertEq(missed(3), 1, "once");
    }

    /// Neither in the place of no slash nor in that of the first.
    function test_a_fault_without_a_slash_cannot_be_appealed_as_one() public {
        conclude(1, 65534);
        bytes32[] memory path = proof(1, 3);
        vm.expectEmit(address(faults));
        emit IFaults.FaultProven(job, 1, 3, Fault.UnavailableUpdate, owner(3), 0);
        faults.proveUnavailable(job, 1, 3, updateOf(1, 3), path);
        for (uint256 slash = 0; slash < 2; ++slash) {
            (uint256 known,,,) = faults.faultOf(slash);
            assertEq(known, 0, "no slash");
        }
    }

    function test_rejected_is_no_fault() public {
        conclude(1, 0);
        bytes32[] memory path = proof(1, 3);
        vm.expectRevert(notProven(1, 3, Fault.InvalidUpdate));
        faults.proveInvalid(job, 1, 3, updateOf(1, 3), path);
        vm.expectRevert(notProven(1, 3, Fault.UnavailableUpdate));
        faults.proveUnavailable(job, 1, 3, updateOf(1, 3), path);
    }

    // Absence

    function missBallot(uint256 round, uint256 seat) private {
        toBallots(round, TRAINERS);
        for (uint256 other = 0; other < 3; ++other) {
            if (other != seat) commitBallots(round, only(other));
        }
        vm.warp(current().endsAt);
        rounds.advance(job);
        revealBallots(round, seat == 0 ? both(1, 2) : seat == 1 ? both(0, 2) : both(0, 1));
        attest(round, modelOf(round), range(0, 3));
        (lastScores,) = expectedTally();
        lastSettlement = settlementLeaf(7, TRAINERS);
        finalise(round);
    }

    function test_absent() public {
        missBallot(1, 1);
        uint256 member = committee[1];
        vm.prank(PROVER);
        faults.proveAbsent(job, 1, 1);
        checkSlash(member, 200, PROVER);
        assertEq(missed(member), 1, "missed");
        vm.expectRevert(twice(1, member, Fault.Absent));
        faults.proveAbsent(job, 1, 1);
        vm.expectRevert(notProven(1, committee[0], Fault.Absent));
        faults.proveAbsent(job, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IRounds.SeatUnknown.selector, 3));
        faults.proveAbsent(job, 1, 3);
        vm.expectRevert(abi.encodeWithSelector(IRounds.SeatUnknown.selector, 0));
        faults.proveAbsent(job, 9, 0);
    }

    // Equivocation

    bytes32 private constant FIRST = keccak256("one");
    bytes32 private constant SECOND = keccak256("two");

    function messageOf(Slot slot, uint256 member, bytes32 word) private view returns (bytes memory) {
        string[3] memory forms = [
            "UpdateCommitment(uint256 job,uint256 round,bytes32 commitment)",
            "BallotCommitment(uint256 job,uint256 round,bytes32 commitment)",
            "ModelAttestation(uint256 job,uint256 round,bytes32 modelDigest)"
        ];
        return sign(member, forms[uint256(slot)], 1, word);
    }

    function test_equivocation_in_every_slot() public {
        for (uint256 i = 0; i < 3; ++i) {
            Slot slot = Slot(i);
            (bytes memory a, bytes memory b) = (messageOf(slot, i, FIRST), messageOf(slot, i, SECOND));
            vm.prank(PROVER);
            faults.proveEquivocation(job, 1, slot, FIRST, a, SECOND, b);
            checkSlash(i, 5000, PROVER);
            vm.expectRevert(twice(1, i, Fault.Equivocation));
            faults.proveEquivocation(job, 1, slot, SECOND, b, FIRST, a);
        }
    }

    function test_equivocation_with_a_replaced_key() public {
        bytes memory a = messageOf(Slot.ModelAttestation, 0, FIRST);
        vm.startPrank(owner(0));
        registry.setOperator(vm.addr(0xbeef));
        vm.stopPrank();
        bytes32 message =
            keccak256(abi.encode(keccak256("ModelAttestation(uint256 job,uint256 round,bytes32 modelDigest)"), job, 1, SECOND));
        bytes memory b = signCompact(0xbeef, hashTyped(computeDomainSeparator(address(rounds)), message));
        faults.proveEquivocation(job, 1, Slot.ModelAttestation, FIRST, a, SECOND, b);
        checkSlash(0, 5000, address(this));
    }

    function test_equivocation_not_proven() public {
        Slot slot = Slot.UpdateCommitment;
        (bytes memory a, bytes memory b) = (messageOf(slot, 0, FIRST), messageOf(slot, 1, SECOND));
        bytes memory none = notProven(1, type(uint256).max, Fault.Equivocation);
        vm.expectRevert(abi.encodeWithSelector(IFaults.MessagesEqual.selector, FIRST));
        faults.proveEquivocation(job, 1, slot, FIRST, a, FIRST, a);
        vm.expectRevert(none); // two providers
        faults.proveEquivocation(job, 1, slot, FIRST, a, SECOND, b);
        vm.expectRevert(none); // another slot
        faults.proveEquivocation(job, 1, slot, FIRST, a, SECOND, messageIn(Slot.BallotCommitment));
        vm.expectRevert(none); // no signature
        faults.proveEquivocation(job, 1, slot, FIRST, new bytes(64), SECOND, new bytes(64));
        vm.expectRevert(abi.encodeWithSelector(IRounds.LengthsDiffer.selector, 65, 64));
        faults.proveEquivocation(job, 1, slot, FIRST, bytes.concat(a, hex"1b"), SECOND, b);
    }

    function messageIn(Slot slot) private view returns (bytes memory) {
        return messageOf(slot, 0, SECOND);
    }

    function test_equivocation_in_a_round_that_never_was() public {
        Slot slot = Slot.UpdateCommitment;
        string memory form = "UpdateCommitment(uint256 job,uint256 round,bytes32 commitment)";
        for (uint256 round = 0; round < 4; round += 2) {
            bytes memory a = sign(0, form, round, FIRST);
            bytes memory b = sign(0, form, round, SECOND);
            vm.expectRevert(notProven(round, type(uint256).max, Fault.Equivocation));
            faults.proveEquivocation(job, round, slot, FIRST, a, SECOND, b);
        }
    }

    /// A stolen key that was replaced long ago takes nothing any more, and one that came back answers again.
    function test_equivocation_with_a_key_retired_too_long() public {
        Slot slot = Slot.UpdateCommitment;
        (bytes memory a, bytes memory b) = (messageOf(slot, 0, FIRST), messageOf(slot, 0, SECOND));
        address first = registry.providerOf(owner(0)).operator;
        vm.prank(owner(0));
        registry.setOperator(vm.addr(0xbeef));
        vm.warp(block.timestamp + 1 days + 1);
        vm.expectRevert(notProven(1, type(uint256).max, Fault.Equivocation));
        faults.proveEquivocation(job, 1, slot, FIRST, a, SECOND, b);
        vm.prank(owner(0));
        registry.setOperator(first);
        faults.proveEquivocation(job, 1, slot, FIRST, a, SECOND, b);
        checkSlash(0, 5000, address(this));
    }

    function test_equivocation_of_no_member() public {
        enrol(50);
        (bytes memory a, bytes memory b) = (messageOf(Slot.UpdateCommitment, 50, FIRST), messageOf(Slot.UpdateCommitment, 50, SECOND));
        vm.expectRevert(abi.encodeWithSignature("MemberUnknown(uint256,address)", job, owner(50)));
        faults.proveEquivocation(job, 1, Slot.UpdateCommitment, FIRST, a, SECOND, b);
    }

    // Rows of missed duties

    function test_a_row_of_missed_duties_jails() public {
        conclude(1, 65534);
        faults.proveUnavailable(job, 1, 3, updateOf(1, 3), proof(1, 3));
        conclude(2, 65534);
        assertEq(registry.providerOf(owner(3)).jailedUntil, 0, "not yet");
        faults.proveUnavailable(job, 2, 3, updateOf(2, 3), proof(2, 3));
        assertEq(registry.providerOf(owner(3)).jailedUntil, block.timestamp + 1 hours, "jailed");
        board.eject(job, owner(3));
        assertEq(board.jobOf(job).activeTrainers, 3, "ejected");
    }

    /// Only what was done after the last miss ends the row, whenever that miss was proven.
    function test_misses_proven_in_any_order() public {
        conclude(1, 65534);
        bytes32[] memory first = proof(1, 3);
        conclude(2, 0);
        bytes32[] memory second = proof(2, 3);
        conclude(3, 65534);
        faults.proveUnavailable(job, 3, 3, updateOf(3, 3), proof(3, 3));
        faults.proveUnavailable(job, 1, 3, updateOf(1, 3), first);
        assertEq(missed(3), 2, "missed");
        vm.expectRevert(abi.encodeWithSelector(IFaults.NoMissedDuties.selector, owner(3)));
        faults.proveDutyDone(job, 2, 3, updateOf(2, 3), 0, second);
    }

    function test_a_later_update_ends_the_row_once() public {
        conclude(1, 500);
        bytes32[] memory path = proof(1, 3);
        uint16 score = scoreOf(3);
        vm.expectRevert(abi.encodeWithSelector(IFaults.NoMissedDuties.selector, owner(3)));
        faults.proveDutyDone(job, 1, 3, updateOf(1, 3), score, path);

        conclude(2, 65534);
        faults.proveUnavailable(job, 2, 3, updateOf(2, 3), proof(2, 3));
        vm.expectRevert(abi.encodeWithSelector(IFaults.NoMissedDuties.selector, owner(3))); // an earlier one
        faults.proveDutyDone(job, 1, 3, updateOf(1, 3), score, path);

        conclude(3, 0); // rejected is done, too
        path = proof(3, 3);
        vm.expectRevert(notProven(3, 3, Fault.UnavailableUpdate));
        faults.proveDutyDone(job, 3, 3, updateOf(3, 3), 1, path);
        faults.proveDutyDone(job, 3, 3, updateOf(3, 3), 0, path);
        assertEq(missed(3), 0, "cleared");
        vm.expectRevert(abi.encodeWithSelector(IFaults.NoMissedDuties.selector, owner(3)));
        faults.proveDutyDone(job, 3, 3, updateOf(3, 3), 0, path);
    }

    /// An absent judge has trained in that round, too: what is done must come after what was missed.
    function test_an_update_of_the_round_that_was_missed_is_no_duty_done() public {
        missBallot(1, 1);
        uint16 member = committee[1];
        faults.proveAbsent(job, 1, 1);
        (uint16 score, bytes32[] memory path) = (scoreOf(member), proof(1, member));
        assertTrue(score < 65534, "done well");
        vm.expectRevert(abi.encodeWithSelector(IFaults.NoMissedDuties.selector, owner(member)));
        faults.proveDutyDone(job, 1, member, updateOf(1, member), score, path);
        assertEq(missed(member), 1, "missed");
    }

    function test_an_unavailable_update_is_no_duty_done() public {
        conclude(1, 65534);
        faults.proveUnavailable(job, 1, 3, updateOf(1, 3), proof(1, 3));
        conclude(2, 65534);
        bytes32[] memory path = proof(2, 3);
        vm.expectRevert(notProven(2, 3, Fault.UnavailableUpdate));
        faults.proveDutyDone(job, 2, 3, updateOf(2, 3), 65534, path);
    }
}
