// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SumTree} from "../../contracts/libraries/SumTree.sol";
import {Test} from "./support/Test.sol";

contract SumTreeTest is Test {
    using SumTree for SumTree.Tree;

    SumTree.Tree private tree;
    uint64[] private weights;

    function fill(uint256 leaves, uint256 seed, bool sparse) private {
        for (uint256 i = 0; i < leaves; ++i) {
            uint64 weight = uint64(uint256(keccak256(abi.encode(seed, i))) % (SumTree.MAX_WEIGHT + 1));
            if (sparse && weight % 3 != 0) weight = 0;
            add(weight);
        }
    }

    function add(uint64 weight) private {
        tree.append(weights.length);
        weights.push(weight);
        if (weight != 0) tree.set(weights.length, weights.length - 1, weight);
    }

    /// The rule of docs/protocol.md, word for word.
    function drawNaively(uint256 size, bytes32 seed) private view returns (uint16[] memory drawn) {
        uint64[] memory left = weights;
        drawn = new uint16[](size);
        for (uint256 seat = 0; seat < size; ++seat) {
            uint256 total = 0;
            for (uint256 i = 0; i < left.length; ++i) total += left[i];
            if (total == 0) {
                assembly { mstore(drawn, seat) }
                return drawn;
            }
            uint256 r = uint256(keccak256(abi.encode(seed, seat))) % total;
            uint256 member = 0;
            for (; r >= left[member]; ++member) r -= left[member];
            drawn[seat] = uint16(member);
            left[member] = 0;
        }
    }

    function assertSameDraw(uint256 size, bytes32 seed) private view {
        uint16[] memory have = tree.draw(weights.length, size, seed);
        uint16[] memory want = drawNaively(size, seed);
        assertEq(keccak256(abi.encode(have)), keccak256(abi.encode(want)), "draw");
    }

    function testFuzz_drawEqualsTheLinearRule(uint256 leaves, uint256 seed, uint256 size, bool sparse) external {
        fill(bound(leaves, 1, 70), seed, sparse);
        assertSameDraw(bound(size, 1, 15), bytes32(seed));
    }

    function testFuzz_drawAfterChanges(uint256 leaves, uint256 seed, uint256 changes) external {
        fill(bound(leaves, 1, 40), seed, false);
        for (uint256 i = 0; i < bound(changes, 1, 20); ++i) {
            uint256 index = uint256(keccak256(abi.encode(seed, "index", i))) % weights.length;
            weights[index] = i % 2 == 0 ? 0 : uint64(seed >> (i + 11) & SumTree.MAX_WEIGHT);
            tree.set(weights.length, index, weights[index]);
        }
        assertSameDraw(7, bytes32(seed));
    }

    function test_growthAtEveryLevel() external {
        uint256[5] memory sizes = [uint256(4), 5, 17, 65, 257];
        for (uint256 i = 0; i < sizes.length; ++i) {
            fill(sizes[i] - weights.length, i, false);
            assertSameDraw(5, bytes32(i));
        }
    }

    function test_fullTreeOfHeaviestWeights() external {
        // Only the edges of each subtree, written as joins would, to keep the run short.
        uint16[6] memory heavy = [0, 63, 255, 1023, 1024, 2047];
        uint256 next = 0;
        for (uint256 i = 0; i < SumTree.CAPACITY; ++i) {
            bool isHeavy = i == heavy[next];
            if (isHeavy && next < 5) ++next;
            add(isHeavy ? uint64(SumTree.MAX_WEIGHT) : 0);
        }
        assertSameDraw(15, keccak256("edges"));
        assertEq(tree.draw(weights.length, 15, keccak256("edges")).length, 6);
    }

    function test_nothingToDraw() external {
        assertEq(tree.draw(0, 5, 0).length, 0);
        add(0);
        assertEq(tree.draw(1, 5, 0).length, 0);
    }

    function test_noMemberTwice() external {
        fill(9, 1, false);
        uint16[] memory drawn = tree.draw(9, 15, keccak256("all"));
        assertEq(drawn.length, 9);
        uint256 seen = 0;
        for (uint256 i = 0; i < 9; ++i) seen |= 1 << drawn[i];
        assertEq(seen, 0x1ff);
    }
}
