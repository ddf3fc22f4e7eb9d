// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Bitmaps} from "../../contracts/libraries/Bitmaps.sol";
import {Test} from "./support/Test.sol";

contract Gatherer {
    function gather(bytes calldata members, uint256 from, uint256 chosen) external pure returns (uint256 bits, uint256 next) {
        return Bitmaps.gather(members, from, chosen);
    }
}

contract BitmapsTest is Test {
    Gatherer private immutable _gatherer = new Gatherer();

    function pack(uint256[] memory list, uint256 size) private pure returns (bytes memory packed) {
        for (uint256 i = 0; i < size; ++i) {
            packed = abi.encodePacked(packed, uint16(list[i]));
        }
    }

    /// Member by member, as the words of `gather` say.
    function plainly(uint256[] memory list, uint256 size, uint256 from, uint256 chosen) private pure returns (uint256 bits, uint256 next) {
        for (next = from; next < size; ++next) {
            if (list[next] >> 8 != list[from] >> 8) break;
            if (next > from && list[next] <= list[next - 1]) break;
            if (chosen >> (next - from) & 1 != 0) bits |= 1 << (list[next] & 255);
        }
    }

    /// Mostly runs, some gaps, and now and then one that does not ascend.
    function testFuzz_gather_is_what_it_says(uint256 random, uint8 start, uint8 count, uint256 chosen, uint8 from) public view {
        uint256 size = bound(count, 1, 256);
        uint256[] memory list = new uint256[](size);
        uint256 member = start;
        for (uint256 i = 0; i < size; ++i) {
            list[i] = member;
            uint256 dice = uint256(keccak256(abi.encode(random, i))) % 100;
            if (dice < 93) member += 1;
            else if (dice < 98) member += 2 + dice % 20;
            else if (dice == 98) member = member / 2;
        }
        uint256 begin = from % size;
        if (random & 1 == 0) chosen = type(uint256).max;
        (uint256 bits, uint256 next) = _gatherer.gather(pack(list, size), begin, chosen);
        (uint256 expectedBits, uint256 expectedNext) = plainly(list, size, begin, chosen);
        assertEq(bits, expectedBits, "bits");
        assertEq(next, expectedNext, "next");
    }

    function testFuzz_the_lowest_bit(uint8 bit, uint256 above) public pure {
        uint256 word = (above << bit) | (uint256(1) << bit);
        assertEq(Bitmaps.lowest(word), bit);
    }

    function test_no_bit_is_the_lowest_of_nothing() public pure {
        assertEq(Bitmaps.lowest(0), 256);
    }

    function testFuzz_bits_are_counted(uint256 word) public pure {
        uint256 bits;
        for (uint256 i = 0; i < 256; ++i) {
            bits += word >> i & 1;
        }
        assertEq(Bitmaps.count(word), bits);
    }

    function test_all_bits_are_counted() public pure {
        assertEq(Bitmaps.count(type(uint256).max), 256);
        assertEq(Bitmaps.count(0), 0);
    }
}
