// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// A committee in one word: by seat, the member's index + 1 in 16 bits; at most 15 seats. From bit 240 on there is room for
/// a bit per seat.
library Committees {
    function pack(uint16[] memory members) internal pure returns (uint256 committee) {
        for (uint256 seat = 0; seat < members.length; ++seat) {
            committee |= (uint256(members[seat]) + 1) << (16 * seat);
        }
    }

    function unpack(uint256 committee) internal pure returns (uint16[] memory members) {
        uint256 seats;
        while (seats < 15 && uint16(committee >> (16 * seats)) != 0) ++seats;
        members = new uint16[](seats);
        for (uint256 seat = 0; seat < seats; ++seat) {
            members[seat] = uint16(memberAt(committee, seat));
        }
    }

    /// `seats`: a bit each, in place of those the word has.
    function withSeats(uint256 committee, uint256 seats) internal pure returns (uint256) {
        return (committee & ((1 << 240) - 1)) | seats << 240;
    }

    /// The seat must be taken.
    function memberAt(uint256 committee, uint256 seat) internal pure returns (uint256) {
        return uint16(committee >> (16 * seat)) - 1;
    }
}
