// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {IJobBoard} from "./interfaces/IJobBoard.sol";
import {IModelLedger} from "./interfaces/IModelLedger.sol";
import {IParameters} from "./interfaces/IParameters.sol";
import {Phase, RoundWords} from "./interfaces/IRounds.sol";
import {Bitmaps} from "./libraries/Bitmaps.sol";
import {Committees} from "./libraries/Committees.sol";
import {Header} from "./libraries/RoundState.sol";
import {RoundStore} from "./RoundStore.sol";
import {Settlement} from "./Settlement.sol";
import {Updates} from "./Updates.sol";

/// The round state machine. Several messages, or the last attestation and `finalise`, fit one transaction by `multicall`.
contract Rounds is Updates, Settlement, Multicall {
    constructor(IJobBoard board_, IModelLedger ledger_, IParameters parameters_, address appeals_)
        RoundStore(board_, ledger_, parameters_, appeals_)
    {}

    function wordsOf(uint256 job) external view returns (RoundWords memory) {
        InFlight storage round = _rounds[job];
        uint256 size = WORDS_SHOWN;
        assembly ("memory-safe") {
            let words := mload(0x40)
            for { let i := 0 } lt(i, size) { i := add(i, 1) } { mstore(add(words, shl(5, i)), sload(add(round.slot, i))) }
            return(words, shl(5, size))
        }
    }

    function lastRoundOf(uint256 job) external view returns (uint256) {
        return _load(job).round;
    }

    function isDrawPending(uint256 job) external view returns (bool) {
        Header memory header = _load(job);
        return header.phase == Phase.Reveal && header.seats == 0;
    }

    function isEngaged(uint256 job, uint256 member) external view returns (bool) {
        Header memory header = _load(job);
        if (header.phase == Phase.None) return false;
        if (Bitmaps.has(_committedWord(job, header, member >> 8), member & 0xff)) return true;
        uint256 committee = _rounds[job].committee;
        for (uint256 seat = 0; seat < header.seats; ++seat) {
            if (Committees.memberAt(committee, seat) == member) return true;
        }
        return false;
    }

    function absencesOf(uint256 job, uint256 round) external view returns (uint16[] memory members, uint16 absent) {
        uint256 committee = _absences[job][round];
        return (Committees.unpack(committee), uint16(committee >> 240));
    }

    function isUnrevealed(uint256 job, uint256 round, uint256 member) external view returns (bool) {
        return Bitmaps.has(_unrevealed[job][round][member >> 8], member & 0xff);
    }
}
