// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Sixteen scores at once, as they stand in a ballot: a word is sixteen lanes of 16 bits.
library Lanes {
    uint256 private constant ONES = 0x0001000100010001000100010001000100010001000100010001000100010001;
    uint256 private constant HIGHS = 0x8000800080008000800080008000800080008000800080008000800080008000;
    uint256 private constant LOWS = 0x7fff7fff7fff7fff7fff7fff7fff7fff7fff7fff7fff7fff7fff7fff7fff7fff;
    uint256 private constant WIDE = 0x0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff0000ffff;

    /// 0xffff in each lane that holds 65534 or 65535, 0 in the others.
    function special(uint256 word) internal pure returns (uint256 lanes) {
        assembly ("memory-safe") {
            let rest := not(or(word, ONES)) // nothing left of a special score
            let ordinaryBits := and(or(rest, add(and(rest, LOWS), LOWS)), HIGHS)
            let bits := xor(ordinaryBits, HIGHS)
            lanes := sub(shl(1, bits), shr(15, bits))
        }
    }

    /// Adds neighbours: eight lanes of 32 bits, to which many more can be added.
    function widen(uint256 word) internal pure returns (uint256) {
        unchecked {
            return (word & WIDE) + ((word >> 16) & WIDE);
        }
    }

    /// Of lanes of 32 bits.
    function sum(uint256 lanes) internal pure returns (uint256 total) {
        unchecked {
            for (; lanes != 0; lanes >>= 32) {
                total += uint32(lanes);
            }
        }
    }

    /// |a - b| in each lane.
    function distance(uint256 a, uint256 b) internal pure returns (uint256 lanes) {
        assembly ("memory-safe") {
            let differing := xor(a, b)
            // The high bit of each lane: a < b. Where the high bits differ, b's decides; else the borrow of the lower bits.
            let less := and(or(and(not(a), b), not(or(differing, sub(or(a, HIGHS), and(b, LOWS))))), HIGHS)
            let swap := and(differing, sub(shl(1, less), shr(15, less)))
            lanes := sub(xor(a, swap), xor(b, swap)) // larger - smaller
        }
    }

    /// The lower median of each lane over all of `words`, which are left half sorted.
    function median(uint256[] memory words) internal pure returns (uint256 lowest) {
        assembly ("memory-safe") {
            let place := add(words, 0x20)
            let end := add(place, shl(5, mload(words)))
            // Selection: each pass takes the lowest of the rest out of every lane, the last one the median.
            let limit := add(place, shl(5, shr(1, add(mload(words), 1))))
            for {} lt(place, limit) { place := add(place, 0x20) } {
                lowest := mload(place)
                for { let other := add(place, 0x20) } lt(other, end) { other := add(other, 0x20) } {
                    let value := mload(other)
                    let differing := xor(value, lowest)
                    // value < lowest, see `distance`
                    let less := and(or(and(not(value), lowest), not(or(differing, sub(or(value, HIGHS), and(lowest, LOWS))))), HIGHS)
                    let swap := and(differing, sub(shl(1, less), shr(15, less)))
                    lowest := xor(lowest, swap)
                    mstore(other, xor(value, swap))
                }
            }
        }
    }
}
