// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

enum Fault {
    Unrevealed,
    InvalidUpdate,
    UnavailableUpdate,
    Absent,
    Equivocation
}

enum Slot {
    UpdateCommitment,
    BallotCommitment,
    ModelAttestation
}

/// Anybody brings the proof; the chain's own records decide. Each (job, round, member, fault) counts once.
interface IFaults {
    event FaultProven(uint256 indexed job, uint256 indexed round, uint256 indexed member, Fault fault, address provider, uint256 slash);

    error FaultAlreadyProven(uint256 job, uint256 round, uint256 member, Fault fault);
    error FaultNotProven(uint256 job, uint256 round, uint256 member, Fault fault);
    error MessagesEqual(bytes32 value);
    error NoMissedDuties(address provider);

    function proveUnrevealed(uint256 job, uint256 round, uint256 member) external;
    function proveInvalid(uint256 job, uint256 round, uint16 member, bytes32 digest, bytes32[] calldata proof) external;
    function proveUnavailable(uint256 job, uint256 round, uint16 member, bytes32 digest, bytes32[] calldata proof) external;
    function proveAbsent(uint256 job, uint256 round, uint256 seat) external;
    /// Two values signed by one operator (past or present) for one slot. Signatures are 64 bytes (EIP-2098).
    function proveEquivocation(uint256 job, uint256 round, Slot slot, bytes32 first, bytes calldata firstSignature, bytes32 second, bytes calldata secondSignature) external;
    /// A later update with verdict VERIFIED or REJECTED ends a row of missed duties.
    function proveDutyDone(uint256 job, uint256 round, uint16 member, bytes32 digest, uint16 score, bytes32[] calldata proof) external;

    /// What a slash was for; job 0 if for no fault proven here.
    function faultOf(uint256 slash) external view returns (uint256 job, uint256 round, uint256 member, Fault fault);
}
