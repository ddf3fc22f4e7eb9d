// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobState} from "../../../contracts/interfaces/IJobBoard.sol";
import {Phase} from "../../../contracts/interfaces/IRounds.sol";
import {Provider} from "../../../contracts/interfaces/IProviderRegistry.sol";
import {AppealActions} from "./AppealActions.sol";

/// What the runner calls, in any order. None of it ever reverts: what goes wrong is noted in `broken`.
abstract contract Campaign is AppealActions {
    modifier act() {
        ++calls;
        _;
        look();
    }

    function play(uint256 seed) external act {
        progress(seed >> 8);
    }

    function stake(uint256 seed) external act {
        uint256 kind = pick(seed, "stake", 7);
        if (kind < 2) deposit(seed);
        else if (kind == 2) unbond(seed);
        else if (kind == 3) withdraw(seed);
        else if (kind == 4) rotate(seed);
        else if (kind == 5) changeRoles(seed);
        else unjail(seed);
    }

    function belong(uint256 seed) external act {
        uint256 kind = pick(seed, "belong", 7);
        if (kind < 3) enlist(seed);
        else if (kind < 5 && job != 0) depart(pick(seed, "who", PROVIDERS));
        else if (kind == 5) eject(seed);
        else release(seed);
    }

    function collect(uint256 seed) external act {
        uint256 kind = pick(seed, "collect", 9);
        if (kind < 3) claim(seed);
        else if (kind == 3) claimFees(seed);
        else if (kind == 4) refund(seed);
        else if (kind < 8) settle(seed);
        else cancel(seed);
    }

    function charge(uint256 seed) external act {
        uint256 slashes = registry.slashCount();
        accuse(seed);
        if (registry.slashCount() > slashes && chance(seed, "contested", 2)) appealSlash(seed, slashes + 1);
    }

    function contest(uint256 seed) external act {
        appeal(seed);
    }

    function misuse(uint256 seed) external act {
        abuse(seed);
    }

    function disturb(uint256 seed) external act {
        uint256 kind = pick(seed, "disturb", 6);
        if (kind < 2) _wait(seed);
        else if (kind == 2) govern(seed);
        else if (kind == 5) pause(seed);
        else if (kind == 3) donate(seed);
        else harass(seed);
    }

    /// Seconds, the last one before a deadline, a deadline, days; blocks until the seed is out of reach.
    function _wait(uint256 seed) private {
        uint256 kind = pick(seed, "time", 6);
        if (kind < 3) vm.warp(time() + pick(seed, "seconds", 30));
        else if (kind == 3 && seen.endsAt > time()) vm.warp(seen.endsAt - 1);
        else if (kind == 4) vm.warp(time() + pick(seed, "hours", 3 hours));
        else if (kind == 5 && chance(seed, "days", 4)) vm.warp(time() + 8 days);
        if (chance(seed, "blocks", 8)) vm.roll(height() + 300);
    }

    // What the invariants read

    function jobs() external view returns (uint256) {
        return board.jobCount();
    }

    function bookOf(uint256 which) external view returns (Books memory) {
        return books[which];
    }

    function stakesDue() external view returns (uint256 due, uint256 held) {
        for (uint256 i = 0; i < everybody(); ++i) {
            due += stakeDue(i);
            held += stakeOf(i);
        }
    }

    /// The first provider whose stake is not what it must be, or the number of providers.
    function wrongStake() external view returns (uint256 i) {
        while (i < everybody() && stakeOf(i) == stakeDue(i)) ++i;
    }

    function slashesHeld() public view returns (uint256 held) {
        for (uint256 id = 1; id <= registry.slashCount(); ++id) {
            if (!registry.slashOf(id).settled) held += registry.slashOf(id).amount;
        }
    }

    function slashedInAll() external view returns (uint256 slashed) {
        for (uint256 i = 0; i < everybody(); ++i) {
            slashed += accounts[i].slashed;
        }
    }

    function settledInAll() external view returns (uint256) {
        return settled;
    }

    function escrowOf(uint256 which) external view returns (uint256) {
        return board.jobOf(which).escrow;
    }

    function creditsOf(uint256 which) public view returns (uint256 credits) {
        uint256 count = board.jobOf(which).members;
        for (uint256 i = 0; i < count; ++i) {
            credits += board.memberOf(which, i).credit;
        }
    }

    function feesHeld() public view returns (uint256) {
        return board.feesOf(COORDINATOR) + board.feesOf(STRANGER);
    }

    /// Tokens that nobody's books account for: `have` must be what was donated.
    function surplusOfRegistry() external view returns (uint256 balance, uint256 accounted) {
        balance = token.balanceOf(address(registry));
        accounted = donatedToRegistry + slashesHeld();
        for (uint256 i = 0; i < everybody(); ++i) {
            accounted += stakeOf(i);
        }
    }

    function surplusOfBoard() external view returns (uint256 balance, uint256 accounted) {
        balance = token.balanceOf(address(board));
        accounted = donatedToBoard + feesHeld();
        for (uint256 which = 1; which <= board.jobCount(); ++which) {
            accounted += board.jobOf(which).escrow + creditsOf(which);
        }
    }

    function surplusOfAppeals() external view returns (uint256 balance, uint256 accounted) {
        return (token.balanceOf(address(appeals)), bondsDue());
    }

    function strayTokens() external view returns (uint256) {
        return token.balanceOf(address(rounds)) + token.balanceOf(address(faults)) + token.balanceOf(address(ledger))
            + token.balanceOf(address(parameters)) + token.balanceOf(address(lens));
    }

    function isReentered() external view returns (bool) {
        return hostile.entered();
    }

    // The end of the world, played for real by an invariant whose effects the runner drops

    /// Every job ends by what any stranger can do, and time; one that never started, by its requester.
    function windUp() public returns (bool) {
        for (uint256 which = 1; which <= board.jobCount(); ++which) {
            if (!_end(which)) return false;
        }
        return closeCases();
    }

    function _end(uint256 which) private returns (bool) {
        if (board.jobOf(which).state == JobState.Recruiting) {
            vm.prank(requester());
            board.cancel(which);
        }
        for (uint256 step = 0; step < 40 && !isOver(which); ++step) {
            vm.warp(time() + 30 days);
            vm.roll(height() + 300);
            vm.prank(address(0xdead));
            (bool done,) = address(rounds).call(abi.encodeCall(rounds.advance, (which)));
            if (!done) return false;
        }
        return isOver(which);
    }

    /// Everybody takes what is theirs; what is left in the contracts is what was given to them for nothing.
    function everybodyLeaves() external returns (uint256 short, uint256 inRegistry, uint256 inBoard) {
        require(windUp(), "a job cannot be ended");
        vm.warp(time() + 400 days);
        for (uint256 i = 0; i < everybody(); ++i) {
            short += _leave(i);
        }
        _payOut();
        takeBonds();
        short += token.balanceOf(address(appeals));
        inRegistry = token.balanceOf(address(registry)) - donatedToRegistry;
        inBoard = token.balanceOf(address(board)) - donatedToBoard;
    }

    /// Wei that are missing.
    function _leave(uint256 i) private returns (uint256) {
        hostile.block_(owner(i), false);
        address[] memory one = new address[](1);
        one[0] = owner(i);
        for (uint256 which = 1; which <= board.jobCount(); ++which) {
            if (lockedFor[which][i] != 0) board.release(which, one);
        }
        Provider memory its = registry.providerOf(owner(i));
        uint256 before = token.balanceOf(owner(i));
        vm.startPrank(owner(i));
        if (its.free != 0) registry.unbond(its.free);
        vm.warp(time() + 400 days);
        if (its.free + its.unbonding != 0) registry.withdraw();
        vm.stopPrank();
        return stakeDue(i) - (token.balanceOf(owner(i)) - before);
    }

    function _payOut() private {
        hostile.block_(STRANGER, false);
        for (uint256 id = 1; id <= registry.slashCount(); ++id) {
            if (!registry.slashOf(id).settled) registry.settleSlash(id);
        }
        for (uint256 which = 1; which <= board.jobCount(); ++which) {
            if (board.jobOf(which).escrow != 0) board.refund(which);
            _claimAll(which);
        }
        if (board.feesOf(COORDINATOR) != 0) board.claimFees(COORDINATOR);
        if (board.feesOf(STRANGER) != 0) board.claimFees(STRANGER);
    }

    function _claimAll(uint256 which) private {
        uint256[] memory one = only(which);
        for (uint256 i = 0; i < everybody(); ++i) {
            if (owedTo[which][i] != 0) board.claim(owner(i), one);
        }
    }
}
