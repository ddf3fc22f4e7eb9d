// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// What a commitment binds: keccak256(abi.encode(chainId, rounds, job, round, member, value, salt)).
/// Chain, contract, job, round and member are inside, so that a commitment copied from anywhere else cannot be opened.
library Commitments {
    /// Lays out once what is equal for a whole batch; the result is only for `compute`.
    function prepare(uint256 job, uint256 round) internal view returns (uint256 preimage) {
        bytes memory laid = abi.encode(block.chainid, address(this), job, round, uint256(0), bytes32(0), bytes32(0));
        assembly ("memory-safe") {
            preimage := add(laid, 0x20)
        }
    }

    /// `value`: an update's digest, or keccak256 of a ballot.
    function compute(uint256 preimage, uint256 member, bytes32 value, bytes32 salt) internal pure returns (bytes32 commitment) {
        assembly ("memory-safe") {
            mstore(add(preimage, 0x80), member)
            mstore(add(preimage, 0xa0), value)
            mstore(add(preimage, 0xc0), salt)
            commitment := keccak256(preimage, 0xe0)
        }
    }
}
