// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// The random number in a past block's header (prevrandao, EIP-4399), proven by the header itself: its hash is the block's.
/// DANGER: the hash of a block would be no seed. Whoever builds the block tries as many headers as it can compute, and keeps
/// the one it likes; prevrandao leaves it the choice between this block and none.
library Headers {
    error HeaderWrong(bytes32 have, bytes32 expected);
    error HeaderUnknown(uint256 number);

    // Blocks from the freeze to the seed. A block's prevrandao is known to whoever builds the block before it, who could
    // otherwise arrange the roster to its liking and close COMMIT, all in one block.
    uint256 internal constant SEED_DELAY = 4;
    uint256 private constant BEFORE = 13; // items in front of prevrandao

    /// `header`: the block's header in RLP. Reverts HeaderWrong if it is another one's, or the block is out of reach.
    function randaoOf(bytes calldata header, uint256 number) internal view returns (bytes32 randao) {
        (bytes32 have, bytes32 expected) = (keccak256(header), blockhash(number));
        if (have != expected || expected == 0) revert HeaderWrong(have, expected);
        uint256 head;
        assembly ("memory-safe") {
            // The list's own head, then the length of each item by its first byte.
            let place := header.offset
            head := byte(0, calldataload(place))
            place := add(place, add(1, mul(gt(head, 0xf7), sub(head, 0xf7))))
            for { let i := 0 } lt(i, BEFORE) { i := add(i, 1) } {
                head := byte(0, calldataload(place))
                place := add(place, 1)
                if gt(head, 0xb7) {
                    let size := sub(head, 0xb7) // of the length that follows
                    place := add(place, add(size, shr(sub(256, shl(3, size)), calldataload(place))))
                    continue
                }
                if gt(head, 0x80) { place := add(place, sub(head, 0x80)) }
            }
            head := byte(0, calldataload(place))
            randao := calldataload(add(place, 1))
        }
        if (head != 0xa0) revert HeaderUnknown(number); // not 32 bytes
    }
}
