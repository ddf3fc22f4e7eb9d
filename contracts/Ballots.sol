// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {FailureReason, Phase} from "./interfaces/IRounds.sol";
import {Bitmaps} from "./libraries/Bitmaps.sol";
import {Commitments} from "./libraries/Commitments.sol";
import {Committees} from "./libraries/Committees.sol";
import {CompactSignatures} from "./libraries/CompactSignatures.sol";
import {Packed} from "./libraries/Packed.sol";
import {Header} from "./libraries/RoundState.sol";
import {Tally} from "./libraries/Tally.sol";
import {RoundProgress} from "./RoundProgress.sol";

/// The committee's ballots: sealed, then opened, then counted.
/// DANGER: neither ballots nor their commitments are stored, only a running hash of these. Whoever opens ballots gives all
/// commitments again, and whoever completes the set all ballots: hash and commitments hold them to it.
abstract contract Ballots is RoundProgress {
    function commitBallots(uint256 job, uint256 round, bytes calldata seats, bytes32[] calldata commitments, bytes calldata signatures) external {
        Header memory header = _enterInTime(job, round, Phase.BallotCommit);
        _requireSize(seats.length);
        _requireEqual(seats.length, commitments.length);
        _requireEqual(signatures.length, 64 * seats.length);
        address[] memory operators = _operatorsOn(job, header, seats);
        bytes32 domain = _domain();
        bytes32 previous = header.ballotsCommitted == 0 ? bytes32(0) : _rounds[job].ballotsHash;
        for (uint256 i = 0; i < seats.length; ++i) {
            uint256 seat = Packed.uint8At(seats, i);
            if (Bitmaps.has(header.ballotsCommitted, seat)) revert BallotAlreadyCommitted(seat);
            header.ballotsCommitted |= 1 << seat;
            bytes32 digest = CompactSignatures.digestOf(domain, CompactSignatures.BALLOT_COMMITMENT, job, round, commitments[i]);
            _requireSignedBy(operators[i], digest, signatures, i, seat);
        }
        _rounds[job].ballotsHash = keccak256(abi.encodePacked(previous, Packed.sealsOf(seats, commitments)));
        emit BallotsCommitted(job, round, seats, commitments);
        if (Bitmaps.count(header.ballotsCommitted) == header.seats) _startPhase(job, header, Phase.BallotReveal);
        _save(job, header);
    }

    function revealBallots(uint256 job, uint256 round, bytes calldata seats, bytes calldata ballots, bytes calldata salts, bytes[] calldata seals) external {
        Header memory header = _enter(job, round, Phase.BallotReveal);
        _requireSize(seats.length);
        _requireEqual(ballots.length, 2 * header.reveals * seats.length);
        _requireEqual(salts.length, Commitments.SALT * seats.length);
        uint256 given = _openBallots(job, header, seats, ballots, salts, _commitmentsIn(job, seals));
        bool over = _isOver(header);
        if (given & ~header.ballotsRevealed != 0) {
            if (over) revert PhaseOver(job, uint64(header.endsAt), block.timestamp);
            header.ballotsRevealed |= given;
            emit BallotsRevealed(job, round, seats, ballots, salts);
        }
        if (given == (over ? header.ballotsRevealed : header.ballotsCommitted) && _isQuorum(job, given)) {
            _count(job, header, seats, ballots);
        } else if (over) {
            revert PhaseOver(job, uint64(header.endsAt), block.timestamp);
        }
        _save(job, header);
    }

    /// Operators by the order of `seats`.
    function _operatorsOn(uint256 job, Header memory header, bytes calldata seats) internal view returns (address[] memory) {
        uint256 committee = _rounds[job].committee;
        bytes memory members = Packed.allocate(2 * seats.length);
        for (uint256 i = 0; i < seats.length; ++i) {
            uint256 seat = Packed.uint8At(seats, i);
            if (seat >= header.seats) revert SeatUnknown(seat);
            Packed.putUint16(members, 2 * i, Committees.memberAt(committee, seat));
        }
        return _operatorsOf(job, members);
    }

    function _requireSignedBy(address operator, bytes32 digest, bytes calldata signatures, uint256 index, uint256 seat) internal view {
        (bytes32 r, bytes32 vs) = Packed.pairAt(signatures, index);
        address signer = CompactSignatures.recover(digest, r, vs);
        if (signer == address(0) || signer != operator) revert SeatSignatureWrong(seat, signer);
    }

    /// Checks every opening against its seat's commitment. Returns the seats, a bit each.
    function _openBallots(
        uint256 job,
        Header memory header,
        bytes calldata seats,
        bytes calldata ballots,
        bytes calldata salts,
        bytes32[] memory commitments
    ) private view returns (uint256 given) {
        uint256 preimage = Commitments.prepare(job, header.round);
        uint256 length = 2 * header.reveals; // of a ballot
        uint256 committee = _rounds[job].committee;
        for (uint256 i = 0; i < seats.length; ++i) {
            uint256 seat = Packed.uint8At(seats, i);
            if (seat >= header.seats) revert SeatUnknown(seat);
            if (!Bitmaps.has(header.ballotsCommitted, seat)) revert BallotNotCommitted(seat);
            bytes32 hash = keccak256(ballots[i * length:(i + 1) * length]);
            bytes32 commitment = Commitments.compute(preimage, Committees.memberAt(committee, seat), hash, Packed.saltAt(salts, i));
            // A seat given twice would be counted twice.
            if (Bitmaps.has(given, seat) || commitment != commitments[seat]) revert BallotWrong(seat);
            given |= 1 << seat;
        }
    }

    /// By seat, once the seals are proven to be the ones on record.
    function _commitmentsIn(uint256 job, bytes[] calldata seals) private view returns (bytes32[] memory commitments) {
        bytes32 hash;
        commitments = new bytes32[](256);
        for (uint256 i = 0; i < seals.length; ++i) {
            hash = keccak256(abi.encodePacked(hash, seals[i]));
            Packed.scatterSeals(seals[i], commitments);
        }
        if (hash != _rounds[job].ballotsHash) revert SealsWrong(hash, _rounds[job].ballotsHash);
    }

    function _count(uint256 job, Header memory header, bytes calldata seats, bytes calldata ballots) private {
        Tally.Result memory result = Tally.tally(ballots, _ownUpdates(job, header, seats), header.reveals);
        bytes memory shares = _sharesBySeat(seats, result.shares, header.seats);
        _rounds[job].tallyHash = keccak256(abi.encode(keccak256(result.scores), keccak256(shares)));
        emit RoundTallied(job, header.round, result.scores, shares);
        if (result.anyVerified) _startPhase(job, header, Phase.Attest);
        else _fail(job, header, FailureReason.NothingVerified);
    }

    /// A seat's score for its own member's update must not count: where that update is, among the revealed.
    function _ownUpdates(uint256 job, Header memory header, bytes calldata seats) private view returns (uint256[] memory own) {
        own = new uint256[](seats.length);
        uint256 committee = _rounds[job].committee;
        for (uint256 i = 0; i < seats.length; ++i) {
            own[i] = _rankOf(job, header, Committees.memberAt(committee, Packed.uint8At(seats, i)));
        }
    }

    function _rankOf(uint256 job, Header memory header, uint256 member) private view returns (uint256 rank) {
        uint256 bits = _revealedWord(job, header, member >> 8);
        if (!Bitmaps.has(bits, member & 0xff)) return Tally.NOBODY;
        rank = Bitmaps.count(bits & ((1 << (member & 0xff)) - 1));
        for (uint256 word = 0; word < member >> 8; ++word) {
            rank += Bitmaps.count(_revealedWord(job, header, word));
        }
    }

    /// Two bytes per seat of the committee; nothing for a seat without a ballot.
    function _sharesBySeat(bytes calldata seats, uint256[] memory shares, uint256 committeeSeats) private pure returns (bytes memory packed) {
        uint256[15] memory bySeat;
        for (uint256 i = 0; i < shares.length; ++i) {
            bySeat[Packed.uint8At(seats, i)] = shares[i];
        }
        packed = Packed.allocate(2 * committeeSeats);
        for (uint256 seat = 0; seat < committeeSeats; ++seat) {
            Packed.putUint16(packed, 2 * seat, bySeat[seat]);
        }
    }
}
