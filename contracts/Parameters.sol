// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IParameters, ProtocolParameters} from "./interfaces/IParameters.sol";

/// Whoever the authority lets `publish` sets the slashes, delays and treasury of every job created from then on:
/// put a timelock before it. Nobody can change a published version, nor which version a job runs under.
/// Whoever it lets `pauseEntry` can keep newcomers out, and nobody in.
contract Parameters is IParameters, AccessManaged {
    uint256 private constant MAX_BPS = 10_000;
    uint256 private constant MAX_DELAY = 365 days;

    uint256 public currentVersion;
    bool public isEntryPaused;
    mapping(uint256 version => ProtocolParameters) private _versions;

    constructor(address authority_, ProtocolParameters memory initial) AccessManaged(authority_) {
        _publish(initial);
    }

    /// Binds jobs and unbondings that start after it; the running ones keep their version. Versions count from 1.
    function publish(ProtocolParameters calldata parameters) external restricted returns (uint256 version) {
        return _publish(parameters);
    }

    function pauseEntry() external restricted {
        isEntryPaused = true;
        emit EntryPaused();
    }

    function resumeEntry() external restricted {
        isEntryPaused = false;
        emit EntryResumed();
    }

    function requireEntryOpen() external view {
        if (isEntryPaused) revert EntryIsPaused();
    }

    function parametersAt(uint256 version) external view returns (ProtocolParameters memory) {
        if (version == 0 || version > currentVersion) revert ParametersUnknown(version);
        return _versions[version];
    }

    function _publish(ProtocolParameters memory parameters) private returns (uint256 version) {
        _check(parameters);
        version = ++currentVersion;
        _versions[version] = parameters;
        emit ParametersPublished(version, parameters);
    }

    function _check(ProtocolParameters memory p) private pure {
        if (p.treasury == address(0)) revert ParametersInvalid("treasury", 0, 1);
        _checkMost("unbondingPeriod", p.unbondingPeriod, MAX_DELAY);
        _checkMost("appealWindow", p.appealWindow, MAX_DELAY);
        // Stake that could leave sooner could not be slashed for what is proven in time.
        _checkLeast("unbondingPeriod", p.unbondingPeriod, p.appealWindow);
        _checkMost("unjailDelay", p.unjailDelay, MAX_DELAY);
        _checkMost("feeGrace", p.feeGrace, MAX_DELAY);
        _checkLeast("minWindow", p.minWindow, 1);
        _checkLeast("maxWindow", p.maxWindow, p.minWindow);
        _checkMost("maxWindow", p.maxWindow, MAX_DELAY);
        _checkMost("unrevealedSlashBps", p.unrevealedSlashBps, MAX_BPS);
        _checkMost("invalidSlashBps", p.invalidSlashBps, MAX_BPS);
        _checkMost("absentSlashBps", p.absentSlashBps, MAX_BPS);
        _checkMost("equivocationSlashBps", p.equivocationSlashBps, MAX_BPS);
        // Above a half, accusing oneself would save most of a slash.
        _checkMost("bountyBps", p.bountyBps, MAX_BPS / 2);
        _checkLeast("maxMissedDuties", p.maxMissedDuties, 1);
    }

    function _checkMost(string memory field, uint256 value, uint256 limit) private pure {
        if (value > limit) revert ParametersInvalid(field, value, limit);
    }

    function _checkLeast(string memory field, uint256 value, uint256 limit) private pure {
        if (value < limit) revert ParametersInvalid(field, value, limit);
    }
}
