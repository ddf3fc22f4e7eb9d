// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Bitmaps} from "../../contracts/libraries/Bitmaps.sol";
import {Tally} from "../../contracts/libraries/Tally.sol";
import {VerdictTree} from "../../contracts/libraries/VerdictTree.sol";
import {NaiveTally} from "./support/NaiveTally.sol";
import {Test} from "./support/Test.sol";

contract TallyCaller {
    function tally(bytes calldata ballots, uint256[] calldata own, uint256 updates) external pure returns (Tally.Result memory) {
        return Tally.tally(ballots, own, updates);
    }
}

contract TallyTest is Test {
    TallyCaller private caller = new TallyCaller();

    function compare(uint256[][] memory ballots, uint256[] memory own, uint256 updates) private view {
        (uint256[] memory scores, uint256[] memory shares) = NaiveTally.tally(ballots, own, updates);
        Tally.Result memory result = caller.tally(packAll(ballots), own, updates);
        assertEq(result.scores, pack(scores), "scores");
        assertEq(result.shares.length, shares.length, "seats");
        bool any;
        for (uint256 i = 0; i < shares.length; ++i) {
            assertEq(result.shares[i], shares[i], "share");
        }
        for (uint256 i = 0; i < updates; ++i) {
            if (NaiveTally.worth(scores[i]) != 0) any = true;
        }
        assertEq(result.anyVerified, any, "any verified");
    }

    function pack(uint256[] memory list) private pure returns (bytes memory packed) {
        for (uint256 i = 0; i < list.length; ++i) {
            packed = abi.encodePacked(packed, uint16(list[i]));
        }
    }

    function packAll(uint256[][] memory ballots) private pure returns (bytes memory packed) {
        for (uint256 i = 0; i < ballots.length; ++i) {
            packed = bytes.concat(packed, pack(ballots[i]));
        }
    }

    /// Few distinct values, so that ties, majorities of special scores and the extremes all come up.
    function score(uint256 random, uint256 kind) private pure returns (uint256) {
        if (kind == 0) return uint16(random);
        if (kind == 1) return 65532 + random % 4;
        uint16[8] memory few = [0, 0, 1, 7, 65533, 65534, 65535, 65535];
        return few[random % 8];
    }

    function testFuzz_agrees_with_the_plain_reference(uint256 random, uint8 seats, uint8 updates) public view {
        seats = uint8(bound(seats, 1, 15));
        updates = uint8(bound(updates, 1, 20));
        uint256[][] memory ballots = new uint256[][](seats);
        uint256[] memory own = new uint256[](seats);
        for (uint256 seat = 0; seat < seats; ++seat) {
            // Seats own distinct updates: seat s owns update (s + shift), if there is one.
            uint256 update = seat + random % 5;
            own[seat] = update < updates ? update : type(uint256).max;
            ballots[seat] = new uint256[](updates);
            for (uint256 i = 0; i < updates; ++i) {
                ballots[seat][i] = score(uint256(keccak256(abi.encode(random, seat, i))), random % 3);
            }
        }
        compare(ballots, own, updates);
    }

    function one(uint256[] memory column) private view {
        uint256[][] memory ballots = new uint256[][](column.length);
        uint256[] memory own = new uint256[](column.length);
        for (uint256 i = 0; i < column.length; ++i) {
            ballots[i] = new uint256[](1);
            ballots[i][0] = column[i];
            own[i] = type(uint256).max;
        }
        compare(ballots, own, 1);
    }

    function verdict(uint256[] memory column) private view returns (uint256) {
        one(column);
        bytes memory packed;
        uint256[] memory own = new uint256[](column.length);
        for (uint256 i = 0; i < column.length; ++i) {
            packed = abi.encodePacked(packed, uint16(column[i]));
            own[i] = type(uint256).max;
        }
        return uint16(bytes2(caller.tally(packed, own, 1).scores));
    }

    function values(uint256 a, uint256 b, uint256 c, uint256 d) private pure returns (uint256[] memory four) {
        four = new uint256[](4);
        (four[0], four[1], four[2], four[3]) = (a, b, c, d);
    }

    function test_an_even_number_takes_the_lower_median() public view {
        assertEq(verdict(values(9, 1, 5, 7)), 5);
        assertEq(verdict(values(65533, 65533, 0, 0)), 0);
    }

    function test_half_is_not_more_than_half() public view {
        assertEq(verdict(values(65535, 65535, 3, 4)), 3);
        assertEq(verdict(values(65534, 65534, 3, 4)), 3);
        assertEq(verdict(values(65535, 65535, 65534, 65534)), 0);
        assertEq(verdict(values(65535, 65535, 65535, 4)), 65535);
        assertEq(verdict(values(65534, 65534, 4, 65534)), 65534);
    }

    function test_fifteen_seats_at_the_highest_ordinary_score() public view {
        uint256[] memory column = new uint256[](15);
        for (uint256 i = 0; i < 15; ++i) {
            column[i] = 65533;
        }
        assertEq(verdict(column), 65533);
        column[14] = 0;
        assertEq(verdict(column), 65533);
    }

    function test_the_only_ballot_of_the_maker_counts_for_nothing() public view {
        uint256[][] memory ballots = new uint256[][](1);
        ballots[0] = new uint256[](2);
        (ballots[0][0], ballots[0][1]) = (500, 600);
        uint256[] memory own = new uint256[](1);
        compare(ballots, own, 2);
        assertEq(caller.tally(packAll(ballots), own, 2).scores, abi.encodePacked(uint16(0), uint16(600)), "scores");
    }

    /// The largest round that the contracts admit, with the scores that are dearest to count: one seat could fetch nothing,
    /// the others descend. A tally that no transaction has room for would stop the job.
    function test_the_dearest_ballots_fit_a_transaction() public view {
        uint256[] memory own = new uint256[](15);
        bytes memory ballots;
        for (uint256 seat = 0; seat < 15; ++seat) {
            own[seat] = type(uint256).max;
            ballots = bytes.concat(ballots, repeat(seat == 0 ? 65534 : 1000 - seat, 666));
        }
        uint256 before = gasleft();
        Tally.Result memory result = caller.tally(ballots, own, 666);
        assertTrue(before - gasleft() < 12_000_000, "gas");
        assertEq(result.scores, repeat(992, 666), "the lower median of fourteen");
    }

    function repeat(uint256 value, uint256 times) private pure returns (bytes memory packed) {
        packed = new bytes(2 * times);
        for (uint256 i = 0; i < times; ++i) {
            (packed[2 * i], packed[2 * i + 1]) = (bytes1(uint8(value >> 8)), bytes1(uint8(value)));
        }
    }
}

