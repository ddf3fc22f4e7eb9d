// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// EIP-712 messages of three words and their 64-byte signatures (EIP-2098).
/// DANGER: `recover` gives address(0) for a signature that is none; a caller that compares it with a stored
/// operator must refuse zero on its own. A high s cannot be written in this form, so it is not malleable.
library CompactSignatures {
    bytes32 internal constant UPDATE_COMMITMENT = keccak256("UpdateCommitment(uint256 job,uint256 round,bytes32 commitment)");
    bytes32 internal constant BALLOT_COMMITMENT = keccak256("BallotCommitment(uint256 job,uint256 round,bytes32 commitment)");
    bytes32 internal constant MODEL_ATTESTATION = keccak256("ModelAttestation(uint256 job,uint256 round,bytes32 modelDigest)");

    /// The domain ("Commonweal", "1", this chain, `verifier`).
    function domainOf(address verifier) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Commonweal"),
                keccak256("1"),
                block.chainid,
                verifier
            )
        );
    }

    /// The digest that is signed for (job, round, word) under `messageType`.
    function digestOf(bytes32 domain, bytes32 messageType, uint256 job, uint256 round, bytes32 word) internal pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, messageType)
            mstore(add(at, 0x20), job)
            mstore(add(at, 0x40), round)
            mstore(add(at, 0x60), word)
            let structHash := keccak256(at, 0x80)
            mstore(at, hex"1901")
            mstore(add(at, 0x02), domain)
            mstore(add(at, 0x22), structHash)
            digest := keccak256(at, 0x42)
        }
    }

    function recover(bytes32 digest, bytes32 r, bytes32 vs) internal view returns (address signer) {
        assembly ("memory-safe") {
            let at := mload(0x40)
            mstore(at, digest)
            mstore(add(at, 0x20), add(shr(255, vs), 27))
            mstore(add(at, 0x40), r)
            mstore(add(at, 0x60), shr(1, shl(1, vs)))
            mstore(0x00, 0) // the precompile writes nothing for a signature that is none
            pop(staticcall(gas(), 1, at, 0x80, 0x00, 0x20))
            signer := mload(0x00)
        }
    }
}
