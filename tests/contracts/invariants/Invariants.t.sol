// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Test} from "../support/Test.sol";
import {Campaign} from "./Campaign.sol";
import {Costs} from "./Costs.sol";

/// Here, and not in a file of its own, so that the runner finds it among what this file compiles to.
contract Handler is Campaign {}

/// The ten promises of the protocol, after every call of any sequence of calls.
contract InvariantsTest is Test {
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    uint256 private constant SELDOM = 16; // playing the world to its end takes as long as many calls

    Handler private handler;

    function setUp() external {
        handler = new Handler();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// A round needs some ten moves, so half of all calls are moves.
    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), actions());
    }

    function actions() private pure returns (bytes4[] memory selectors) {
        selectors = new bytes4[](14);
        for (uint256 i = 0; i < 6; ++i) {
            selectors[i] = Campaign.play.selector;
        }
        selectors[6] = Campaign.stake.selector;
        selectors[7] = Campaign.belong.selector;
        selectors[8] = Campaign.collect.selector;
        selectors[9] = Campaign.charge.selector;
        selectors[10] = Campaign.misuse.selector;
        selectors[11] = Campaign.disturb.selector;
        selectors[12] = selectors[13] = Campaign.contest.selector;
    }

    function invariant_1_solvent_to_the_wei() external view {
        unbroken(1);
        (uint256 balance, uint256 accounted) = handler.surplusOfRegistry();
        assertEq(balance, accounted, "registry");
        (balance, accounted) = handler.surplusOfBoard();
        assertEq(balance, accounted, "board");
        (balance, accounted) = handler.surplusOfAppeals();
        assertEq(balance, accounted, "appeals");
        assertEq(handler.strayTokens(), 0, "contracts that hold no money");
        assertFalse(handler.isReentered(), "a token called back in");
    }

    function invariant_2_slashes_are_bounded_and_touch_nobody_else() external view {
        unbroken(2);
        assertEq(handler.wrongStake(), 32, "provider with a wrong stake");
        assertEq(handler.slashesHeld() + handler.settledInAll(), handler.slashedInAll(), "slashed");
    }

    function invariant_3_exit_waits_and_is_never_stuck() external {
        unbroken(3);
        if (handler.calls() % SELDOM != 0) return;
        (uint256 short, uint256 inRegistry, uint256 inBoard) = handler.everybodyLeaves();
        assertEq(short, 0, "stake that could not leave");
        assertEq(inRegistry, 0, "left in the registry");
        assertLe(inBoard, 0, "left in the board");
    }

    function invariant_4_escrow_is_conserved() external view {
        unbroken(4);
        for (uint256 job = 1; job <= handler.jobs(); ++job) {
            Handler.Books memory its = handler.bookOf(job);
            uint256 gone = its.owed + its.claimed + its.fees + its.refunded;
            assertEq(handler.escrowOf(job) + gone, its.escrowed, "escrow");
        }
    }

    function invariant_5_rewards_within_the_budget_and_once() external view {
        unbroken(5);
        for (uint256 job = 1; job <= handler.jobs(); ++job) {
            assertEq(handler.creditsOf(job), handler.bookOf(job).owed, "credits");
        }
    }

    function invariant_6_one_secret_ballot_per_seat() external view {
        unbroken(6);
    }

    function invariant_7_phases_move_on_and_never_back() external {
        unbroken(7);
        if (handler.calls() % SELDOM == 0) assertTrue(handler.windUp(), "a job that nobody can end");
    }

    function invariant_8_signatures_count_once_and_here() external view {
        unbroken(8);
    }

    function invariant_9_no_authority_over_a_round_in_flight() external view {
        unbroken(9);
    }

    function invariant_10_nobody_makes_others_pay() external view {
        unbroken(10);
        (bytes4[25] memory selectors, uint256[25] memory limits) = Costs.all();
        for (uint256 i = 0; i < selectors.length; ++i) {
            assertLe(handler.dearest(selectors[i]), limits[i], vm.toString(i));
        }
    }

    /// A campaign in which nothing happens proves nothing.
    function test_a_campaign_gets_everywhere() external {
        for (uint256 i = 0; i < 4000; ++i) {
            uint256 seed = uint256(keccak256(abi.encode(i)));
            bytes4 selector = actions()[seed % 14];
            (bool done,) = address(handler).call(abi.encodeWithSelector(selector, seed));
            assertTrue(done, "a handler reverted");
        }
        string[24] memory what = events();
        for (uint256 i = 0; i < what.length; ++i) {
            assertGe(handler.happened(what[i]), 1, what[i]);
        }
    }

    function events() private pure returns (string[24] memory) {
        return [
            "withdrawal", "slash paid out", "left", "refund", "claim", "fee claimed", "started", "paused",
            "failed in COMMIT", "failed in REVEAL", "failed in BALLOT COMMIT", "failed in BALLOT REVEAL",
            "copied ballot tried", "paid", "unrevealed", "invalid", "absent", "equivocation", "appeal",
            "votes", "upheld", "second appeal", "slash overturned", "model overturned"
        ];
    }

    function unbroken(uint256 invariant) private view {
        string memory what = handler.broken(invariant);
        assertTrue(bytes(what).length == 0, what);
    }
}
