// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Phase} from "../interfaces/IRounds.sol";

/// The round in flight, unpacked. In storage it is one word.
struct Header {
    uint256 round;
    Phase phase;
    bool agreed; // more than two thirds attested one model
    bool idles; // some trainer let the last COMMIT pass without a message
    uint256 parent; // which of the two model slots the round starts from
    uint256 endsAt;
    uint256 seedBlock;
    uint256 commits;
    uint256 reveals;
    uint256 batches;
    uint256 seats; // drawn; 0 before the draw
    uint256 ballotsCommitted; // bit per seat
    uint256 ballotsRevealed;
    uint256 attested;
    uint256 freshCommitted; // bit per bitmap word that was written in this round; the others hold an older round's bits
    uint256 freshRevealed;
}

/// `Job` and `ProtocolParameters` hold static fields only, so their words can be read without the decoders of the
/// structs, which would be a twentieth of the size that a contract may have.
interface IWords {
    function jobOf(uint256 job) external view returns (uint256[29] memory);
    function parametersAt(uint256 version) external view returns (uint256[14] memory);
}

/// Where a field stands among them.
library JobWords {
    uint256 internal constant PARAMETERS_VERSION = 2;
    uint256 internal constant QUANTUM = 9;
    uint256 internal constant INITIAL_MODEL = 11;
    uint256 internal constant PRICE_PER_ROUND = 13;
    uint256 internal constant VALIDATOR_SHARE = 14;
    uint256 internal constant COORDINATOR_SHARE = 15;
    uint256 internal constant COORDINATOR = 16;
    uint256 internal constant MIN_TRAINERS = 17;
    uint256 internal constant COMMITTEE_SIZE = 19;
    uint256 internal constant COMMIT_WINDOW = 21;
    uint256 internal constant FEE_GRACE = 4;
}

/// What a job's rounds need of its parameters, copied once: one word instead of ten cold ones in every call.
type Terms is uint256;

using RoundState for Terms global;

library RoundState {
    function unpack(uint256 word) internal pure returns (Header memory header) {
        unchecked {
            header.round = uint32(word);
            header.phase = Phase((word >> 32) & 0xf);
            header.agreed = (word >> 36) & 1 != 0;
            header.idles = (word >> 37) & 1 != 0;
            header.parent = (word >> 38) & 1;
            header.endsAt = uint40(word >> 40);
            header.seedBlock = uint40(word >> 80);
            header.commits = uint16(word >> 120);
            header.reveals = uint16(word >> 136);
            header.batches = uint16(word >> 152);
            header.seats = uint8(word >> 168);
            header.ballotsCommitted = uint16(word >> 176);
            header.ballotsRevealed = uint16(word >> 192);
            header.attested = uint16(word >> 208);
            header.freshCommitted = uint16(word >> 224);
            header.freshRevealed = word >> 240;
        }
    }

    function pack(Header memory header) internal pure returns (uint256 word) {
        word = header.round | uint256(header.phase) << 32 | header.parent << 38 | header.endsAt << 40;
        if (header.agreed) word |= 1 << 36;
        if (header.idles) word |= 1 << 37;
        word |= header.seedBlock << 80 | header.commits << 120 | header.reveals << 136 | header.batches << 152;
        word |= header.seats << 168 | header.ballotsCommitted << 176 | header.ballotsRevealed << 192;
        word |= header.attested << 208 | header.freshCommitted << 224 | header.freshRevealed << 240;
    }

    function termsOf(uint256[29] memory job, uint256 feeGrace_) internal pure returns (Terms) {
        uint256 word = job[JobWords.COMMITTEE_SIZE] << 160 | job[JobWords.MIN_TRAINERS] << 168 | feeGrace_ << 184;
        for (uint256 phase = 0; phase < 5; ++phase) {
            word |= job[JobWords.COMMIT_WINDOW + phase] << (32 * phase);
        }
        return Terms.wrap(word);
    }

    /// uint128 pricePerRound, uint16 validatorShareBps, uint16 coordinatorShareBps, uint96 quantum, from the low end.
    /// The quantum fits: JobBoard refuses an escrow whose quantum would not.
    function pricesOf(uint256[29] memory job) internal pure returns (uint256) {
        return job[JobWords.PRICE_PER_ROUND] | job[JobWords.VALIDATOR_SHARE] << 128 | job[JobWords.COORDINATOR_SHARE] << 144
            | job[JobWords.QUANTUM] << 160;
    }

    function window(Terms terms, Phase phase) internal pure returns (uint256) {
        return uint32(Terms.unwrap(terms) >> (32 * (uint256(phase) - 1)));
    }

    function committeeSize(Terms terms) internal pure returns (uint256) {
        return uint8(Terms.unwrap(terms) >> 160);
    }

    function minTrainers(Terms terms) internal pure returns (uint256) {
        return uint16(Terms.unwrap(terms) >> 168);
    }

    function feeGrace(Terms terms) internal pure returns (uint256) {
        return uint64(Terms.unwrap(terms) >> 184);
    }
}
