// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// Global rules. A published version never changes; a job keeps the version it was created under.
struct ProtocolParameters {
    address treasury;            // receives slashed stake
    uint64 unbondingPeriod;      // seconds from `unbond` to `withdraw`
    uint64 appealWindow;         // seconds a slash is held back
    uint64 unjailDelay;          // seconds from jail to `unjail`
    uint64 feeGrace;             // seconds after the tally for which the coordinator's fee is reserved to it
    uint32 minWindow;            // shortest phase window a job may ask for, seconds
    uint32 maxWindow;            // longest one
    uint16 unrevealedSlashBps;   // of the stake locked in the job: committed, did not reveal
    uint16 invalidSlashBps;      // update found invalid by the committee
    uint16 absentSlashBps;       // committee member without ballot or attestation
    uint16 equivocationSlashBps; // two different signed messages for one slot
    uint16 bountyBps;            // of a slash, to whoever proved the fault
    uint128 bountyCap;           // wei, most a bounty may be
    uint8 maxMissedDuties;       // missed duties in a row that jail a provider
}

interface IParameters {
    event ParametersPublished(uint256 indexed version, ProtocolParameters parameters);
    event EntryPaused();
    event EntryResumed();

    error ParametersInvalid(string field, uint256 value, uint256 limit);
    error ParametersUnknown(uint256 version);
    error EntryIsPaused();

    function publish(ProtocolParameters calldata parameters) external returns (uint256 version);
    /// Until `resumeEntry`: no new jobs, joins or registrations. Nothing else ever stops.
    function pauseEntry() external;
    function resumeEntry() external;
    function isEntryPaused() external view returns (bool);
    function requireEntryOpen() external view;
    function currentVersion() external view returns (uint256);
    function parametersAt(uint256 version) external view returns (ProtocolParameters memory);
}
