// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Reads fixed-width big-endian records out of calldata and writes them to memory.
/// DANGER: nothing here checks a bound, neither of calldata nor of memory. The caller compares the length with the number of records first.
library Packed {
    uint256 internal constant ENTRY = 34; // uint16 member, bytes32 word
    uint256 internal constant SEAL = 33; // uint8 seat, bytes32 word

    function uint16At(bytes calldata data, uint256 index) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(240, calldataload(add(data.offset, shl(1, index))))
        }
    }

    function uint8At(bytes calldata data, uint256 index) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(248, calldataload(add(data.offset, index)))
        }
    }

    /// Two words of a 64-byte record.
    function pairAt(bytes calldata data, uint256 index) internal pure returns (bytes32 first, bytes32 second) {
        assembly ("memory-safe") {
            let place := add(data.offset, shl(6, index))
            first := calldataload(place)
            second := calldataload(add(place, 32))
        }
    }

    /// Memory for `size` bytes. A write of a whole word at the last byte still lands inside.
    function allocate(uint256 size) internal pure returns (bytes memory data) {
        assembly ("memory-safe") {
            data := mload(0x40)
            mstore(data, size)
            mstore(0x40, add(data, and(add(size, 95), not(31))))
        }
    }

    function truncate(bytes memory data, uint256 size) internal pure {
        assembly ("memory-safe") {
            mstore(data, size)
        }
    }

    /// Overwrites up to 30 bytes behind the record: write in ascending order.
    function putUint16(bytes memory data, uint256 offset, uint256 value) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(data, 32), offset), shl(240, value))
        }
    }

    /// The same, with up to 32 bytes behind the end: only into memory from `allocate`.
    function putWord(bytes memory data, uint256 offset, uint256 value) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(data, 32), offset), value)
        }
    }

    function putPayment(bytes memory data, uint256 offset, uint256 member, uint256 units) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(data, 32), offset), or(shl(240, member), shl(208, units)))
        }
    }

    /// (uint16 member, bytes32 word) for each of `words`.
    function entriesOf(bytes calldata members, bytes32[] calldata words) internal pure returns (bytes memory entries) {
        entries = allocate(ENTRY * words.length);
        assembly ("memory-safe") {
            let to := add(entries, 0x20)
            let member := members.offset
            let word := words.offset
            let end := add(word, shl(5, words.length))
            for {} lt(word, end) { word := add(word, 0x20) } {
                mstore(to, calldataload(member))
                mstore(add(to, 2), calldataload(word))
                to := add(to, ENTRY)
                member := add(member, 2)
            }
        }
    }

    function itemAt(uint256[] memory list, uint256 index) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := mload(add(add(list, 0x20), shl(5, index)))
        }
    }

    function putItem(uint256[] memory list, uint256 index, uint256 value) internal pure {
        assembly ("memory-safe") {
            mstore(add(add(list, 0x20), shl(5, index)), value)
        }
    }

    /// Sixteen uint16 from the `index`-th on.
    function wordFrom(bytes calldata data, uint256 index) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(data.offset, shl(1, index)))
        }
    }

    /// The `index`-th record of 16 bytes.
    function saltAt(bytes calldata data, uint256 index) internal pure returns (bytes16 salt) {
        assembly ("memory-safe") {
            salt := shl(128, shr(128, calldataload(add(data.offset, shl(4, index)))))
        }
    }

    /// Up to sixteen scores from byte `offset` on, zero behind the last.
    function scoresIn(bytes calldata scores, uint256 offset) internal pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(add(scores.offset, offset))
            let length := sub(scores.length, offset)
            if lt(length, 0x20) { word := and(word, not(shr(shl(3, length), not(0)))) }
        }
    }

    /// (uint8 seat, bytes32 commitment) for each of `commitments`.
    function sealsOf(bytes calldata seats, bytes32[] calldata commitments) internal pure returns (bytes memory seals) {
        seals = allocate(SEAL * commitments.length);
        assembly ("memory-safe") {
            let to := add(seals, 0x20)
            let seat := seats.offset
            let word := commitments.offset
            for { let end := add(word, shl(5, commitments.length)) } lt(word, end) { word := add(word, 0x20) } {
                mstore(to, calldataload(seat))
                mstore(add(to, 1), calldataload(word))
                to := add(to, SEAL)
                seat := add(seat, 1)
            }
        }
    }

    /// Puts each seal's word to its seat's place in `words`, which has room for 256.
    function scatterSeals(bytes calldata seals, bytes32[] memory words) internal pure {
        assembly ("memory-safe") {
            let end := add(seals.offset, seals.length)
            for { let seal := seals.offset } lt(seal, end) { seal := add(seal, SEAL) } {
                mstore(add(add(words, 0x20), shl(5, byte(0, calldataload(seal)))), calldataload(add(seal, 1)))
            }
        }
    }

    /// Puts each record's word to its member's place in `words`.
    function scatter(bytes calldata records, bytes32[] memory words) internal pure {
        assembly ("memory-safe") {
            let start := add(words, 0x20)
            let end := add(records.offset, sub(records.length, mod(records.length, ENTRY)))
            for { let from := records.offset } lt(from, end) { from := add(from, ENTRY) } {
                mstore(add(start, shl(5, shr(240, calldataload(from)))), calldataload(add(from, 2)))
            }
        }
    }

    /// Appends to `records`, from byte `used` on, the (member, word) of each bit in `bits`, which stands for the members
    /// from `first` on. Returns the new `used`.
    function collect(bytes memory records, uint256 used, uint256 bits, uint256 first, bytes32[] memory words) internal pure returns (uint256) {
        assembly ("memory-safe") {
            let start := add(records, 0x20)
            let to := add(start, used)
            let word := add(add(words, 0x20), shl(5, first))
            for { let member := first } bits { bits := shr(1, bits) } {
                mstore(to, shl(240, member))
                mstore(add(to, 2), mload(word))
                to := add(to, mul(ENTRY, and(bits, 1)))
                member := add(member, 1)
                word := add(word, 0x20)
            }
            used := sub(to, start)
        }
        return used;
    }

    function getUint16(bytes memory data, uint256 offset) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(240, mload(add(add(data, 32), offset)))
        }
    }
}
