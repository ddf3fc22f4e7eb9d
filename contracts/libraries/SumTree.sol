// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Weights by index in a 4-ary tree: a word holds the sums of its four children, 64 bits each, so that updating and
/// drawing touch one word per level. Levels exist only as far as the leaves need them.
/// DANGER: sums are not checked here; the caller keeps 2048 weights from exceeding 64 bits together, and passes the
/// number of leaves in use, which only ever grows, by one.
library SumTree {
    uint256 internal constant CAPACITY = 2048;
    uint256 internal constant MAX_WEIGHT = (1 << 53) - 1;
    uint256 private constant LANE = type(uint64).max;

    struct Tree {
        uint256[683] words; // leaves' words first: 512, 128, 32, 8, 2, 1
    }

    /// Makes room for one leaf more than the `leaves` in use; it weighs nothing yet.
    function append(Tree storage tree, uint256 leaves) internal {
        uint256 levels = _levelsFor(leaves + 1);
        if (levels == _levelsFor(leaves)) return;
        tree.words[_offsetOf(levels - 1)] = _sum(tree.words[_offsetOf(levels - 2)]);
    }

    function set(Tree storage tree, uint256 leaves, uint256 index, uint64 weight) internal {
        uint256 levels = _levelsFor(leaves);
        uint256 leaf = tree.words[index >> 2];
        unchecked {
            // Modulo 2^256: a smaller weight is a subtraction, and lanes never borrow from one another.
            uint256 change = uint256(weight) - _laneOf(leaf, index & 3);
            for (uint256 level = 0; level < levels; ++level) {
                tree.words[_offsetOf(level) + (index >> 2)] += change << ((index & 3) << 6);
                index >>= 2;
            }
        }
    }

    /// Up to `size` (at most 15) indices by the rule "Draw" of docs/protocol.md; fewer if fewer have weight.
    function draw(Tree storage tree, uint256 leaves, uint256 size, bytes32 seed)
        internal
        view
        returns (uint16[] memory drawn)
    {
        drawn = new uint16[](size);
        uint256[] memory weights = new uint256[](size);
        if (leaves == 0) size = 0;
        uint256 levels = _levelsFor(leaves);
        uint256 remaining = size == 0 ? 0 : _sum(tree.words[_offsetOf(levels - 1)]);
        uint256 seats = 0;
        while (seats < size && remaining != 0) {
            uint256 point = uint256(keccak256(abi.encode(seed, seats))) % remaining;
            (drawn[seats], weights[seats]) = _find(tree, levels, point, drawn, weights, seats);
            remaining -= weights[seats++];
        }
        assembly ("memory-safe") {
            mstore(drawn, seats)
        }
    }

    function _find(
        Tree storage tree,
        uint256 levels,
        uint256 point,
        uint16[] memory drawn,
        uint256[] memory weights,
        uint256 seats
    ) private view returns (uint16, uint256 weight) {
        uint256 node = 0;
        unchecked {
            for (uint256 level = levels; level-- != 0;) {
                uint256 word = tree.words[_offsetOf(level) + node];
                word -= _drawnWithin(node, level, drawn, weights, seats);
                node <<= 2;
                // The point lies below the node's sum, so a lane above it is met before the word ends.
                for (weight = word & LANE; point >= weight; weight = word & LANE) {
                    point -= weight;
                    word >>= 64;
                    ++node;
                }
            }
        }
        return (uint16(node), weight);
    }

    /// The weights already drawn below `node`, in the lanes of its word.
    function _drawnWithin(
        uint256 node,
        uint256 level,
        uint16[] memory drawn,
        uint256[] memory weights,
        uint256 seats
    ) private pure returns (uint256 lanes) {
        unchecked {
            for (uint256 i = 0; i < seats; ++i) {
                uint256 child = uint256(drawn[i]) >> (level << 1);
                if (child >> 2 == node) lanes += weights[i] << ((child & 3) << 6);
            }
        }
    }

    function _levelsFor(uint256 leaves) private pure returns (uint256 levels) {
        levels = 1;
        while (leaves > 1 << (levels << 1)) ++levels;
    }

    function _offsetOf(uint256 level) private pure returns (uint256) {
        // Twelve bits per level.
        return (0x2aa2a82a0280200000 >> (level * 12)) & 0xfff;
    }

    function _laneOf(uint256 word, uint256 lane) private pure returns (uint256) {
        return (word >> (lane << 6)) & LANE;
    }

    function _sum(uint256 word) private pure returns (uint256) {
        return (word & LANE) + ((word >> 64) & LANE) + ((word >> 128) & LANE) + (word >> 192);
    }
}
