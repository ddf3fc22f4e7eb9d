// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SCORE_UNAVAILABLE} from "../interfaces/IRounds.sol";
import {Lanes} from "./Lanes.sol";
import {Packed} from "./Packed.sol";

/// Turns secret ballots, now open, into one score per update and one share per ballot.
/// Sixteen updates go through at once (see Lanes). The few that need counting rather than sorting, because somebody
/// gave a special score or a seat judges its own member, are decided one by one.
/// DANGER: ballots must be checked for number (at most 15) and length (two bytes per update) before they come here.
library Tally {
    uint256 internal constant NOBODY = type(uint256).max;
    uint256 private constant BPS = 10_000;
    uint256 private constant BLOCK = 16; // updates in a word

    struct Result {
        bytes scores; // uint16 per update
        uint256[] shares; // bps per ballot
        bool anyVerified;
    }

    /// `own[b]`: the index of the update that ballot `b`'s member made itself, NOBODY if none. No two are equal.
    function tally(bytes[] calldata ballots, uint256[] memory own, uint256 updates) internal pure returns (Result memory result) {
        uint256[] memory offsets = _offsetsOf(ballots);
        uint256[] memory deviations = new uint256[](ballots.length);
        uint256[] memory scratch = new uint256[](ballots.length);
        bytes memory scores = Packed.allocate(2 * updates);
        uint256 weights;
        unchecked {
            for (uint256 first = 0; first < updates; first += BLOCK) {
                uint256 mask = updates - first < BLOCK ? ~(type(uint256).max >> (BLOCK * (updates - first))) : type(uint256).max;
                uint256 verdicts = _verdictsOf(offsets, scratch, own, first, mask);
                Packed.putWord(scores, 2 * first, verdicts);
                weights += _addDeviations(deviations, offsets, 2 * first, mask, verdicts);
            }
        }
        result.scores = scores;
        result.anyVerified = weights != 0;
        result.shares = _sharesOf(offsets, deviations, Lanes.sum(weights), own, scores);
    }

    /// What a score is worth where values are added: the two special ones count as nothing.
    function ordinary(uint256 score) internal pure returns (uint256) {
        return score < SCORE_UNAVAILABLE ? score : 0;
    }

    function shareOf(uint256 deviation, uint256 weight) internal pure returns (uint256) {
        if (weight == 0) return deviation == 0 ? BPS : 0;
        return deviation >= weight ? 0 : BPS - BPS * deviation / weight;
    }

    /// `deviations` come in lanes and count every update; a seat's own is taken out here.
    function _sharesOf(uint256[] memory offsets, uint256[] memory deviations, uint256 weight, uint256[] memory own, bytes memory scores)
        private
        pure
        returns (uint256[] memory shares)
    {
        shares = deviations;
        for (uint256 ballot = 0; ballot < own.length; ++ballot) {
            uint256 counted = weight;
            uint256 deviation = Lanes.sum(deviations[ballot]);
            if (own[ballot] != NOBODY) {
                uint256 verdict = ordinary(Packed.getUint16(scores, 2 * own[ballot]));
                uint256 given = ordinary(_scoreIn(offsets[ballot], own[ballot]));
                counted -= verdict;
                deviation -= given > verdict ? given - verdict : verdict - given;
            }
            shares[ballot] = shareOf(deviation, counted);
        }
    }

    function _offsetsOf(bytes[] calldata ballots) private pure returns (uint256[] memory offsets) {
        offsets = new uint256[](ballots.length);
        for (uint256 i = 0; i < ballots.length; ++i) {
            bytes calldata ballot = ballots[i];
            uint256 offset;
            assembly ("memory-safe") {
                offset := ballot.offset
            }
            offsets[i] = offset;
        }
    }

    function _scoreIn(uint256 offset, uint256 update) private pure returns (uint256 score) {
        assembly ("memory-safe") {
            score := shr(240, calldataload(add(offset, shl(1, update))))
        }
    }

    /// The verdicts on sixteen updates, as they stand in a ballot.
    function _verdictsOf(uint256[] memory offsets, uint256[] memory scratch, uint256[] memory own, uint256 first, uint256 mask)
        private
        pure
        returns (uint256 verdicts)
    {
        unchecked {
            uint256 special = Lanes.load(scratch, offsets, 2 * first, mask, 16) << 16;
            verdicts = Lanes.median(scratch) << 16;
            special |= Lanes.load(scratch, offsets, 2 * first, mask, 0);
            verdicts |= Lanes.median(scratch);
            for (uint256 i = 0; i < own.length; ++i) {
                if (Packed.itemAt(own, i) - first < BLOCK) special |= 1 << (16 * (BLOCK - 1 - (Packed.itemAt(own, i) - first)));
            }
            for (uint256 lane = 0; special != 0; ++lane) {
                if (special & 0xffff != 0) {
                    uint256 update = first + BLOCK - 1 - lane;
                    uint256 changed = (verdicts >> (16 * lane) & 0xffff) ^ _countedScore(offsets, own, update, scratch);
                    verdicts ^= changed << (16 * lane);
                }
                special >>= 16;
            }
        }
    }

    /// The rule itself, for one update: more than half INVALID or UNAVAILABLE decide; else the lower median of the rest.
    /// `sorted` is room for as many scores as there are ballots.
    /// DANGER: a single ballot can send every update this way, so it has to be cheap enough for the largest round.
    function _countedScore(uint256[] memory offsets, uint256[] memory own, uint256 update, uint256[] memory sorted)
        private
        pure
        returns (uint256)
    {
        uint256 values;
        uint256 invalid;
        uint256 unavailable;
        unchecked {
            for (uint256 ballot = 0; ballot < offsets.length; ++ballot) {
                if (Packed.itemAt(own, ballot) == update) continue;
                uint256 value = _scoreIn(Packed.itemAt(offsets, ballot), update);
                if (value > SCORE_UNAVAILABLE) ++invalid;
                else if (value == SCORE_UNAVAILABLE) ++unavailable;
                else _insert(sorted, values++, value);
            }
            uint256 counted = values + invalid + unavailable;
            if (2 * invalid > counted) return SCORE_UNAVAILABLE + 1;
            if (2 * unavailable > counted) return SCORE_UNAVAILABLE;
            return values == 0 ? 0 : Packed.itemAt(sorted, (values - 1) / 2);
        }
    }

    /// Among the first `size` items, which ascend.
    function _insert(uint256[] memory sorted, uint256 size, uint256 value) private pure {
        assembly ("memory-safe") {
            let place := add(sorted, shl(5, size)) // the last item; one word further is free
            for {} gt(place, sorted) { place := sub(place, 0x20) } {
                let item := mload(place)
                if iszero(gt(item, value)) { break }
                mstore(add(place, 0x20), item)
            }
            mstore(add(place, 0x20), value)
        }
    }

    /// Adds |ballot - verdict| to the deviation of every ballot, and returns what the verdicts are worth, all in lanes.
    function _addDeviations(uint256[] memory deviations, uint256[] memory offsets, uint256 skipped, uint256 mask, uint256 verdicts)
        private
        pure
        returns (uint256 worth)
    {
        unchecked {
            (uint256 even, uint256 odd) = (Lanes.ordinary(verdicts >> 16), Lanes.ordinary(verdicts));
            for (uint256 ballot = 0; ballot < offsets.length; ++ballot) {
                uint256 word = Lanes.wordAt(offsets, ballot, skipped) & mask;
                uint256 distance = Lanes.distance(Lanes.ordinary(word >> 16), even);
                Lanes.add(deviations, ballot, distance + Lanes.distance(Lanes.ordinary(word), odd));
            }
            return even + odd;
        }
    }
}
