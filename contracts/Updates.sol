// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Phase} from "./interfaces/IRounds.sol";
import {Bitmaps} from "./libraries/Bitmaps.sol";
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

    function revealUpdates(uint256 job, uint256 round, uint256 batch, bytes calldata members, uint256 opened, bytes32[] calldata words) external {
        Header memory header = _enterInTime(job, round, Phase.Reveal);
        uint256 size = members.length / 2;
        uint256 openings = Bitmaps.count(opened);
        _requireSize(size);
        _requireEqual(members.length, 2 * size);
        _requireEqual(words.length, size + openings);
        if (openings == 0) revert BatchEmpty();
        if (size < MAX_BATCH && opened >> size != 0) revert BatchTooLarge(openings, size);
        if (batch >= header.batches) revert BatchWrong(batch, 0, 0);
        bytes memory records = Packed.allocate(32 + Packed.ENTRY * openings);
        bytes32 entriesHash = _openEntries(Commitments.prepare(job, round), members, opened, words, records);
        bytes32 expected = _rounds[job].batches[batch];
        if (entriesHash != expected) revert BatchWrong(batch, entriesHash, expected);
        _markRevealed(job, header, members, opened);
        _chainReveals(job, header, records);
        header.reveals += openings;
        emit UpdatesRevealed(job, round, batch, members, opened, words);
        _closeRevealIfComplete(job, header);
        _save(job, header);
    }

    function _markCommitted(uint256 job, Header memory header, uint256[] memory trainers, bytes calldata members) private {
        uint256 word = type(uint256).max;
        uint256 bits;
        uint256 free; // members of the word who may still commit
        uint256 lowest; // the least that the next member may be
        unchecked {
            for (uint256 i = 0; i < members.length / 2; ++i) {
                uint256 member = Packed.uint16At(members, i);
                if (member < lowest) revert MembersUnsorted(lowest - 1, member);
                lowest = member + 1;
                if (member >> 8 != word) {
                    if (i != 0) _storeCommitted(job, header, word, bits);
                    word = member >> 8;
                    bits = _committedWord(job, header, word);
                    free = word < trainers.length ? trainers[word] & ~bits : 0;
                }
                uint256 bit = 1 << (member & 0xff);
                if (free & bit == 0) _refuse(member, bits & bit != 0);
                bits |= bit;
            }
        }
        _storeCommitted(job, header, word, bits);
    }

    function _refuse(uint256 member, bool committed) private pure {
        if (committed) revert AlreadyCommitted(member);
        revert NotTrainer(member);
    }

    function _requireSigned(uint256 job, uint256 round, bytes calldata members, bytes32[] calldata commitments, bytes calldata signatures)
        private
        view
    {
        address[] memory operators = _operatorsOf(job, members);
        (uint256 wrong, address signer) = CompactSignatures.findWrong(
            _domain(), CompactSignatures.UPDATE_COMMITMENT, job, round, commitments, signatures, operators
        );
        if (wrong != commitments.length) revert MemberSignatureWrong(Packed.uint16At(members, wrong), signer);
    }

    function _markRevealed(uint256 job, Header memory header, bytes calldata members, uint256 opened) private {
        uint256 word = type(uint256).max;
        uint256 bits;
        unchecked {
            for (uint256 i = 0; opened != 0; ++i) {
                if (opened & 1 != 0) {
                    uint256 member = Packed.uint16At(members, i);
                    if (member >> 8 != word) {
                        if (word != type(uint256).max) _storeRevealed(job, header, word, bits);
                        word = member >> 8;
                        bits = _revealedWord(job, header, word);
                    }
                    uint256 bit = 1 << (member & 0xff);
                    if (bits & bit != 0) revert AlreadyRevealed(member);
                    bits |= bit;
                }
                opened >>= 1;
            }
        }
        _storeRevealed(job, header, word, bits);
    }

    /// The hash of the batch's entries as the openings imply them. The opened (member, digest) go to `records`, behind its first word.
    function _openEntries(uint256 preimage, bytes calldata members, uint256 opened, bytes32[] calldata words, bytes memory records)
        private
        pure
        returns (bytes32)
    {
        bytes memory entries = Packed.allocate(Packed.ENTRY * (members.length / 2));
        Commitments.open(preimage, members, opened, words, entries, records);
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
