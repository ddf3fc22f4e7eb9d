// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {IModelLedger} from "./interfaces/IModelLedger.sol";

/// A recorded model is one that more than two thirds of a committee attested: ask how it was drawn before you trust it.
contract ModelLedger is IModelLedger {
    uint16 private constant SCORE_MAX = 65_533;

    struct Entry {
        bytes32 modelDigest;
        bytes32 verdictRoot;
    }

    address public immutable rounds;
    mapping(uint256 job => mapping(uint256 round => Entry)) private _entries;

    constructor(address rounds_) {
        rounds = rounds_;
    }

    function record(uint256 job, uint256 round, bytes32 modelDigest, bytes32 verdictRoot) external {
        if (msg.sender != rounds) revert NotRounds(msg.sender);
        _entries[job][round] = Entry(modelDigest, verdictRoot);
        emit ModelRecorded(job, round, modelDigest, verdictRoot);
    }

    function modelOf(uint256 job, uint256 round) external view returns (bytes32) {
        return _entries[job][round].modelDigest;
    }

    function verdictRootOf(uint256 job, uint256 round) external view returns (bytes32) {
        return _entries[job][round].verdictRoot;
    }

    function isVerdict(uint256 job, uint256 round, uint16 member, bytes32 digest, uint16 score, bytes32[] calldata proof)
        external
        view
        returns (bool)
    {
        return MerkleProof.verifyCalldata(proof, _entries[job][round].verdictRoot, _computeLeaf(member, digest, score));
    }

    /// Malformed `proof` bytes revert.
    function isVerifiedUpdate(uint256 job, uint256 round, bytes32 digest, bytes calldata proof)
        external
        view
        returns (bool)
    {
        (uint16 member, uint16 score, bytes32[] memory path) = abi.decode(proof, (uint16, uint16, bytes32[]));
        if (score == 0 || score > SCORE_MAX) return false;
        return MerkleProof.verify(path, _entries[job][round].verdictRoot, _computeLeaf(member, digest, score));
    }

    // 36 bytes, so that no inner node (64 bytes) can be passed off as a leaf.
    function _computeLeaf(uint16 member, bytes32 digest, uint16 score) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(member, digest, score));
    }
}
