// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Slot} from "../../contracts/interfaces/IFaults.sol";
import {IRounds, Phase} from "../../contracts/interfaces/IRounds.sol";
import {IProviderRegistry} from "../../contracts/interfaces/IProviderRegistry.sol";
import {RoundKit} from "./support/RoundKit.sol";

/// Owner and operator are two keys, and the second may change at any time: what each can do, to the second and to the message.
contract OperatorsTest is RoundKit {
    uint256 private constant NEW_KEY = 0xbeef;
    string private constant BALLOT = "BallotCommitment(uint256 job,uint256 round,bytes32 commitment)";
    string private constant MODEL = "ModelAttestation(uint256 job,uint256 round,bytes32 modelDigest)";
    string private constant UPDATE = "UpdateCommitment(uint256 job,uint256 round,bytes32 commitment)";

    function setUp() public {
        deploy();
        openJob(terms(4, 3), 4, 4, 0);
    }

    function replaceKey(uint256 member) private {
        vm.prank(owner(member));
        registry.setOperator(vm.addr(NEW_KEY));
    }

    function signWith(uint256 privateKey, string memory form, bytes32 word) private view returns (bytes memory) {
        bytes32 message = keccak256(abi.encode(keccak256(bytes(form)), job, uint256(1), word));
        return signCompact(privateKey, hashTyped(computeDomainSeparator(address(rounds)), message));
    }

    function seatWrong(uint256 seat, uint256 privateKey) private pure returns (bytes memory) {
        return abi.encodeWithSelector(IRounds.SeatSignatureWrong.selector, seat, vm.addr(privateKey));
    }

    function commitBallotWith(uint256 privateKey, uint256 seat) private {
        bytes32[] memory words = new bytes32[](1);
        words[0] = ballotCommitment(1, seat);
        bytes memory signature = signWith(privateKey, BALLOT, words[0]);
        bool refused = arm();
        rounds.commitBallots(job, 1, pack8(only(seat)), words, signature);
        if (!refused) seals.push(sealsOf(only(seat), words));
    }

    function attestWith(uint256 privateKey, uint256 seat) private {
        bytes memory signature = signWith(privateKey, MODEL, modelOf(1));
        arm();
        rounds.attest(job, 1, modelOf(1), pack8(only(seat)), signature);
    }

    function test_a_key_replaced_between_the_draw_and_the_ballot() public {
        toBallots(1, 4);
        uint256 member = committee[0];
        replaceKey(member);
        refuse(seatWrong(0, NEW_KEY)); // the job still knows the old one
        commitBallotWith(NEW_KEY, 0);
        board.refreshOperator(job, owner(member));
        refuse(seatWrong(0, key(member)));
        commitBallotWith(key(member), 0);
        commitBallotWith(NEW_KEY, 0);
        commitBallots(1, range(1, 3));
        revealBallots(1, range(0, 3));
        assertEq(phase(), uint256(Phase.Attest), "the ballot counts");
    }

    function test_a_key_replaced_between_the_ballot_and_the_attestation() public {
        toBallotReveal(1, 4);
        uint256 member = committee[2];
        replaceKey(member);
        board.refreshOperator(job, owner(member));
        revealBallots(1, range(0, 3)); // openings are not signed
        refuse(seatWrong(2, key(member)));
        attestWith(key(member), 2);
        attestWith(NEW_KEY, 2);
        attest(1, modelOf(1), range(0, 2));
        finalise(1);
        assertEq(ledger.modelOf(job, 1), modelOf(1), "model");
    }

    function test_a_key_replaced_between_commitment_and_reveal() public {
        commit(1, range(0, 4));
        replaceKey(3);
        board.refreshOperator(job, owner(3));
        seed();
        reveal(1, 0, range(0, 4), all(4));
        assertEq(phase(), uint256(Phase.BallotCommit), "revealed");
    }

    function test_messages_by_the_old_and_the_new_key_are_two_for_one_slot() public {
        commit(1, range(0, 4));
        replaceKey(1);
        (bytes32 first, bytes32 second) = (commitmentOf(1, 1), keccak256("another"));
        bytes memory old = signWith(key(1), UPDATE, first);
        bytes memory fresh = signWith(NEW_KEY, UPDATE, second);
        faults.proveEquivocation(job, 1, Slot.UpdateCommitment, first, old, second, fresh);
        assertEq(registry.slashOf(1).provider, owner(1), "slashed");
    }

    function test_a_retired_key_answers_to_the_last_second() public {
        (bytes memory a, bytes memory b) = (signWith(key(0), UPDATE, "a"), signWith(key(0), UPDATE, "b"));
        uint256 retiredAt = block.timestamp;
        replaceKey(0);
        vm.warp(retiredAt + 1 days);
        faults.proveEquivocation(job, 1, Slot.UpdateCommitment, "a", a, "b", b);
        assertEq(registry.slashOf(1).provider, owner(0), "slashed");
    }

    function test_an_operator_moves_no_money() public {
        address operator = vm.addr(key(0));
        bytes memory unknown = abi.encodeWithSelector(IProviderRegistry.ProviderUnknown.selector, operator);
        vm.startPrank(operator);
        vm.expectRevert(unknown);
        registry.unbond(1);
        vm.expectRevert(unknown);
        registry.withdraw();
        vm.expectRevert(unknown);
        registry.setOperator(address(1));
        vm.expectRevert(unknown);
        registry.setRoles(1);
        vm.stopPrank();
    }

    function test_pay_goes_to_the_owner_whoever_claims() public {
        whole(1, 4);
        uint256 credit = board.memberOf(job, 0).credit;
        uint256 before = token.balanceOf(owner(0));
        vm.prank(vm.addr(key(0)));
        board.claim(owner(0), only(job));
        assertEq(token.balanceOf(owner(0)) - before, credit, "paid");
        assertEq(token.balanceOf(vm.addr(key(0))), 0, "operator");
    }
}
