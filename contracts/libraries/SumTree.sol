// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Weights by index in a 4-ary tree: a word holds the sums of its four children, 64 bits each, so that updating and
/// drawing touch one word per level. Levels exist only as far as the leaves need them.
/// DANGER: sums are not checked here; the caller keeps 2048 weights from exceeding 64 bits together, and passes the
/// number of leaves in use, which only ever grows, by one.
library SumTree {
    uint256 internal constant CAPACITY = 2048;
    uint256 internal constant MAX_WEIGHT = (1 << 53) - 1;
    uint256 private constant LANE = 0xffffffffffffffff;
    uint256 private constant OFFSETS = 0x2aa2a82a0280200000; // of each level's first word, twelve bits per level

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

    /// Up to `size` indices by the rule "Draw" of docs/protocol.md; fewer if fewer have weight.
    function draw(Tree storage tree, uint256 leaves, uint256 size, bytes32 seed) internal view returns (uint16[] memory) {
        return draw(tree, leaves, size, seed, new uint16[](0));
    }

    /// The same as if the `excluded` had no weight.
    function draw(Tree storage tree, uint256 leaves, uint256 size, bytes32 seed, uint16[] memory excluded)
        internal
        view
        returns (uint16[] memory drawn)
    {
        drawn = new uint16[](size);
        uint256[] memory picks = new uint256[](excluded.length + size);
        uint256 levels = _levelsFor(leaves);
        uint256 remaining = _sum(tree.words[_offsetOf(levels - 1)]);
        uint256 seats = 0;
        (uint256 taken, uint256 weight) = _exclude(tree, excluded, picks);
        unchecked {
            remaining -= weight;
            while (seats < size && remaining != 0) {
                uint256 pick = _find(tree, levels, _pointFor(seed, seats, remaining), picks, taken++);
                picks[taken - 1] = pick;
                drawn[seats++] = uint16(pick);
                remaining -= pick >> 16;
            }
        }
        assembly ("memory-safe") {
            mstore(drawn, seats)
        }
    }

    /// Puts those who have weight among the picks, each once. Returns how many, and their weight together.
    function _exclude(Tree storage tree, uint16[] memory excluded, uint256[] memory picks)
        private
        view
        returns (uint256 count, uint256 weight)
    {
        for (uint256 i = 0; i < excluded.length; ++i) {
            uint256 index = excluded[i];
            uint256 its = _laneOf(tree.words[index >> 2], index & 3);
            uint256 pick = its << 16 | index;
            bool known = its == 0;
            for (uint256 j = 0; j < count && !known; ++j) known = picks[j] == pick;
            if (known) continue;
            picks[count++] = pick;
            weight += its;
        }
    }

    function _pointFor(bytes32 seed, uint256 seat, uint256 remaining) private pure returns (uint256 point) {
        assembly ("memory-safe") {
            mstore(0x00, seed)
            mstore(0x20, seat)
            point := mod(keccak256(0x00, 0x40), remaining)
        }
    }

    /// `weight << 16 | index` of the leaf in which `point` lies when the first `count` of `picks`, of the same form, are
    /// taken out.
    function _find(Tree storage tree, uint256 levels, uint256 point, uint256[] memory picks, uint256 count)
        private
        view
        returns (uint256 pick)
    {
        assembly ("memory-safe") {
            let first := add(picks, 0x20)
            let end := add(first, shl(5, count))
            let node := 0
            let weight := 0
            for { let level := levels } level {} {
                level := sub(level, 1)
                let word := sload(add(add(tree.slot, and(shr(mul(level, 12), OFFSETS), 0xfff)), node))
                for { let other := first } lt(other, end) { other := add(other, 0x20) } {
                    let taken := mload(other)
                    let child := shr(shl(1, level), and(taken, 0xffff))
                    if eq(shr(2, child), node) { word := sub(word, shl(shl(6, and(child, 3)), shr(16, taken))) }
                }
                node := shl(2, node)
                // The point lies below the node's sum, so a lane above it is met before the word ends.
                for { weight := and(word, LANE) } iszero(lt(point, weight)) { weight := and(word, LANE) } {
                    point := sub(point, weight)
                    word := shr(64, word)
                    node := add(node, 1)
                }
            }
            pick := or(shl(16, weight), node)
        }
    }

    function _levelsFor(uint256 leaves) private pure returns (uint256 levels) {
        levels = 1;
        while (leaves > 1 << (levels << 1)) ++levels;
    }

    function _offsetOf(uint256 level) private pure returns (uint256) {
        return (OFFSETS >> (level * 12)) & 0xfff;
    }

    function _laneOf(uint256 word, uint256 lane) private pure returns (uint256) {
        return (word >> (lane << 6)) & LANE;
    }

    function _sum(uint256 word) private pure returns (uint256) {
        return (word & LANE) + ((word >> 64) & LANE) + ((word >> 128) & LANE) + (word >> 192);
    }
}
