// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// The tally as docs/protocol.md tells it, sentence by sentence, with no thought of gas.
library NaiveTally {
    uint256 private constant BPS = 10_000;

    /// `ballots[seat]` is empty for a seat without a ballot; `own[seat]`: its member's own update, or max.
    function tally(uint256[][] memory ballots, uint256[] memory own, uint256 updates)
        internal
        pure
        returns (uint256[] memory scores, uint256[] memory shares)
    {
        scores = new uint256[](updates);
        for (uint256 update = 0; update < updates; ++update) {
            scores[update] = verdict(countedFor(ballots, own, update));
        }
        shares = new uint256[](ballots.length);
        for (uint256 seat = 0; seat < ballots.length; ++seat) {
            if (ballots[seat].length == updates) shares[seat] = share(ballots[seat], scores, own[seat]);
        }
    }

    function countedFor(uint256[][] memory ballots, uint256[] memory own, uint256 update) internal pure returns (uint256[] memory) {
        uint256[] memory found = new uint256[](ballots.length);
        uint256 count;
        for (uint256 seat = 0; seat < ballots.length; ++seat) {
            if (ballots[seat].length != 0 && own[seat] != update) found[count++] = ballots[seat][update];
        }
        return shorten(found, count);
    }

    function shorten(uint256[] memory values, uint256 count) internal pure returns (uint256[] memory kept) {
        kept = new uint256[](count);
        for (uint256 i = 0; i < count; ++i) {
            kept[i] = values[i];
        }
    }

    function verdict(uint256[] memory values) internal pure returns (uint256) {
        uint256[] memory ordinary = new uint256[](values.length);
        uint256 count;
        uint256 invalid;
        uint256 unavailable;
        for (uint256 i = 0; i < values.length; ++i) {
            if (values[i] == 65535) ++invalid;
            else if (values[i] == 65534) ++unavailable;
            else ordinary[count++] = values[i];
        }
        if (2 * invalid > values.length) return 65535;
        if (2 * unavailable > values.length) return 65534;
        if (count == 0) return 0;
        return bubbled(shorten(ordinary, count))[(count - 1) / 2];
    }

    function bubbled(uint256[] memory values) internal pure returns (uint256[] memory) {
        for (uint256 i = 0; i < values.length; ++i) {
            for (uint256 j = i + 1; j < values.length; ++j) {
                if (values[j] < values[i]) (values[i], values[j]) = (values[j], values[i]);
            }
        }
        return values;
    }

    function worth(uint256 score) internal pure returns (uint256) {
        return score <= 65533 ? score : 0;
    }

    function share(uint256[] memory ballot, uint256[] memory scores, uint256 own) internal pure returns (uint256) {
        uint256 deviation;
        uint256 weight;
        for (uint256 i = 0; i < scores.length; ++i) {
            if (i == own) continue;
            (uint256 a, uint256 b) = (worth(ballot[i]), worth(scores[i]));
            deviation += a > b ? a - b : b - a;
            weight += b;
        }
        if (weight == 0) return deviation == 0 ? BPS : 0;
        return deviation >= weight ? 0 : BPS - BPS * deviation / weight;
    }
}
