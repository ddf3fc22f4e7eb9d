// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Sets of members, a bit each, 256 to a word.
library Bitmaps {
    uint256 private constant ODD = 0x5555555555555555555555555555555555555555555555555555555555555555;
    uint256 private constant PAIRS = 0x3333333333333333333333333333333333333333333333333333333333333333;
    uint256 private constant NIBBLES = 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f;
    uint256 private constant BYTES = 0x0101010101010101010101010101010101010101010101010101010101010101;

    // Sixteen lanes of 16 bits: 1 in each; 0, 1, 2, ... 15.
    uint256 private constant ONES = 0x0001000100010001000100010001000100010001000100010001000100010001;
    uint256 private constant STEPS = 0x0000000100020003000400050006000700080009000a000b000c000d000e000f;

    function count(uint256 word) internal pure returns (uint256 bits) {
        if (word == type(uint256).max) return 256; // the only sum that does not fit one byte
        unchecked {
            word -= (word >> 1) & ODD;
            word = (word & PAIRS) + ((word >> 2) & PAIRS);
            word = (word + (word >> 4)) & NIBBLES;
            return (word * BYTES) >> 248;
        }
    }

    /// The bits, in their bitmap word, of the members chosen among those from the `from`-th on that share this word and
    /// ascend. `chosen`: a bit each, from the `from`-th on. `next`: the first who does not share it, or does not ascend.
    function gather(bytes calldata members, uint256 from, uint256 chosen) internal pure returns (uint256 bits, uint256 next) {
        assembly ("memory-safe") {
            let at := add(members.offset, shl(1, from))
            let end := add(members.offset, members.length)
            let least := shr(240, calldataload(at))
            let beyond := and(add(least, 0x100), not(0xff)) // the next word's first member
            // Sixteen at a time as long as they follow one another without a gap and all are chosen.
            for {} and(lt(add(at, 31), end), lt(add(least, 15), beyond)) {} {
                if or(xor(calldataload(at), add(mul(least, ONES), STEPS)), and(not(chosen), 0xffff)) { break }
                bits := or(bits, shl(and(least, 0xff), 0xffff))
                chosen := shr(16, chosen)
                least := add(least, 16)
                at := add(at, 32)
            }
            for {} lt(at, end) { at := add(at, 2) } {
                let member := shr(240, calldataload(at))
                if iszero(and(lt(member, beyond), iszero(lt(member, least)))) { break }
                bits := or(bits, shl(and(member, 0xff), and(chosen, 1)))
                chosen := shr(1, chosen)
                least := add(member, 1)
            }
            next := shr(1, sub(at, members.offset))
        }
    }

    /// The place of the lowest bit set; 256 if there is none.
    function lowest(uint256 word) internal pure returns (uint256) {
        unchecked {
            return count(~word & (word - 1));
        }
    }

    function has(uint256 word, uint256 bit) internal pure returns (bool) {
        return (word >> bit) & 1 != 0;
    }
}
