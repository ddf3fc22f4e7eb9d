// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobBoard} from "./interfaces/IJobBoard.sol";
import {IRoundLens, RoundView} from "./interfaces/IRoundLens.sol";
import {IRounds, Phase, RoundWords} from "./interfaces/IRounds.sol";
import {Bitmaps} from "./libraries/Bitmaps.sol";
import {Committees} from "./libraries/Committees.sol";
import {Header, RoundState, Terms} from "./libraries/RoundState.sol";

/// Shows the rounds in flight. It stands apart from `Rounds`, whose code has no room for what only readers need.
contract RoundLens is IRoundLens {
    IRounds public immutable rounds;
    IJobBoard public immutable board;

    constructor(IRounds rounds_, IJobBoard board_) {
        rounds = rounds_;
        board = board_;
    }

    function roundOf(uint256 job) external view returns (RoundView memory shown) {
        RoundWords memory words = rounds.wordsOf(job);
        Header memory header = RoundState.unpack(words.header);
        shown.job = job;
        shown.round = header.round;
        shown.phase = header.phase;
        shown.endsAt = uint64(header.endsAt);
        shown.seedBlock = uint64(header.seedBlock);
        shown.commits = uint16(header.commits);
        shown.reveals = uint16(header.reveals);
        shown.batches = uint16(header.batches);
        shown.committeeSize = uint16(Terms.wrap(words.terms).committeeSize());
        if (header.seats != 0) shown.committee = Committees.unpack(words.committee);
        shown.ballotsCommitted = uint16(header.ballotsCommitted);
        shown.ballotsRevealed = uint16(header.ballotsRevealed);
        shown.attested = uint16(header.attested);
        shown.parentModel = words.models[header.parent];
        if (header.agreed) shown.agreedModel = words.models[header.parent ^ 1];
        shown.committedBitmap = _fresh(words.committed, header.freshCommitted, header.freshCommitted);
        shown.revealedBitmap = _fresh(words.revealed, header.freshRevealed, header.freshCommitted);
        shown.expected = uint16(_expected(job, header, words, shown.committedBitmap));
    }

    /// While COMMIT is open: the trainers it waits for, and the idle ones who came nevertheless, but more than half of the
    /// active ones. Afterwards: who committed.
    function _expected(uint256 job, Header memory header, RoundWords memory words, uint256[] memory committed)
        private
        view
        returns (uint256 expected)
    {
        if (header.phase != Phase.Commit) return header.commits;
        uint256[] memory trainers = board.trainersOf(job);
        uint256 active;
        for (uint256 word = 0; word < trainers.length; ++word) {
            uint256 silent = header.idles ? words.idle[word] : 0;
            if (word < committed.length) silent &= ~committed[word];
            expected += Bitmaps.count(trainers[word] & ~silent);
            active += Bitmaps.count(trainers[word]);
        }
        if (expected <= active / 2) expected = active / 2 + 1;
    }

    /// As many words as `extent` reaches; those that `fresh` does not name hold an older round's bits, and count as empty.
    function _fresh(uint256[16] memory words, uint256 fresh, uint256 extent) private pure returns (uint256[] memory bitmap) {
        uint256 size;
        while (extent >> size != 0) ++size;
        bitmap = new uint256[](size);
        for (uint256 word = 0; word < size; ++word) {
            if (Bitmaps.has(fresh, word)) bitmap[word] = words[word];
        }
    }
}
