// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// What a commitment binds: keccak256(abi.encode(chainId, rounds, job, round, member, value, salt)),
/// where the salt is a bytes16.
/// Chain, contract, job, round and member are inside, so that a commitment copied from anywhere else cannot be opened.
library Commitments {
    uint256 internal constant SALT = 16; // bytes

    /// Lays out once what is equal for a whole batch; the result is only for `compute`.
    function prepare(uint256 job, uint256 round) internal view returns (uint256 preimage) {
        bytes memory laid = abi.encode(block.chainid, address(this), job, round, uint256(0), bytes32(0), bytes32(0));
        assembly ("memory-safe") {
            preimage := add(laid, 0x20)
        }
    }

    /// `value`: an update's digest, or keccak256 of a ballot.
    function compute(uint256 preimage, uint256 member, bytes32 value, bytes16 salt) internal pure returns (bytes32 commitment) {
        assembly ("memory-safe") {
            mstore(add(preimage, 0x80), member)
            mstore(add(preimage, 0xa0), value)
            mstore(add(preimage, 0xc0), salt)
            commitment := keccak256(preimage, 0xe0)
        }
    }

    /// Fills `entries` with a batch's (uint16 member, bytes32 commitment) records, from its members and openings (see
    /// IRounds.revealUpdates), and `records`, behind its first word, with the (member, digest) of those that are opened.
    function open(uint256 preimage, bytes calldata members, uint256 opened, bytes calldata openings, bytes memory entries, bytes memory records)
        internal
        pure
    {
        assembly ("memory-safe") {
            let place := members.offset
            let opening := openings.offset
            let record := add(records, 0x40)
            let entry := add(entries, 0x20)
            for { let end := add(entry, mload(entries)) } lt(entry, end) { entry := add(entry, 34) } {
                let value := calldataload(opening)
                let member := calldataload(place)
                mstore(entry, member) // all behind the member is overwritten
                opening := add(opening, 0x20)
                if and(opened, 1) {
                    mstore(record, member)
                    mstore(add(record, 2), value)
                    record := add(record, 34)
                    mstore(add(preimage, 0x80), shr(240, member))
                    mstore(add(preimage, 0xa0), value)
                    mstore(add(preimage, 0xc0), shl(128, shr(128, calldataload(opening))))
                    value := keccak256(preimage, 0xe0)
                    opening := add(opening, SALT)
                }
                mstore(add(entry, 2), value)
                opened := shr(1, opened)
                place := add(place, 2)
            }
        }
    }
}
