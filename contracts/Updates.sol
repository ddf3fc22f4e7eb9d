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
        bytes memory entries = _signedEntries(job, round, members, commitments, signatures);
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
        uint256 count = members.length / 2;
        uint256 previous = Packed.uint16At(members, 0);
        uint256 word = previous >> 8;
        uint256 bits = _committedWord(job, header, word);
        uint256 allowed = word < trainers.length ? trainers[word] : 0;
        for (uint256 i = 0; i < count; ++i) {
            uint256 member = Packed.uint16At(members, i);
            if (i != 0 && member <= previous) revert MembersUnsorted(previous, member);
            if (member >> 8 != word) {
                _storeCommitted(job, header, word, bits);
                word = member >> 8;
                bits = _committedWord(job, header, word);
                allowed = word < trainers.length ? trainers[word] : 0;
            }
            uint256 bit = 1 << (member & 0xff);
            if (allowed & bit == 0) revert NotTrainer(member);
            if (bits & bit != 0) revert AlreadyCommitted(member);
            bits |= bit;
            previous = member;
        }
        _storeCommitted(job, header, word, bits);
    }

    function _signedEntries(uint256 job, uint256 round, bytes calldata members, bytes32[] calldata commitments, bytes calldata signatures)
        private
        view
        returns (bytes memory entries)
    {
        address[] memory operators = board.operatorsOf(job, members);
        bytes32 domain = _domainSeparatorV4();
        entries = Packed.allocate(Packed.ENTRY * commitments.length);
        for (uint256 i = 0; i < commitments.length; ++i) {
            uint256 member = Packed.uint16At(members, i);
            bytes32 commitment = Packed.wordAt(commitments, i);
            bytes32 digest = CompactSignatures.digestOf(domain, CompactSignatures.UPDATE_COMMITMENT, job, round, commitment);
            (bytes32 r, bytes32 vs) = Packed.pairAt(signatures, i);
            address signer = CompactSignatures.recover(digest, r, vs);
            if (signer == address(0) || signer != operators[i]) revert MemberSignatureWrong(member, signer);
            Packed.putEntry(entries, Packed.ENTRY * i, member, commitment);
        }
    }

    function _markRevealed(uint256 job, Header memory header, bytes calldata members, uint256 opened) private {
        uint256 count = members.length / 2;
        uint256 word = type(uint256).max;
        uint256 bits;
        for (uint256 i = 0; i < count; ++i) {
            if ((opened >> i) & 1 == 0) continue;
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
        _storeRevealed(job, header, word, bits);
    }

    /// The hash of the batch's entries as the openings imply them. The opened (member, digest) go to `records`, behind its first word.
    function _openEntries(uint256 preimage, bytes calldata members, uint256 opened, bytes32[] calldata words, bytes memory records)
        private
        pure
        returns (bytes32)
    {
        uint256 size = members.length / 2;
        bytes memory entries = Packed.allocate(Packed.ENTRY * size);
        uint256 next;
        uint256 record = 32;
        for (uint256 i = 0; i < size; ++i) {
            uint256 member = Packed.uint16At(members, i);
            bytes32 value = Packed.wordAt(words, next++);
            if ((opened >> i) & 1 != 0) {
                Packed.putEntry(records, record, member, value);
                record += Packed.ENTRY;
                value = Commitments.compute(preimage, member, value, Packed.wordAt(words, next++));
            }
            Packed.putEntry(entries, Packed.ENTRY * i, member, value);
        }
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
