// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Counts bits in a word.
library Bitmaps {
    uint256 private constant ODD = 0x5555555555555555555555555555555555555555555555555555555555555555;
    uint256 private constant PAIRS = 0x3333333333333333333333333333333333333333333333333333333333333333;
    uint256 private constant NIBBLES = 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f;
    uint256 private constant BYTES = 0x0101010101010101010101010101010101010101010101010101010101010101;

    function count(uint256 word) internal pure returns (uint256 bits) {
        if (word == type(uint256).max) return 256; // the only sum that does not fit one byte
        unchecked {
            word -= (word >> 1) & ODD;
            word = (word & PAIRS) + ((word >> 2) & PAIRS);
            word = (word + (word >> 4)) & NIBBLES;
            return (word * BYTES) >> 248;
        }
    }

    /// Appends the set bits of `word` to `list` from `size` on, ascending, each plus `base`. Returns the new size.
    function unpack(uint256 word, uint256 base, uint256[] memory list, uint256 size) internal pure returns (uint256) {
        assembly ("memory-safe") {
            let to := add(add(list, 0x20), shl(5, size))
            for {} word { word := shr(1, word) } {
                mstore(to, base)
                to := add(to, shl(5, and(word, 1)))
                base := add(base, 1)
            }
            size := shr(5, sub(to, add(list, 0x20)))
        }
        return size;
    }

    function has(uint256 word, uint256 bit) internal pure returns (bool) {
        return (word >> bit) & 1 != 0;
    }
}
