// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds, Phase} from "../../contracts/interfaces/IRounds.sol";
import {RoundKit} from "./support/RoundKit.sol";
import {Vm} from "./support/Test.sol";

/// Ballots of every kind, opened in a round: what it tallies is what the rule says, told as plainly as can be.
contract RoundTalliesTest is RoundKit {
    uint256 private constant TRAINERS = 20; // more than a word of scores holds; all of them judge too

    function setUp() public {
        deploy();
        openJob(terms(TRAINERS, 5), TRAINERS, TRAINERS, 0);
        toBallots(1, TRAINERS);
    }

    function testFuzz_a_round_is_tallied_by_the_rule(uint256 random) public {
        for (uint256 i = 0; i < 6; ++i) {
            uint256 snapshot = vm.snapshotState();
            tallyOnce(uint256(keccak256(abi.encode(random, i))));
            vm.revertToState(snapshot);
        }
    }

    /// From three, four or five seats.
    function tallyOnce(uint256 random) private {
        uint256 seats = 3 + random % 3;
        for (uint256 seat = 0; seat < seats; ++seat) {
            for (uint256 i = 0; i < TRAINERS; ++i) {
                ballots[seat][i] = scoreFor(random / 3 % 5, uint256(keccak256(abi.encode(random, i))), seat);
            }
        }
        commitBallots(1, range(0, seats));
        if (seats < 5) {
            vm.warp(current().endsAt);
            rounds.advance(job);
        }
        vm.recordLogs();
        revealBallots(1, range(0, seats));
        check(vm.getRecordedLogs());
    }

    /// `common` is the same for all seats.
    function scoreFor(uint256 kind, uint256 common, uint256 seat) private pure returns (uint256) {
        uint256 own = uint256(keccak256(abi.encode(common, seat)));
        if (kind == 0) return 100 + own % 1000;
        if (kind == 1) return own % 4 == 0 ? 65534 + own / 4 % 2 : 50 + common % 500;
        if (kind == 2) return [0, 1, 65533, 65534, 65535][own % 5];
        if (kind == 3) return (common % 8 == 0 ? 1 : 0) + (own % 16 == 0 ? 1 : 0);
        return common % 2 == 0 ? 65534 + common / 2 % 2 : own % 3;
    }

    function check(Vm.Log[] memory logs) private view {
        (bytes memory scores, bytes memory shares) = expectedTally();
        uint256 tallies;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IRounds.RoundTallied.selector) continue;
            ++tallies;
            assertEq(logs[i].data, abi.encode(scores, shares), "tally");
        }
        assertEq(tallies, 1, "tallied once");
        bool verified;
        for (uint256 i = 0; i < TRAINERS; ++i) {
            uint256 score = uint256(uint8(scores[2 * i])) << 8 | uint8(scores[2 * i + 1]);
            if (score != 0 && score < 65534) verified = true;
        }
        assertEq(phase(), uint256(verified ? Phase.Attest : Phase.Commit), "goes on if anything is verified");
    }
}
