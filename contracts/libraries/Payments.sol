// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Lanes} from "./Lanes.sol";
import {Packed} from "./Packed.sol";
import {Tally} from "./Tally.sol";

/// Splits one round's price. All divisions round down; the dust stays in the escrow.
library Payments {
    uint256 private constant BPS = 10_000;
    uint256 private constant SPECIAL = 65534; // and above: not a score to pay for
    uint256 private constant RECORD = 6; // uint16 member, uint32 units
    uint256 private constant UNITS_SHIFT = 208; // units follow the member
    uint256 private constant NO_MEMBER = type(uint256).max;

    struct Split {
        uint256 trainerPool;
        uint256 divisor; // trainerPool * score / divisor: units for a score
        uint256 cap; // units, most one trainer gets for its update
        uint256 seatPool; // wei, what a seat with a full share gets
        uint256 quantum;
        uint256 fee;
        bytes payments; // (uint16 member, uint32 units), ascending; members without a unit are left out
        uint256 used; // bytes of `payments`
        uint256[] seats; // member << 64 | units, ascending
        uint256 nextSeat; // index into `seats`
        uint256 nextMember; // the member of that seat
    }

    /// `prices`: see RoundState.pricesOf.
    function prepare(uint256 prices, uint256 minTrainers, uint256 committeeSize, uint256 sum, uint256 payees)
        internal
        pure
        returns (Split memory split)
    {
        uint256 price = uint128(prices);
        uint256 validatorPool = price * uint16(prices >> 128) / BPS;
        split.fee = price * uint16(prices >> 144) / BPS;
        split.trainerPool = price - validatorPool - split.fee;
        split.quantum = prices >> 160;
        // Rounding down twice is rounding down once by the product.
        split.divisor = sum * split.quantum;
        split.cap = split.trainerPool / minTrainers / split.quantum;
        split.seatPool = validatorPool / committeeSize;
        split.payments = Packed.allocate(RECORD * payees);
    }

    function sumOf(bytes calldata scores) internal pure returns (uint256) {
        uint256 lanes;
        unchecked {
            for (uint256 offset = 0; offset < scores.length; offset += 32) {
                uint256 word = Packed.scoresIn(scores, offset);
                lanes += Lanes.widen(word & ~Lanes.special(word));
            }
        }
        return Lanes.sum(lanes);
    }

    /// `committee`: member + 1 in 16 bits per seat.
    function takeSeats(Split memory split, uint256 committee, bytes calldata shares) internal pure {
        uint256 count = shares.length / 2;
        uint256[] memory seats = new uint256[](count);
        for (uint256 seat = 0; seat < count; ++seat) {
            uint256 units = split.seatPool * Packed.uint16At(shares, seat) / BPS / split.quantum;
            uint256 entry = (uint256(uint16(committee >> (16 * seat))) - 1) << 64 | units;
            uint256 place = seat;
            for (; place != 0 && seats[place - 1] > entry; --place) {
                seats[place] = seats[place - 1];
            }
            seats[place] = entry;
        }
        split.seats = seats;
        split.nextMember = count == 0 ? NO_MEMBER : seats[0] >> 64;
    }

    /// `records`: (uint16 member, bytes32 digest), members ascending, a score each. A member's payment for its seat is added to
    /// the one for its update.
    function payTrainers(Split memory split, bytes memory records, bytes calldata scores) internal pure {
        uint256 done;
        uint256 count = scores.length / 2;
        while (done < count) {
            done = _payUntilSeat(split, records, scores, done);
            if (done == count) return;
            uint256 member = Packed.getUint16(records, Packed.ENTRY * done);
            if (split.nextMember < member) {
                _pay(split, split.nextMember, _takeSeat(split));
            } else {
                uint256 units = _unitsFor(split, Packed.uint16At(scores, done++));
                _pay(split, member, units + _takeSeat(split));
            }
        }
    }

    function _unitsFor(Split memory split, uint256 score) private pure returns (uint256 units) {
        score = Tally.ordinary(score);
        if (score == 0) return 0;
        units = split.trainerPool * score / split.divisor;
        return units < split.cap ? units : split.cap;
    }

    /// The same for all members from the `from`-th on who come before the next seat's. Returns the first who is not paid.
    function _payUntilSeat(Split memory split, bytes memory records, bytes calldata scores, uint256 from) private pure returns (uint256 index) {
        (uint256 pool, uint256 divisor, uint256 cap) = (split.trainerPool, split.divisor, split.cap);
        (uint256 nextMember, uint256 used, bytes memory payments) = (split.nextMember, split.used, split.payments);
        assembly ("memory-safe") {
            let to := add(add(payments, 0x20), used)
            let start := to
            let record := add(add(records, 0x20), mul(34, from))
            let place := add(scores.offset, shl(1, from))
            for { let end := add(scores.offset, scores.length) } 1 { place := add(place, 2) } {
                let member := shr(240, mload(record)) // behind the last record there is still memory
                if iszero(and(lt(place, end), lt(member, nextMember))) { break }
                record := add(record, 34)
                let score := shr(240, calldataload(place))
                let units := div(mul(pool, mul(score, lt(score, SPECIAL))), divisor) // below 2^128 * 2^16
                if gt(units, cap) { units := cap }
                mstore(to, or(shl(240, member), shl(UNITS_SHIFT, units)))
                to := add(to, mul(RECORD, lt(0, units)))
            }
            used := add(used, sub(to, start))
            index := shr(1, sub(place, scores.offset))
        }
        split.used = used;
    }

    function payRemainingSeats(Split memory split) internal pure {
        while (split.nextMember != NO_MEMBER) _pay(split, split.nextMember, _takeSeat(split));
    }

    function close(Split memory split) internal pure returns (bytes memory) {
        Packed.truncate(split.payments, split.used);
        return split.payments;
    }

    function _takeSeat(Split memory split) private pure returns (uint256 units) {
        units = uint64(split.seats[split.nextSeat]);
        uint256 next = ++split.nextSeat;
        split.nextMember = next == split.seats.length ? NO_MEMBER : split.seats[next] >> 64;
    }

    function _pay(Split memory split, uint256 member, uint256 units) private pure {
        if (units == 0) return;
        Packed.putPayment(split.payments, split.used, member, units);
        unchecked {
            split.used += RECORD;
        }
    }
}
