// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SCORE_UNAVAILABLE} from "../interfaces/IRounds.sol";
import {Packed} from "./Packed.sol";

/// Turns secret ballots, now open, into one score per update and one share per ballot.
/// DANGER: ballots must be checked for number (at most 15) and length (two bytes per update) before they come here.
library Tally {
    uint256 internal constant NOBODY = type(uint256).max;
    uint256 private constant BPS = 10_000;

    // Up to fifteen values are kept sorted in one word, in lanes of 17 bits: 16 for the value and a guard above it.
    uint256 private constant ONES = 0x400020001000080004000200010000800040002000100008000400020001;
    uint256 private constant GUARDS = 0x4000200010000800040002000100008000400020001000080004000200010000;
    uint256 private constant FULL = 0x3fffdfffeffff7fffbfffdfffeffff7fffbfffdfffeffff7fffbfffdfffeffff;

    struct Result {
        bytes scores; // uint16 per update
        uint256[] shares; // bps per ballot
        bool anyVerified;
    }

    /// `own[b]`: the index of the update that ballot `b`'s member made itself, NOBODY if none. No two are equal.
    function tally(bytes[] calldata ballots, uint256[] memory own, uint256 updates) internal pure returns (Result memory result) {
        uint256[] memory offsets = _offsetsOf(ballots);
        uint256[] memory deviations = new uint256[](ballots.length);
        bytes memory owners = _ownersOf(own, updates);
        bytes memory scores = Packed.allocate(2 * updates);
        uint256 weight;
        unchecked {
            for (uint256 update = 0; update < updates; ++update) {
                uint256 owner = _ownerOf(owners, update);
                uint256 score = _scoreOf(offsets, owner, update);
                Packed.putUint16(scores, 2 * update, score);
                uint256 worth = ordinary(score);
                weight += worth;
                _addDeviations(deviations, offsets, owner, update, worth);
            }
        }
        result.scores = scores;
        result.anyVerified = weight != 0;
        result.shares = _sharesOf(deviations, weight, own, scores);
    }

    /// What a score is worth where values are added: the two special ones count as nothing.
    function ordinary(uint256 score) internal pure returns (uint256) {
        return score < SCORE_UNAVAILABLE ? score : 0;
    }

    function shareOf(uint256 deviation, uint256 weight) internal pure returns (uint256) {
        if (weight == 0) return deviation == 0 ? BPS : 0;
        return deviation >= weight ? 0 : BPS - BPS * deviation / weight;
    }

    function _sharesOf(uint256[] memory deviations, uint256 weight, uint256[] memory own, bytes memory scores)
        private
        pure
        returns (uint256[] memory shares)
    {
        shares = deviations;
        for (uint256 ballot = 0; ballot < own.length; ++ballot) {
            uint256 counted = weight;
            if (own[ballot] != NOBODY) counted -= ordinary(Packed.getUint16(scores, 2 * own[ballot]));
            shares[ballot] = shareOf(deviations[ballot], counted);
        }
    }

    /// One byte per update: the ballot of its own maker plus one, 0 if its maker has none.
    function _ownersOf(uint256[] memory own, uint256 updates) private pure returns (bytes memory owners) {
        owners = new bytes(updates);
        for (uint256 ballot = 0; ballot < own.length; ++ballot) {
            if (own[ballot] != NOBODY) owners[own[ballot]] = bytes1(uint8(ballot + 1));
        }
    }

    function _ownerOf(bytes memory owners, uint256 update) private pure returns (uint256 ballot) {
        assembly ("memory-safe") {
            ballot := sub(byte(0, mload(add(add(owners, 0x20), update))), 1) // 0 wraps to NOBODY
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

    /// The verdict on one update. More than half INVALID or UNAVAILABLE decide; else the lower median of the rest.
    function _scoreOf(uint256[] memory offsets, uint256 owner, uint256 update) private pure returns (uint256 score) {
        assembly ("memory-safe") {
            let sorted := FULL // every lane full, so that an unused one sorts last
            let values := 0
            let malformed := 0
            let missing := 0
            let shift := shl(1, update)
            let at := add(offsets, 0x20)
            let end := add(at, shl(5, mload(offsets)))
            let skipped := add(at, shl(5, owner)) // NOBODY: the word before the first
            for {} lt(at, end) { at := add(at, 0x20) } {
                if eq(at, skipped) { continue }
                let value := shr(240, calldataload(add(mload(at), shift)))
                if gt(value, 65533) {
                    malformed := add(malformed, eq(value, 65535))
                    missing := add(missing, eq(value, 65534))
                    continue
                }
                // A guard survives where lane >= value. Lanes ascend, so the lowest surviving one marks the place.
                let guards := and(sub(or(sorted, GUARDS), mul(value, ONES)), GUARDS)
                let unit := shr(16, and(guards, sub(0, guards)))
                let below := and(sorted, sub(unit, 1))
                sorted := or(or(below, mul(value, unit)), shl(17, xor(sorted, below)))
                values := add(values, 1)
            }
            let counted := add(values, add(malformed, missing))
            switch gt(shl(1, malformed), counted)
            case 1 { score := 65535 }
            default {
                switch gt(shl(1, missing), counted)
                case 1 { score := 65534 }
                default { if values { score := and(shr(mul(17, shr(1, sub(values, 1))), sorted), 0xffff) } }
            }
        }
    }

    /// Adds |ballot - verdict| to the deviation of every ballot but the maker's own.
    function _addDeviations(uint256[] memory deviations, uint256[] memory offsets, uint256 owner, uint256 update, uint256 worth) private pure {
        assembly ("memory-safe") {
            let shift := shl(1, update)
            let at := add(offsets, 0x20)
            let end := add(at, shl(5, mload(offsets)))
            let skipped := add(at, shl(5, owner))
            let toDeviation := sub(deviations, offsets)
            for {} lt(at, end) { at := add(at, 0x20) } {
                if eq(at, skipped) { continue }
                let value := shr(240, calldataload(add(mload(at), shift)))
                value := mul(value, lt(value, 65534))
                let difference := sub(value, worth)
                if lt(value, worth) { difference := sub(worth, value) }
                let deviation := add(at, toDeviation)
                if difference { mstore(deviation, add(mload(deviation), difference)) }
            }
        }
    }
}