contract VerdictTreeTest is Test {
    function leaves(uint256 random, uint256 count) private pure returns (bytes32[] memory list) {
        list = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) {
            list[i] = VerdictTree.leafOf(i, keccak256(abi.encode(random, i)), uint16(random >> i));
        }
    }

    /// The siblings on the way up; an odd last node has none on its level.
    function proofOf(bytes32[] memory level, uint256 index) private pure returns (bytes32[] memory proof) {
        bytes32[] memory found = new bytes32[](16);
        uint256 size;
        while (level.length > 1) {
            if (index ^ 1 < level.length) found[size++] = level[index ^ 1];
            bytes32[] memory parents = new bytes32[]((level.length + 1) / 2);
            for (uint256 i = 0; i < parents.length; ++i) {
                parents[i] = 2 * i + 1 < level.length ? node(level[2 * i], level[2 * i + 1]) : level[2 * i];
            }
            level = parents;
            index /= 2;
        }
        proof = new bytes32[](size);
        for (uint256 i = 0; i < size; ++i) {
            proof[i] = found[i];
        }
    }

    function node(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encodePacked(a, b)) : keccak256(abi.encodePacked(b, a));
    }

    function testFuzz_every_leaf_is_proven_to_OpenZeppelin(uint256 random, uint8 count, uint8 which) public pure {
        uint256 size = bound(count, 1, 130);
        uint256 index = which % size;
        bytes32[] memory proof = proofOf(leaves(random, size), index);
        bytes32 leaf = leaves(random, size)[index];
        bytes32 root = VerdictTree.rootOf(leaves(random, size));
        assertTrue(MerkleProof.verify(proof, root, leaf), "proven");
        assertFalse(MerkleProof.verify(proof, root, bytes32(uint256(leaf) ^ 1)), "another leaf");
    }

    function testFuzz_a_leaf_is_the_packed_record(uint16 member, bytes32 digest, uint16 given) public pure {
        assertEq(VerdictTree.leafOf(member, digest, given), keccak256(abi.encodePacked(member, digest, given)));
    }

    function test_one_leaf_is_the_root() public pure {
        bytes32[] memory list = leaves(1, 1);
        bytes32 leaf = list[0];
        assertEq(VerdictTree.rootOf(list), leaf);
    }
}
