// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Phase} from "./IRounds.sol";

/// Everything an agent needs to decide, in one call.
struct RoundView {
    uint256 job;
    uint256 round;              // 1, 2, …; a retry has a number of its own
    Phase phase;
    uint64 endsAt;              // deadline of the phase, seconds: the first at which a message is late
    uint64 seedBlock;           // whose hash seeds the draw; 0 until COMMIT has closed
    uint16 expected;            // trainers whose commitment closes COMMIT early
    uint16 commits;
    uint16 reveals;
    uint16 batches;             // commitment batches
    uint16 committeeSize;
    uint16[] committee;         // member indices by seat; empty before the draw
    uint16 ballotsCommitted;    // bit per seat
    uint16 ballotsRevealed;
    uint16 attested;            // seats that attested any model
    bytes32 parentModel;        // the model this round starts from
    bytes32 agreedModel;        // attested by more than two thirds; 0 before
    uint256[] committedBitmap;  // bit per member
    uint256[] revealedBitmap;
}

interface IRoundLens {
    /// The job's round in flight; after the last, phase None.
    function roundOf(uint256 job) external view returns (RoundView memory);
}
