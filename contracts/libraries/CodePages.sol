// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Addresses kept as the code of a contract: written once, then a hundred cost little more to read than one.
/// A page's code is one byte, STOP, so that calling it does nothing, and from code offset `START` on 20 bytes per entry,
/// without gaps: entry `i` is at `START + 20 i`, and the code's length is `START + 20 n`.
library CodePages {
    error PageNotWritten();

    uint256 internal constant SIZE = 128;
    uint256 internal constant FEW = 4; // from so many entries on, loading a page costs less than reading their own words
    uint256 internal constant START = 1;

    function write(address[] memory entries) internal returns (address pointer) {
        uint256 length = START + 20 * entries.length;
        bytes memory data = new bytes(10 + length + 12); // 12 more: the last entry is stored as a whole word
        assembly ("memory-safe") {
            let cursor := add(data, 0x20)
            // PUSH2 length, DUP1, PUSH1 10, RETURNDATASIZE, CODECOPY, RETURNDATASIZE, RETURN; then STOP and the entries
            mstore(cursor, or(shl(232, 0x610000), or(shl(232, length), shl(176, 0x80600a3d393df3))))
            cursor := add(cursor, 11)
            let from := add(entries, 0x20)
            for { let end := add(from, shl(5, mload(entries))) } lt(from, end) { from := add(from, 0x20) } {
                mstore(cursor, shl(96, mload(from)))
                cursor := add(cursor, 20)
            }
            pointer := create(0, add(data, 0x20), add(10, length))
        }
        if (pointer == address(0)) revert PageNotWritten();
    }

    /// A buffer for `load`.
    function allocate() internal pure returns (bytes memory page) {
        return new bytes(20 * SIZE + 12);
    }

    /// Entries beyond those written are zero; so are all of them if `pointer` is.
    function load(address pointer, bytes memory page) internal view {
        assembly ("memory-safe") {
            extcodecopy(pointer, add(page, 0x20), START, mul(20, SIZE))
        }
    }

    function entryAt(bytes memory page, uint256 index) internal pure returns (address entry) {
        assembly ("memory-safe") {
            entry := shr(96, mload(add(add(page, 0x20), mul(20, and(index, 127)))))
        }
    }

    /// A buffer for several pages, one behind the other: entries stay 20 bytes apart.
    function allocate(uint256 pages) internal pure returns (bytes memory roster) {
        return new bytes(20 * SIZE * pages + 12);
    }

    /// Loads a page to its place in `roster`; entries whose bit in `stale` is set become zero.
    function loadInto(bytes memory roster, uint256 page, address pointer, uint256 stale) internal view {
        assembly ("memory-safe") {
            let start := add(add(roster, 0x20), mul(page, mul(20, SIZE)))
            extcodecopy(pointer, start, START, mul(20, SIZE))
            for { let entry := start } stale { stale := shr(1, stale) } {
                if and(stale, 1) { mstore(entry, shr(160, shl(160, mload(entry)))) }
                entry := add(entry, 20)
            }
        }
    }

    /// Puts `entries` to the places of `members` (uint16 each, ascending) in `roster`, which starts with the page of the first.
    /// What is not among them is lost.
    function replace(bytes memory roster, bytes calldata members, address[] memory entries) internal pure {
        assembly ("memory-safe") {
            let base := sub(add(roster, 0x20), mul(20, and(shr(240, calldataload(members.offset)), not(127))))
            let member := members.offset
            let entry := add(entries, 0x20)
            for { let end := add(member, members.length) } lt(member, end) { member := add(member, 2) } {
                mstore(add(base, mul(20, shr(240, calldataload(member)))), shl(96, mload(entry)))
                entry := add(entry, 0x20)
            }
        }
    }
}
