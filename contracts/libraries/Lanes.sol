// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Eight scores at once: a word holds eight lanes of 32 bits, each a uint16 with 16 free bits above it, the lowest of
/// which guards a comparison. A ballot's word of sixteen scores is two such words, its even and its odd scores.
library Lanes {
    uint256 private constant VALUES = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;
    uint256 private constant ONES = 0x0000000100000001000000010000000100000001000000010000000100000001;
    uint256 private constant TWOS = 0x0000000200000002000000020000000200000002000000020000000200000002;
    uint256 private constant GUARDS = 0x0001000000010000000100000001000000010000000100000001000000010000;

    function sum(uint256 lanes) internal pure returns (uint256 total) {
        unchecked {
            for (; lanes != 0; lanes >>= 32) {
                total += uint32(lanes);
            }
        }
    }

    /// The lower half of each lane; 65534 and 65535 become nothing.
    function ordinary(uint256 word) internal pure returns (uint256 lanes) {
        unchecked {
            lanes = word & VALUES;
            uint256 special = (lanes + TWOS) & GUARDS;
            lanes &= ~(special - (special >> 16));
        }
    }

    /// |a - b| in each lane.
    function distance(uint256 a, uint256 b) internal pure returns (uint256) {
        unchecked {
            uint256 difference = (a | GUARDS) - b;
            uint256 positive = difference & GUARDS;
            uint256 negative = (positive - (positive >> 16)) ^ VALUES;
            return ((difference & VALUES) ^ negative) + (negative & ONES);
        }
    }

    function wordAt(uint256[] memory offsets, uint256 index, uint256 skipped) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(mload(add(add(offsets, 0x20), shl(5, index))), skipped))
        }
    }

    function add(uint256[] memory lanes, uint256 index, uint256 more) internal pure {
        assembly ("memory-safe") {
            let place := add(add(lanes, 0x20), shl(5, index))
            mstore(place, add(mload(place), more))
        }
    }

    /// Fills `scratch` with one word per ballot, shifted right by `shift`. Returns a bit in each lane in which any ballot
    /// has a special score.
    function load(uint256[] memory scratch, uint256[] memory offsets, uint256 skipped, uint256 mask, uint256 shift)
        internal
        pure
        returns (uint256 special)
    {
        assembly ("memory-safe") {
            let toOffset := sub(offsets, scratch)
            let place := add(scratch, 0x20)
            let end := add(place, shl(5, mload(scratch)))
            for {} lt(place, end) { place := add(place, 0x20) } {
                let word := and(shr(shift, and(calldataload(add(mload(add(place, toOffset)), skipped)), mask)), VALUES)
                mstore(place, word)
                special := or(special, add(word, TWOS))
            }
            special := shr(16, and(special, GUARDS))
        }
    }

    /// The lower median of each lane over all of `scratch`, which is left half sorted.
    function median(uint256[] memory scratch) internal pure returns (uint256 lowest) {
        assembly ("memory-safe") {
            let place := add(scratch, 0x20)
            let end := add(place, shl(5, mload(scratch)))
            // Selection: each pass takes the lowest of the rest out of every lane, the last one the median.
            let limit := add(place, shl(5, shr(1, add(mload(scratch), 1))))
            for {} lt(place, limit) { place := add(place, 0x20) } {
                lowest := mload(place)
                for { let other := add(place, 0x20) } lt(other, end) { other := add(other, 0x20) } {
                    let value := mload(other)
                    let less := and(sub(or(value, GUARDS), lowest), GUARDS) // guard gone: value < lowest
                    let swap := and(xor(value, lowest), xor(sub(less, shr(16, less)), VALUES))
                    lowest := xor(lowest, swap)
                    mstore(other, xor(value, swap))
                }
            }
        }
    }
}
