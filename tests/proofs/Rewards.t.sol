// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Payments} from "../../contracts/libraries/Payments.sol";
import {Proof} from "./Proof.sol";

/// How one round's price is split, for any price. Scores, shares and the quantum are given where two unknowns would have to be
/// divided by each other: that is beyond the solvers.
contract RewardProofs is Proof {
    uint256 private constant BPS = 10_000;
    uint256 private constant COMMITTEE = 2 << 16 | 1; // the members 0 and 1
    uint96 private constant QUANTUM = 3;

    function pricesOf(uint128 price, uint16 validatorBps, uint16 coordinatorBps) private pure returns (uint256) {
        vm.assume(uint256(validatorBps) + coordinatorBps <= BPS);
        return uint256(QUANTUM) << 160 | uint256(coordinatorBps) << 144 | uint256(validatorBps) << 128 | price;
    }

    function check_the_pools_and_the_fee_are_the_price(uint128 price, uint16 validatorBps, uint16 coordinatorBps) public pure {
        Payments.Split memory split = Payments.prepare(pricesOf(price, validatorBps, coordinatorBps), 1, 1, 1, 0);
        assert(split.trainerPool + split.seatPool + split.fee == price);
        assert(split.trainerPool <= price && split.seatPool <= price && split.fee <= price);
    }

    function check_equal_trainers_share_their_pool(uint64 price) external view {
        this.splitTrainers(price, 1, 1, abi.encodePacked(uint16(1), uint16(1)), new bytes(4));
    }

    function check_unequal_trainers_share_their_pool(uint64 price) external view {
        this.splitTrainers(price, 7, 58, abi.encodePacked(uint16(7), uint16(58)), new bytes(4));
    }

    function check_a_lone_good_trainer_is_capped(uint64 price) external view {
        this.splitTrainers(price, 65533, 0, abi.encodePacked(uint16(65533), uint16(65535)), new bytes(4));
    }

    function splitTrainers(uint64 price, uint256 first, uint256 second, bytes calldata scores, bytes calldata noShares) external pure {
        Payments.Split memory split = Payments.prepare(pricesOf(price, 0, 0), 2, 2, first + second, 2);
        Payments.takeSeats(split, COMMITTEE, noShares);
        bytes memory records = abi.encodePacked(uint16(0), bytes32(0), uint16(1), bytes32(0), bytes32(0));
        Payments.payTrainers(split, records, scores);
        (uint256 one, uint256 other) = unitsIn(Payments.close(split));
        assert(one <= split.cap && other <= split.cap);
        assert((one + other) * QUANTUM <= price);
    }

    /// Both seats' full share, or less, is within the pool.
    function check_seats_share_no_more_than_their_pool(uint64 price) external view {
        this.splitSeats(price, abi.encodePacked(uint16(BPS), uint16(BPS)));
        this.splitSeats(price, abi.encodePacked(uint16(BPS), uint16(3333)));
    }

    function splitSeats(uint64 price, bytes calldata shares) external pure {
        Payments.Split memory split = Payments.prepare(pricesOf(price, uint16(BPS), 0), 1, 2, 1, 2);
        Payments.takeSeats(split, COMMITTEE, shares);
        uint256 units = uint256(uint64(split.seats[0])) + uint64(split.seats[1]);
        assert(units * QUANTUM <= price);
    }

    /// Units of up to two payments of six bytes; the first may be left out.
    function unitsIn(bytes memory payments) private pure returns (uint256 first, uint256 second) {
        if (payments.length > 0) first = uint32(bytes4(wordAt(payments, 2)));
        if (payments.length > 6) second = uint32(bytes4(wordAt(payments, 8)));
    }

    function wordAt(bytes memory data, uint256 at) private pure returns (bytes32 word) {
        assembly ("memory-safe") {
            word := mload(add(add(data, 0x20), at))
        }
    }
}
