// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Multicall} from "@openzeppelin/contracts/utils/Multicall.sol";
import {IJobBoard} from "./interfaces/IJobBoard.sol";
import {IModelLedger} from "./interfaces/IModelLedger.sol";
import {IParameters} from "./interfaces/IParameters.sol";
import {Phase, RoundView} from "./interfaces/IRounds.sol";
import {Bitmaps} from "./libraries/Bitmaps.sol";
import {Header} from "./libraries/RoundState.sol";
import {RoundStore} from "./RoundStore.sol";
import {Settlement} from "./Settlement.sol";
import {Updates} from "./Updates.sol";

/// The round state machine. Several messages, or the last attestation and `finalise`, fit one transaction by `multicall`.
contract Rounds is Updates, Settlement, Multicall {
    constructor(IJobBoard board_, IModelLedger ledger_, IParameters parameters_) RoundStore(board_, ledger_, parameters_) {}

    function roundOf(uint256 job) external view returns (RoundView memory shown) {
        Header memory header = _load(job);
        shown.job = job;
        shown.round = header.round;
        shown.phase = header.phase;
        shown.endsAt = uint64(header.endsAt);
        shown.seedBlock = uint64(header.seedBlock);
        shown.expected = uint16(_expected(job, header));
        shown.commits = uint16(header.commits);
        shown.reveals = uint16(header.reveals);
        shown.batches = uint16(header.batches);
        shown.committeeSize = uint16(_rounds[job].terms.committeeSize());
        shown.committee = _membersOn(_committees[job][header.round]);
        shown.ballotsCommitted = uint16(header.ballotsCommitted);
        shown.ballotsRevealed = uint16(header.ballotsRevealed);
        shown.attested = uint16(header.attested);
        shown.parentModel = _parentModel(job, header);
        if (header.agreed) shown.agreedModel = _rounds[job].models[header.parent ^ 1];
        _showBitmaps(job, header, shown);
    }

    function isDrawPending(uint256 job) external view returns (bool) {
        Header memory header = _load(job);
        return header.phase == Phase.Reveal && header.seats == 0;
    }

    function isEngaged(uint256 job, uint256 member) external view returns (bool) {
        Header memory header = _load(job);
        if (header.phase == Phase.None) return false;
        if (Bitmaps.has(_committedWord(job, header, member >> 8), member & 0xff)) return true;
        uint256 committee = header.seats == 0 ? 0 : _committees[job][header.round];
        for (uint256 seat = 0; seat < header.seats; ++seat) {
            if (_memberOn(committee, seat) == member) return true;
        }
        return false;
    }

    function committeeOf(uint256 job, uint256 round) external view returns (uint16[] memory members, uint16 absent) {
        uint256 committee = _committees[job][round];
        return (_membersOn(committee), uint16(committee >> 240));
    }

    function isUnrevealed(uint256 job, uint256 round, uint256 member) external view returns (bool) {
        return Bitmaps.has(_unrevealed[job][round][member >> 8], member & 0xff);
    }

    /// While COMMIT is open: the trainers it waits for, and the idle ones who came nevertheless, but more than half of the
    /// active ones. Afterwards: who committed.
    function _expected(uint256 job, Header memory header) private view returns (uint256 expected) {
        if (header.phase != Phase.Commit) return header.commits;
        uint256[] memory trainers = board.trainersOf(job);
        uint256 active;
        for (uint256 word = 0; word < trainers.length; ++word) {
            uint256 silent = _idleWord(job, header, word) & ~_committedWord(job, header, word);
            expected += Bitmaps.count(trainers[word] & ~silent);
            active += Bitmaps.count(trainers[word]);
        }
        if (expected <= active / 2) expected = active / 2 + 1;
    }

    function _showBitmaps(uint256 job, Header memory header, RoundView memory shown) private view {
        uint256 words = _wordsIn(header.freshCommitted);
        shown.committedBitmap = new uint256[](words);
        shown.revealedBitmap = new uint256[](words);
        for (uint256 word = 0; word < words; ++word) {
            shown.committedBitmap[word] = _committedWord(job, header, word);
            shown.revealedBitmap[word] = _revealedWord(job, header, word);
        }
    }

    function _membersOn(uint256 committee) private pure returns (uint16[] memory members) {
        uint256 seats;
        while (seats < 15 && uint16(committee >> (16 * seats)) != 0) ++seats;
        members = new uint16[](seats);
        for (uint256 seat = 0; seat < seats; ++seat) {
            members[seat] = uint16(_memberOn(committee, seat));
        }
    }
}
