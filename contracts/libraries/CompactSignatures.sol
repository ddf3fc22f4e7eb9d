// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// EIP-712 messages of three words and their 64-byte signatures (EIP-2098).
/// DANGER: `recover` gives address(0) for a signature that is none; a caller that compares it with a stored
/// operator must refuse zero on its own. Almost no signature has a second form here, but nothing may rest on there being none.
library CompactSignatures {
    bytes32 internal constant UPDATE_COMMITMENT = keccak256("UpdateCommitment(uint256 job,uint256 round,bytes32 commitment)");
    bytes32 internal constant BALLOT_COMMITMENT = keccak256("BallotCommitment(uint256 job,uint256 round,bytes32 commitment)");
    bytes32 internal constant MODEL_ATTESTATION = keccak256("ModelAttestation(uint256 job,uint256 round,bytes32 modelDigest)");

    uint256 private constant S_BITS = 0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff;

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

    /// Checks signature i over words[i] against the operator of members[i], from `index` on. Returns the first that is wrong,
    /// with who signed there instead, or the number of words. `roster`: see CodePages; it starts with the first member's page.
    function findWrong(
        bytes32 domain,
        bytes32 messageType,
        uint256 job,
        uint256 round,
        bytes calldata members,
        bytes32[] calldata words,
        bytes calldata signatures,
        bytes memory roster,
        uint256 index
    ) internal view returns (uint256, address signer) {
        assembly ("memory-safe") {
            // Laid out once: the struct's four words, the digest's preimage, the precompile's four words.
            let message := mload(0x40)
            let preimage := add(message, 0x80)
            let input := add(message, 0x100)
            mstore(message, messageType)
            mstore(add(message, 0x20), job)
            mstore(add(message, 0x40), round)
            mstore(preimage, hex"1901")
            mstore(add(preimage, 0x02), domain)
            let operators := sub(add(roster, 0x20), mul(20, and(shr(240, calldataload(members.offset)), not(127))))
            let place := add(members.offset, shl(1, index))
            let word := add(words.offset, shl(5, index))
            let signature := add(signatures.offset, shl(6, index))
            for { let end := add(words.offset, shl(5, words.length)) } lt(word, end) { word := add(word, 0x20) } {
                mstore(add(message, 0x60), calldataload(word))
                mstore(add(message, 0xa2), keccak256(message, 0x80))
                mstore(input, keccak256(preimage, 0x42))
                let vs := calldataload(add(signature, 0x20))
                mstore(add(message, 0x120), add(shr(255, vs), 27))
                mstore(add(message, 0x140), calldataload(signature))
                mstore(add(message, 0x160), and(vs, S_BITS))
                // For a signature that is none the precompile leaves the digest where it is, which is nobody's address.
                pop(staticcall(gas(), 1, input, 0x80, input, 0x20))
                signer := mload(input)
                if xor(signer, shr(96, mload(add(operators, mul(20, shr(240, calldataload(place))))))) {
                    signer := mul(signer, iszero(iszero(returndatasize())))
                    break
                }
                place := add(place, 2)
                signature := add(signature, 0x40)
            }
            index := shr(5, sub(word, words.offset))
        }
        return (index, signer);
    }
}
