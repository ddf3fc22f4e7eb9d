// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobBoard, JobParameters} from "../../contracts/interfaces/IJobBoard.sol";
import {IRounds} from "../../contracts/interfaces/IRounds.sol";
import {RoundKit} from "./support/RoundKit.sol";

/// A sealed page makes signatures cheaper to check. It must never change whose signature counts.
contract RostersTest is RoundKit {
    uint256 private constant TRAINERS = 140; // two pages
    uint256 private constant NEW_KEY = 0xbeef;

    function setUp() public {
        deploy();
        JobParameters memory wanted = terms(TRAINERS, 5);
        wanted.maxTrainers = uint16(TRAINERS + 1);
        openJob(wanted, TRAINERS, 6, 0);
    }

    function seal() private {
        board.sealRoster(job, 0);
        board.sealRoster(job, 1);
    }

    /// Commits `who`, among them `odd` with `signature`.
    function commitWith(uint256[] memory who, uint256 odd, bytes memory signature) private {
        (bytes32[] memory words, bytes memory signatures) = commitments(1, who);
        for (uint256 i = 0; i < who.length; ++i) {
            for (uint256 b = 0; who[i] == odd && b < 64; ++b) {
                signatures[64 * i + b] = signature[b];
            }
        }
        arm();
        rounds.commitUpdates(job, 1, pack16(who), words, signatures);
    }

    function signedWith(uint256 privateKey, uint256 member) private view returns (bytes memory) {
        bytes32 form = keccak256("UpdateCommitment(uint256 job,uint256 round,bytes32 commitment)");
        bytes32 message = keccak256(abi.encode(form, job, uint256(1), commitmentOf(1, member)));
        return signCompact(privateKey, hashTyped(computeDomainSeparator(address(rounds)), message));
    }

    function replaceKey(uint256 member) private {
        vm.prank(owner(member));
        registry.setOperator(vm.addr(NEW_KEY));
        board.refreshOperator(job, owner(member));
    }

    function checkReplacedKey(uint256 member) private {
        uint256[] memory who = range(0, TRAINERS);
        refuse(abi.encodeWithSelector(IRounds.MemberSignatureWrong.selector, member, vm.addr(key(member))));
        commitWith(who, member, signedWith(key(member), member));
        commitWith(who, member, signedWith(NEW_KEY, member));
        assertEq(current().commits, TRAINERS, "commits");
    }

    function test_sealed_pages_serve_a_batch_over_their_border() public {
        seal();
        commit(1, range(0, TRAINERS));
        assertEq(current().commits, TRAINERS, "commits");
    }

    /// Sealed pages that confirm every signature are all that is read.
    function test_sealed_pages_spare_the_board() public {
        seal();
        vm.expectCall(address(board), abi.encodePacked(IJobBoard.operatorsOf.selector), 0);
        commit(1, range(0, TRAINERS - 5));
        commit(1, range(TRAINERS - 5, TRAINERS)); // the second page alone
        assertEq(current().commits, TRAINERS, "commits");
    }

    /// Neither its place in the page nor its neighbour's page lends a member another's key.
    function test_nobody_signs_from_another_page() public {
        seal();
        refuse(abi.encodeWithSelector(IRounds.MemberSignatureWrong.selector, 128, vm.addr(key(0))));
        commitWith(range(128, 133), 128, signedWith(key(0), 128));
        uint256[] memory who = range(127, 132);
        who[0] = 3;
        refuse(abi.encodeWithSelector(IRounds.MemberSignatureWrong.selector, 3, vm.addr(key(131))));
        commitWith(who, 3, signedWith(key(131), 3));
    }

    function test_one_page_is_sealed_and_the_other_is_not() public {
        board.sealRoster(job, 1);
        commit(1, range(100, TRAINERS));
        commit(1, range(0, 100));
        assertEq(current().commits, TRAINERS, "commits");
    }

    function test_a_key_replaced_after_sealing() public {
        seal();
        replaceKey(3);
        checkReplacedKey(3);
    }

    function test_a_key_replaced_before_sealing() public {
        replaceKey(130);
        seal();
        checkReplacedKey(130);
    }

    function test_a_few_signatures_ask_the_board() public {
        seal();
        replaceKey(3);
        refuse(abi.encodeWithSelector(IRounds.MemberSignatureWrong.selector, 3, vm.addr(key(3))));
        commitWith(range(2, 5), 3, signedWith(key(3), 3));
        commitWith(range(2, 5), 3, signedWith(NEW_KEY, 3));
    }

    function test_sealing_pays() public {
        board.sealRoster(job, 0);
        commit(1, both(0, 139)); // so that both batches find the round's words in use
        uint256 fromSealed = gasOfCommit(range(1, 12));
        uint256 fromOpen = gasOfCommit(range(128, 139));
        assertLe(fromSealed + 15_000, fromOpen, "gas");
    }

    function gasOfCommit(uint256[] memory who) private returns (uint256 gas) {
        (bytes32[] memory words, bytes memory signatures) = commitments(1, who);
        bytes memory list = pack16(who);
        vm.cool(address(board));
        gas = gasleft();
        rounds.commitUpdates(job, 1, list, words, signatures);
        return gas - gasleft();
    }

    function test_who_joined_after_sealing_signs_like_the_others() public {
        seal();
        enrol(TRAINERS);
        join(TRAINERS, 1);
        commit(1, range(125, TRAINERS + 1));
        assertEq(current().commits, 16, "commits");
    }

    function test_who_left_and_came_back_signs_like_the_others() public {
        seal();
        quit(7);
        refuse(abi.encodeWithSelector(IRounds.NotTrainer.selector, 7));
        commit(1, range(0, 10));
        join(7, 1);
        commit(1, range(0, 10));
    }

    function testFuzz_a_forged_signature_is_named(uint256 which, bool isSealed) public {
        which = bound(which, 0, TRAINERS - 1);
        if (isSealed) seal();
        refuse(abi.encodeWithSelector(IRounds.MemberSignatureWrong.selector, which, vm.addr(NEW_KEY)));
        commitWith(range(0, TRAINERS), which, signedWith(NEW_KEY, which));
        refuse(abi.encodeWithSelector(IRounds.MemberSignatureWrong.selector, which, address(0)));
        commitWith(range(0, TRAINERS), which, new bytes(64));
    }

    /// Gaps, single bits and whole runs: what is marked is what was signed for.
    function testFuzz_any_set_of_members_is_marked(uint256 seedOfSet, uint256 cut) public {
        uint256[] memory who = subset(seedOfSet);
        if (who.length == 0) return;
        uint256 first = bound(cut, 0, who.length - 1);
        if (first != 0) commit(1, slice(who, 0, first));
        commit(1, slice(who, first, who.length));
        uint256[] memory bitmap = current().committedBitmap;
        assertEq(current().commits, who.length, "commits");
        uint256 marked;
        for (uint256 i = 0; i < who.length; ++i) {
            if (bitmap[who[i] >> 8] >> (who[i] & 255) & 1 != 0) ++marked;
        }
        assertEq(marked, who.length, "marked");
    }

    /// Fewer than close the phase.
    function subset(uint256 random) private pure returns (uint256[] memory who) {
        uint256[] memory found = new uint256[](TRAINERS);
        uint256 size;
        for (uint256 i = 0; i < TRAINERS / 2; ++i) {
            bool taken = random >> (255 - i / 8) & 1 == 1 ? random >> (i & 15) & 3 != 0 : random >> (i % 200) & 7 == 0;
            if (taken) found[size++] = i + (i >= 60 ? TRAINERS / 2 : 0);
        }
        return slice(found, 0, size);
    }

    function slice(uint256[] memory list, uint256 from, uint256 to) private pure returns (uint256[] memory part) {
        part = new uint256[](to - from);
        for (uint256 i = from; i < to; ++i) {
            part[i - from] = list[i];
        }
    }
}
