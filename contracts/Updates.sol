// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Phase} from "./interfaces/IRounds.sol";
import {Bitmaps} from "./libraries/Bitmaps.sol";
import {CodePages} from "./libraries/CodePages.sol";
import {Commitments} from "./libraries/Commitments.sol";
import {CompactSignatures} from "./libraries/CompactSignatures.sol";
import {Packed} from "./libraries/Packed.sol";
import {Header} from "./libraries/RoundState.sol";
import {RoundProgress} from "./RoundProgress.sol";

/// Trainers' messages: sealed commitments, then their openings.
/// DANGER: a batch is kept as one hash of its entries, so whoever opens one entry repeats the others.
abstract contract Updates is RoundProgress {
    function commitUpdates(uint256 job, uint256 round, bytes calldata members, bytes32[] calldata commitments, bytes calldata signatures) external {
        Header memory header = _enterInTime(job, round, Phase.Commit);
        _requireSize(commitments.length);
        _requireEqual(members.length, 2 * commitments.length);
        _requireEqual(signatures.length, 64 * commitments.length);
        uint256[] memory trainers = board.trainersOf(job);
        _markCommitted(job, header, trainers, members);
        _requireSigned(job, round, members, commitments, signatures);
        bytes memory entries = Packed.entriesOf(members, commitments);
        uint256 batch = header.batches++;
        header.commits += commitments.length;
        _rounds[job].batches[batch] = keccak256(entries);
        emit UpdatesCommitted(job, round, batch, entries);
        _closeCommitIfComplete(job, header, trainers);
        _save(job, header);
    }

    function revealUpdates(uint256 job, uint256 round, uint256 batch, bytes calldata members, uint256 opened, bytes calldata openings) external {
        Header memory header = _enterInTime(job, round, Phase.Reveal);
        uint256 size = members.length / 2;
        uint256 count = Bitmaps.count(opened);
        _requireSize(size);
        _requireEqual(members.length, 2 * size);
        _requireEqual(openings.length, 32 * size + Commitments.SALT * count);
        if (count == 0) revert BatchEmpty();
        if (size < MAX_BATCH && opened >> size != 0) revert BatchTooLarge(count, size);
        if (batch >= header.batches) revert BatchWrong(batch, 0, 0);
        bytes memory records = Packed.allocate(32 + Packed.ENTRY * count);
        bytes32 entriesHash = _openEntries(Commitments.prepare(job, round), members, opened, openings, records);
        bytes32 expected = _rounds[job].batches[batch];
        if (entriesHash != expected) revert BatchWrong(batch, entriesHash, expected);
        _markRevealed(job, header, members, opened);
        _chainReveals(job, header, records);
        header.reveals += count;
        emit UpdatesRevealed(job, round, batch, members, opened, openings);
        _closeRevealIfComplete(job, header);
        _save(job, header);
    }

    /// DANGER: `members` must ascend, or one could be counted twice.
    function _markCommitted(uint256 job, Header memory header, uint256[] memory trainers, bytes calldata members) private {
        uint256 index;
        uint256 fresh; // the least word that has not had its turn
        while (2 * index < members.length) {
            uint256 word = Packed.uint16At(members, index) >> 8;
            if (word < fresh) revert MembersUnsorted(Packed.uint16At(members, index - 1), Packed.uint16At(members, index));
            uint256 bits;
            (bits, index) = Bitmaps.gather(members, index, type(uint256).max);
            uint256 earlier = _committedWord(job, header, word);
            uint256 refused = bits & ~(word < trainers.length ? trainers[word] & ~earlier : 0);
            if (refused != 0) _refuse(word, refused, earlier);
            _storeCommitted(job, header, word, earlier | bits);
            fresh = word + 1;
        }
    }

    function _refuse(uint256 word, uint256 refused, uint256 earlier) private pure {
        uint256 lowest = Bitmaps.lowest(refused);
        uint256 member = word << 8 | lowest;
        if (Bitmaps.has(earlier, lowest)) revert AlreadyCommitted(member);
        revert NotTrainer(member);
    }

    /// The board's sealed pages are believed where they confirm a signature; the board itself is asked about all others.
    function _requireSigned(uint256 job, uint256 round, bytes calldata members, bytes32[] calldata commitments, bytes calldata signatures)
        private
        view
    {
        uint256 first = Packed.uint16At(members, 0) >> 7;
        uint256 last = Packed.uint16At(members, commitments.length - 1) >> 7;
        bytes memory roster = CodePages.allocate(last + 1 - first);
        uint256 wrong;
        address signer;
        for (uint256 attempt = commitments.length < CodePages.FEW ? 1 : 0; attempt < 2; ++attempt) {
            if (attempt == 0) _loadPages(job, first, last, roster);
            else CodePages.replace(roster, members, _operatorsOf(job, members));
            (wrong, signer) = CompactSignatures.findWrong(
                _domain(), CompactSignatures.UPDATE_COMMITMENT, job, round, members, commitments, signatures, roster, wrong
            );
            if (wrong == commitments.length) return;
        }
        revert MemberSignatureWrong(Packed.uint16At(members, wrong), signer);
    }

    /// The sealed pages from `first` to `last`, without the entries that are stale.
    function _loadPages(uint256 job, uint256 first, uint256 last, bytes memory roster) private view {
        for (uint256 page = first; page <= last; ++page) {
            (address pointer, uint256 stale) = board.rosterPageOf(job, page);
            CodePages.loadInto(roster, page - first, pointer, stale);
        }
    }

    /// `members` ascend, as they did when they committed.
    function _markRevealed(uint256 job, Header memory header, bytes calldata members, uint256 opened) private {
        uint256 index;
        while (opened >> index != 0) {
            uint256 word = Packed.uint16At(members, index) >> 8;
            (uint256 bits, uint256 next) = Bitmaps.gather(members, index, opened >> index);
            index = next;
            if (bits == 0) continue;
            uint256 earlier = _revealedWord(job, header, word);
            if (bits & earlier != 0) revert AlreadyRevealed(word << 8 | Bitmaps.lowest(bits & earlier));
            _storeRevealed(job, header, word, earlier | bits);
        }
    }

    /// The hash of the batch's entries as the openings imply them. The opened (member, digest) go to `records`, behind its first word.
    function _openEntries(uint256 preimage, bytes calldata members, uint256 opened, bytes calldata openings, bytes memory records)
        private
        pure
        returns (bytes32)
    {
        bytes memory entries = Packed.allocate(Packed.ENTRY * (members.length / 2));
        Commitments.open(preimage, members, opened, openings, entries, records);
        return keccak256(entries);
    }

    function _chainReveals(uint256 job, Header memory header, bytes memory records) private {
        bytes32 previous = header.reveals == 0 ? bytes32(0) : _rounds[job].revealsHash;
        assembly ("memory-safe") {
            mstore(add(records, 0x20), previous)
        }
        _rounds[job].revealsHash = keccak256(records);
    }
}
