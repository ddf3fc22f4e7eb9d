// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Phase} from "./interfaces/IRounds.sol";
import {Ballots} from "./Ballots.sol";
import {Bitmaps} from "./libraries/Bitmaps.sol";
import {CompactSignatures} from "./libraries/CompactSignatures.sol";
import {Packed} from "./libraries/Packed.sol";
import {Payments} from "./libraries/Payments.sol";
import {Header} from "./libraries/RoundState.sol";
import {VerdictTree} from "./libraries/VerdictTree.sol";

/// The end of a round: the committee attests the next model; then reveals, scores and shares are given again, checked
/// against their hashes, paid and recorded.
abstract contract Settlement is Ballots {
    function attest(uint256 job, uint256 round, bytes32 modelDigest, bytes calldata seats, bytes calldata signatures) external {
        Header memory header = _enterInTime(job, round, Phase.Attest);
        _requireSize(seats.length);
        _requireEqual(signatures.length, 64 * seats.length);
        address[] memory operators = _operatorsOn(job, header, seats);
        bytes32 digest = CompactSignatures.digestOf(_domain(), CompactSignatures.MODEL_ATTESTATION, job, round, modelDigest);
        uint256 earlier = header.attested;
        for (uint256 i = 0; i < seats.length; ++i) {
            uint256 seat = Packed.uint8At(seats, i);
            if (Bitmaps.has(header.attested, seat)) revert AlreadyAttested(seat);
            header.attested |= 1 << seat;
            _requireSignedBy(operators[i], digest, signatures, i, seat);
        }
        emit ModelAttested(job, round, modelDigest, seats);
        if (!header.agreed) _countAttestations(job, header, modelDigest, earlier);
        else if (modelDigest == _rounds[job].models[header.parent ^ 1]) _noteAttesters(job, header.attested & ~earlier);
        _save(job, header);
    }

    function finalise(uint256 job, uint256 round, bytes[] calldata reveals, bytes calldata scores, bytes calldata shares) external {
        Header memory header = _enter(job, round, Phase.Attest);
        if (!header.agreed) revert NoModelYet(job, round);
        bytes32 tallied = keccak256(abi.encode(keccak256(scores), keccak256(shares)));
        if (tallied != _rounds[job].tallyHash) revert TallyWrong(tallied, _rounds[job].tallyHash);
        bytes memory records = _recordsOf(job, header, reveals);
        bytes32 root = _rootOf(job, header, records, scores);
        Payments.Split memory split = _splitOf(job, header, scores);
        Payments.takeSeats(split, _rounds[job].committee, shares);
        Payments.payTrainers(split, records, scores);
        Payments.payRemainingSeats(split);
        header.parent ^= 1; // the agreed model's slot
        _noteAbsent(job, header);
        bytes32 model = _parentModel(job, header);
        ledger.record(job, round, model, root);
        emit RoundFinalised(job, round, model, root);
        board.settleRound(job, round, Payments.close(split), _feeRecipient(job, header), split.fee);
        _next(job, header);
        _save(job, header);
    }

    /// `earlier`: seats that attested before this call. This call's are for `modelDigest`.
    function _countAttestations(uint256 job, Header memory header, bytes32 modelDigest, uint256 earlier) private {
        uint256 fresh = header.attested & ~earlier;
        uint256 attesters = fresh;
        InFlight storage round = _rounds[job];
        for (uint256 seat = 0; seat < header.seats; ++seat) {
            if (Bitmaps.has(earlier, seat) && round.attestations[seat] == modelDigest) attesters |= 1 << seat;
        }
        if (3 * Bitmaps.count(attesters) > 2 * round.terms.committeeSize()) {
            header.agreed = true;
            round.models[header.parent ^ 1] = modelDigest;
            return _noteAttesters(job, attesters);
        }
        for (uint256 seat = 0; seat < header.seats; ++seat) {
            if (Bitmaps.has(fresh, seat)) round.attestations[seat] = modelDigest;
        }
    }

    /// They answer for the model if it is appealed.
    function _noteAttesters(uint256 job, uint256 seats) private {
        _rounds[job].committee |= seats << 240;
    }

    /// Over the verdicts, and over what an appeal has to know about the round (see IAppeals.Settlement).
    function _rootOf(uint256 job, Header memory header, bytes memory records, bytes calldata scores) private view returns (bytes32) {
        bytes32 tree = VerdictTree.rootOf(VerdictTree.leavesOf(records, scores));
        return VerdictTree.pair(tree, VerdictTree.settlementOf(_rounds[job].committee, block.timestamp, header.reveals));
    }

    /// (uint16 member, bytes32 digest) of every revealed update, members ascending, taken from the reveals in chain order,
    /// once these are proven to be the ones on record.
    function _recordsOf(uint256 job, Header memory header, bytes[] calldata reveals) private view returns (bytes memory) {
        bytes32 hash;
        for (uint256 i = 0; i < reveals.length; ++i) {
            hash = keccak256(abi.encodePacked(hash, reveals[i]));
        }
        if (hash != _rounds[job].revealsHash) revert RevealsWrong(hash, _rounds[job].revealsHash);
        return reveals.length == 1 ? reveals[0] : _merge(job, header, reveals); // within one call they ascend
    }

    function _merge(uint256 job, Header memory header, bytes[] calldata reveals) private view returns (bytes memory records) {
        uint256 words = _wordsIn(header.freshRevealed);
        bytes32[] memory digests = new bytes32[](words * 256); // by member
        for (uint256 i = 0; i < reveals.length; ++i) {
            Packed.scatter(reveals[i], digests);
        }
        records = Packed.allocate(Packed.ENTRY * header.reveals);
        uint256 used;
        for (uint256 word = 0; word < words; ++word) {
            used = Packed.collect(records, used, _revealedWord(job, header, word), word << 8, digests);
        }
    }

    function _splitOf(uint256 job, Header memory header, bytes calldata scores) private view returns (Payments.Split memory) {
        InFlight storage round = _rounds[job];
        return Payments.prepare(
            round.prices,
            round.terms.minTrainers(),
            round.terms.committeeSize(),
            Payments.sumOf(scores),
            header.reveals + header.seats
        );
    }

    /// The coordinator has `feeGrace` seconds from the tally to take the fee; then whoever ends the wait earns it.
    function _feeRecipient(uint256 job, Header memory header) private view returns (address) {
        InFlight storage round = _rounds[job];
        address coordinator = round.coordinator;
        if (coordinator == address(0)) return msg.sender;
        uint256 talliedAt = header.endsAt - round.terms.window(Phase.Attest);
        return block.timestamp >= talliedAt + round.terms.feeGrace() ? msg.sender : coordinator;
    }
}
