// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Merkle trees over verdict leaves: sorted pairs from the left, an odd last node moves up unchanged.
/// A leaf is the hash of 36 bytes, a settlement's of 39 and a node of 64, so that none can pass for another.
library VerdictTree {
    uint256 private constant SCORE = 0xffff000000000000000000000000000000000000000000000000000000000000; // the first two bytes

    function leafOf(uint256 member, bytes32 digest, uint256 score) internal pure returns (bytes32 leaf) {
        assembly ("memory-safe") {
            mstore(0x00, shl(240, member))
            mstore(0x02, digest)
            // Reaches two bytes into the free memory pointer, which are zero and are written as zero.
            mstore(0x22, shl(240, score))
            leaf := keccak256(0x00, 0x24)
        }
    }

    /// One leaf per (uint16 member, bytes32 digest) in `records`; `scores` in their order.
    function leavesOf(bytes memory records, bytes calldata scores) internal pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](scores.length / 2);
        assembly ("memory-safe") {
            let to := add(leaves, 0x20)
            let score := scores.offset
            let from := add(records, 0x20)
            for { let end := add(from, mload(records)) } lt(from, end) { from := add(from, 34) } {
                mstore(0x00, mload(from))
                mstore(0x20, mload(add(from, 0x20)))
                mstore(0x22, and(calldataload(score), SCORE)) // see leafOf
                mstore(to, keccak256(0x00, 0x24))
                to := add(to, 0x20)
                score := add(score, 2)
            }
        }
    }

    /// What a round's root holds beside its verdicts. `committee`: see Committees, with the attesters' seats.
    function settlementOf(uint256 committee, uint256 finalisedAt, uint256 reveals) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(committee, uint40(finalisedAt), uint16(reveals)));
    }

    function pair(bytes32 a, bytes32 b) internal pure returns (bytes32) {
        return a < b ? keccak256(abi.encodePacked(a, b)) : keccak256(abi.encodePacked(b, a));
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
