// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobBoard, JobParameters} from "../interfaces/IJobBoard.sol";
import {ProtocolParameters} from "../interfaces/IParameters.sol";
import {SumTree} from "./SumTree.sol";

/// What a job may ask for.
library JobRules {
    uint256 internal constant WEIGHT_UNIT = 1e9; // wei of locked stake per unit of weight
    uint256 internal constant MAX_STAKE = SumTree.MAX_WEIGHT * WEIGHT_UNIT;
    uint256 private constant MAX_TRAINERS = 1024;
    uint256 private constant MAX_COMMITTEE = 15;
    uint256 private constant MAX_SCORES = 10_000; // trainers times seats: the dearest tally of so many fits a transaction
    uint256 private constant MAX_ROUNDS = 1_000_000;
    uint256 private constant MAX_FAILED_ROUNDS = 10_000;
    uint256 private constant MAX_RECRUITING = 365 days;
    uint256 private constant MAX_BPS = 10_000;

    function check(JobParameters memory job, ProtocolParameters memory rules) internal view {
        _checkWithin("specDigest", uint256(job.specDigest), 1, type(uint256).max);
        _checkWithin("initialModel", uint256(job.initialModel), 1, type(uint256).max);
        _checkWithin("rounds", job.rounds, 1, MAX_ROUNDS);
        _checkWithin("validatorShareBps", job.validatorShareBps, 0, MAX_BPS);
        _checkWithin("coordinatorShareBps", job.coordinatorShareBps, 0, MAX_BPS - job.validatorShareBps);
        _checkWithin("maxTrainers", job.maxTrainers, 1, MAX_TRAINERS);
        _checkWithin("minTrainers", job.minTrainers, 1, job.maxTrainers);
        uint256 mostSeats = MAX_SCORES / job.maxTrainers;
        if (mostSeats > MAX_COMMITTEE) mostSeats = MAX_COMMITTEE;
        _checkWithin("committeeSize", job.committeeSize, 1, mostSeats);
        // Even: a tie would have no majority.
        if (job.committeeSize % 2 == 0) revert IJobBoard.JobParameterInvalid("committeeSize", job.committeeSize, mostSeats);
        // Below one unit a validator would weigh nothing and never be drawn.
        _checkWithin("minStake", job.minStake, WEIGHT_UNIT, MAX_STAKE);
        _checkWithin("commitWindow", job.commitWindow, rules.minWindow, rules.maxWindow);
        _checkWithin("revealWindow", job.revealWindow, rules.minWindow, rules.maxWindow);
        _checkWithin("ballotCommitWindow", job.ballotCommitWindow, rules.minWindow, rules.maxWindow);
        _checkWithin("ballotRevealWindow", job.ballotRevealWindow, rules.minWindow, rules.maxWindow);
        _checkWithin("attestWindow", job.attestWindow, rules.minWindow, rules.maxWindow);
        _checkWithin("maxFailedRounds", job.maxFailedRounds, 0, MAX_FAILED_ROUNDS);
        _checkWithin("recruitUntil", job.recruitUntil, 0, block.timestamp + MAX_RECRUITING);
    }

    function _checkWithin(string memory field, uint256 value, uint256 least, uint256 most) private pure {
        if (value < least) revert IJobBoard.JobParameterInvalid(field, value, least);
        if (value > most) revert IJobBoard.JobParameterInvalid(field, value, most);
    }
}
