// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Merkle trees over verdict leaves: sorted pairs from the left, an odd last node moves up unchanged.
/// A leaf is the hash of 36 bytes and a node of 64, so that no node can pass for a leaf.
library VerdictTree {
    function leafOf(uint256 member, bytes32 digest, uint256 score) internal pure returns (bytes32 leaf) {
        assembly ("memory-safe") {
            mstore(0x00, shl(240, member))
            mstore(0x02, digest)
            // Reaches two bytes into the free memory pointer, which are zero and are written as zero.
            mstore(0x22, shl(240, score))
            leaf := keccak256(0x00, 0x24)
        }
    }

    /// One leaf per member; `digests` by member, `scores` by the order of `members`.
    function leavesOf(uint256[] memory members, bytes32[] memory digests, bytes calldata scores) internal pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](members.length);
        assembly ("memory-safe") {
            let toLeaf := sub(leaves, members)
            let place := add(members, 0x20)
            let end := add(place, shl(5, mload(members)))
            let score := scores.offset
            digests := add(digests, 0x20)
            for {} lt(place, end) { place := add(place, 0x20) } {
                let member := mload(place)
                mstore(0x00, shl(240, member))
                mstore(0x02, mload(add(digests, shl(5, member))))
                mstore(0x22, shl(240, shr(240, calldataload(score)))) // see leafOf
                mstore(add(place, toLeaf), keccak256(0x00, 0x24))
                score := add(score, 2)
            }
        }
    }

    /// Destroys `nodes`. No leaf: zero.
    function rootOf(bytes32[] memory nodes) internal pure returns (bytes32) {
        uint256 size = nodes.length;
        if (size == 0) return bytes32(0);
        while (size > 1) size = _combine(nodes, size);
        return nodes[0];
    }

    /// One level, in place.
    function _combine(bytes32[] memory nodes, uint256 size) private pure returns (uint256 parents) {
        assembly ("memory-safe") {
            let from := add(nodes, 0x20)
            let to := from
            let last := add(from, shl(5, and(size, not(1))))
            for {} lt(from, last) { from := add(from, 0x40) } {
                let left := mload(from)
                let right := mload(add(from, 0x20))
                // Branchless order: the smaller goes first.
                let swap := shl(5, gt(left, right))
                mstore(swap, left)
                mstore(xor(swap, 0x20), right)
                mstore(to, keccak256(0x00, 0x40))
                to := add(to, 0x20)
            }
            if and(size, 1) { mstore(to, mload(from)) }
            parents := shr(1, add(size, 1))
        }
    }
}
