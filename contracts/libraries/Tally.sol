// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SCORE_UNAVAILABLE} from "../interfaces/IRounds.sol";
import {Lanes} from "./Lanes.sol";
import {Packed} from "./Packed.sol";

/// Turns secret ballots, now open, into one score per update and one share per ballot.
/// Sixteen updates go through at once (see Lanes). The few for which somebody gave a special score need counting rather
/// than sorting, and are decided one by one.
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

    /// `ballots`: one behind the other. `own[b]`: the index of the update that ballot `b`'s member made itself, NOBODY if
    /// none. No two are equal.
    function tally(bytes calldata ballots, uint256[] memory own, uint256 updates) internal pure returns (Result memory result) {
        uint256[] memory deviations = new uint256[](own.length);
        uint256[] memory scratch = new uint256[](own.length);
        bytes memory scores = Packed.allocate(2 * updates);
        uint256 weights;
        unchecked {
            for (uint256 first = 0; first < updates; first += BLOCK) {
                uint256 mask = updates - first < BLOCK ? ~(type(uint256).max >> (BLOCK * (updates - first))) : type(uint256).max;
                uint256 special = _load(scratch, ballots, own, updates, first, mask);
                uint256 verdicts = Lanes.median(scratch);
                if (special != 0) verdicts = _recount(verdicts, special, ballots, own, updates, first, scratch);
                Packed.putWord(scores, 2 * first, verdicts);
                verdicts &= ~Lanes.special(verdicts);
                weights += Lanes.widen(verdicts);
                _addDeviations(deviations, ballots, updates, first, mask, verdicts);
            }
        }
        result.scores = scores;
        result.anyVerified = weights != 0;
        result.shares = _sharesOf(ballots, deviations, Lanes.sum(weights), own, updates, scores);
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
    function _sharesOf(
        bytes calldata ballots,
        uint256[] memory deviations,
        uint256 weight,
        uint256[] memory own,
        uint256 updates,
        bytes memory scores
    ) private pure returns (uint256[] memory shares) {
        shares = deviations;
        for (uint256 ballot = 0; ballot < own.length; ++ballot) {
            uint256 counted = weight;
            uint256 deviation = Lanes.sum(deviations[ballot]);
            if (own[ballot] != NOBODY) {
                uint256 verdict = ordinary(Packed.getUint16(scores, 2 * own[ballot]));
                uint256 given = ordinary(Packed.uint16At(ballots, ballot * updates + own[ballot]));
                counted -= verdict;
                deviation -= given > verdict ? given - verdict : verdict - given;
            }
            shares[ballot] = shareOf(deviation, counted);
        }
    }

    /// Fills `scratch` with sixteen scores of every ballot. A seat's score for its own update is put where the lower median
    /// is that of the others: below them if their number is even, else above. Returns the lanes in which any other ballot
    /// has a special score.
    function _load(uint256[] memory scratch, bytes calldata ballots, uint256[] memory own, uint256 updates, uint256 first, uint256 mask)
        private
        pure
        returns (uint256 special)
    {
        uint256 neutral = own.length & 1 == 0 ? 0xffff : 0;
        unchecked {
            for (uint256 ballot = 0; ballot < own.length; ++ballot) {
                uint256 word = Packed.wordFrom(ballots, ballot * updates + first) & mask;
                uint256 place = Packed.itemAt(own, ballot) - first;
                if (place < BLOCK) {
                    uint256 shift = 16 * (BLOCK - 1 - place);
                    word &= ~(0xffff << shift);
                    special |= Lanes.special(word);
                    word |= neutral << shift;
                } else {
                    special |= Lanes.special(word);
                }
                Packed.putItem(scratch, ballot, word);
            }
        }
    }

    /// `verdicts`, with those in the lanes of `special` decided by the rule itself. `sorted`: see `_countedScore`.
    function _recount(
        uint256 verdicts,
        uint256 special,
        bytes calldata ballots,
        uint256[] memory own,
        uint256 updates,
        uint256 first,
        uint256[] memory sorted
    ) private pure returns (uint256) {
        unchecked {
            verdicts &= ~special;
            for (uint256 lane = 0; special != 0; ++lane) {
                if (special & 1 != 0) {
                    verdicts |= _countedScore(ballots, own, updates, first + BLOCK - 1 - lane, sorted) << (16 * lane);
                }
                special >>= 16;
            }
        }
        return verdicts;
    }

    /// The rule itself, for one update: more than half INVALID or UNAVAILABLE decide; else the lower median of the rest.
    /// `sorted` is room for as many scores as there are ballots.
    /// DANGER: a single ballot can send every update this way, so it has to be cheap enough for the largest round.
    function _countedScore(bytes calldata ballots, uint256[] memory own, uint256 updates, uint256 update, uint256[] memory sorted)
        private
        pure
        returns (uint256)
    {
        uint256 values;
        uint256 invalid;
        uint256 unavailable;
        unchecked {
            for (uint256 ballot = 0; ballot < own.length; ++ballot) {
                if (Packed.itemAt(own, ballot) == update) continue;
                uint256 value = Packed.uint16At(ballots, ballot * updates + update);
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

    /// Adds |ballot - verdict| to the deviation of every ballot, in lanes of 32 bits.
    function _addDeviations(
        uint256[] memory deviations,
        bytes calldata ballots,
        uint256 updates,
        uint256 first,
        uint256 mask,
        uint256 verdicts
    ) private pure {
        unchecked {
            for (uint256 ballot = 0; ballot < deviations.length; ++ballot) {
                uint256 word = Packed.wordFrom(ballots, ballot * updates + first) & mask;
                word &= ~Lanes.special(word);
                uint256 more = Lanes.widen(Lanes.distance(word, verdicts));
                Packed.putItem(deviations, ballot, Packed.itemAt(deviations, ballot) + more);
            }
        }
    }
}
