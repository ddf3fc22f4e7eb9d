// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

interface IModelLedger {
    event ModelRecorded(uint256 indexed job, uint256 indexed round, bytes32 modelDigest, bytes32 verdictRoot);

    error NotRounds(address caller);

    function record(uint256 job, uint256 round, bytes32 modelDigest, bytes32 verdictRoot) external;
    function modelOf(uint256 job, uint256 round) external view returns (bytes32 modelDigest);
    function verdictRootOf(uint256 job, uint256 round) external view returns (bytes32);
    /// Leaf: keccak256(abi.encodePacked(uint16 member, bytes32 digest, uint16 score)); nodes: sorted pairs.
    function isVerdict(uint256 job, uint256 round, uint16 member, bytes32 digest, uint16 score, bytes32[] calldata proof) external view returns (bool);
    /// True only for a verdict whose score is 1 to 65533. `proof`: abi.encode(uint16 member, uint16 score, bytes32[] proof).
    function isVerifiedUpdate(uint256 job, uint256 round, bytes32 digest, bytes calldata proof) external view returns (bool);
}
