// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ProtocolParameters} from "../../../contracts/interfaces/IParameters.sol";
import {Provider, Slash, TRAINER, VALIDATOR} from "../../../contracts/interfaces/IProviderRegistry.sol";
import {World} from "./World.sol";

/// Stake comes and goes, keys and roles change, slashes are paid out, the rules of the future are published.
abstract contract StakeActions is World {
    function deposit(uint256 seed) internal {
        addStake(seed % PROVIDERS, 1 + pick(seed, "amount", 2 * STAKE));
    }

    function addStake(uint256 i, uint256 amount) internal {
        if (hostile.blocked(owner(i))) return;
        _fund(i, amount);
        if (must(3, "stake is refused", owner(i), address(registry), abi.encodeCall(registry.addStake, (amount)))) {
            accounts[i].deposited += amount;
        }
    }

    function unbond(uint256 seed) internal {
        uint256 i = seed % PROVIDERS;
        uint256 free = registry.providerOf(owner(i)).free;
        uint256 amount = chance(seed, "part", 2) ? free / 4 : chance(seed, "whole", 2) ? free : pick(seed, "wei", free + 2);
        bytes memory data = abi.encodeCall(registry.unbond, (amount));
        if (amount > free) return mustNot(3, "unbonds more than is free", owner(i), address(registry), data);
        if (!must(exits(), "free stake cannot unbond", owner(i), address(registry), data)) return;
        accounts[i].exitAt = time() + published[parameters.currentVersion()].unbondingPeriod;
    }

    /// Who sees an accusation coming.
    function flee(uint256 i) internal {
        bytes memory data = abi.encodeCall(registry.unbond, (registry.providerOf(owner(i)).free));
        if (!must(exits(), "free stake cannot unbond", owner(i), address(registry), data)) return;
        accounts[i].exitAt = time() + published[parameters.currentVersion()].unbondingPeriod;
    }

    function withdraw(uint256 seed) internal {
        uint256 i = seed % PROVIDERS;
        if (chance(seed, "wait", 2) && time() < accounts[i].exitAt && accounts[i].exitAt < time() + 3 days) {
            vm.warp(accounts[i].exitAt - pick(seed, "early", 2));
        }
        _withdraw(i);
    }

    function _withdraw(uint256 i) private {
        uint256 due = registry.providerOf(owner(i)).unbonding;
        uint256 before = token.balanceOf(owner(i));
        (bool done,) = attempt(owner(i), address(registry), abi.encodeCall(registry.withdraw, ()));
        bool early = time() < accounts[i].exitAt;
        if (done) note("withdrawal");
        if (done && early) blame(3, "stake left before its time");
        if (done && registry.holdsOn(owner(i)) != 0) blame(3, "stake left while it may have to answer");
        if (!done && due != 0 && !early && registry.holdsOn(owner(i)) == 0 && !hostile.blocked(owner(i))) blame(exits(), "matured stake is stuck");
        uint256 received = token.balanceOf(owner(i)) - before;
        if (done && received != due) blame(3, "another amount left than was unbonding");
        accounts[i].withdrawn += received;
    }

    function rotate(uint256 seed) internal {
        uint256 i = seed % PROVIDERS;
        uint256 next = operatorKey(i, accounts[i].generation + 1);
        keyOf[vm.addr(next)] = next;
        if (!must(3, "a key cannot be replaced", owner(i), address(registry), abi.encodeCall(registry.setOperator, (vm.addr(next))))) return;
        ++accounts[i].generation;
        if (job != 0 && chance(seed, "refresh", 2)) attempt(STRANGER, address(board), abi.encodeCall(board.refreshOperator, (job, owner(i))));
    }

    function changeRoles(uint256 seed) internal {
        uint8 roles = chance(seed, "roles", 3) ? uint8(1 + pick(seed, "which", 2)) : TRAINER | VALIDATOR;
        must(3, "roles cannot change", owner(seed % PROVIDERS), address(registry), abi.encodeCall(registry.setRoles, (roles)));
    }

    function unjail(uint256 seed) internal {
        uint256 i = seed % PROVIDERS;
        uint64 until = registry.providerOf(owner(i)).jailedUntil;
        (bool done,) = attempt(owner(i), address(registry), abi.encodeCall(registry.unjail, ()));
        if (done != (until != 0 && time() >= until)) blame(3, "jail opens at another time than it said");
    }

    /// The treasury and a willing prover are paid, once, whoever asks.
    function settle(uint256 seed) internal {
        uint256 count = registry.slashCount();
        if (count == 0) return;
        uint256 id = 1 + pick(seed, "slash", count);
        Slash memory held = registry.slashOf(id);
        if (chance(seed, "wait", 2) && time() < held.settleableAt && held.settleableAt < time() + 1 days) vm.warp(held.settleableAt);
        if (held.prover == STRANGER && chance(seed, "refused", 3)) hostile.block_(STRANGER, true);
        uint256 before = token.balanceOf(held.treasury) + token.balanceOf(held.prover);
        _ambush(seed, address(registry), abi.encodeCall(registry.settleSlash, (id)));
        (bool done,) = attempt(STRANGER, address(registry), abi.encodeCall(registry.settleSlash, (id)));
        bool due = !held.settled && time() >= held.settleableAt;
        if (done) note("slash paid out");
        if (done && !due) blame(2, "a slash is paid out twice or early");
        if (!done && due) blame(10, "a slash cannot be paid out");
        uint256 paid = token.balanceOf(held.treasury) + token.balanceOf(held.prover) - before;
        if (done && paid != held.amount) blame(1, "a slash pays another amount than was taken");
        settled += paid;
    }

    /// Rules of the future, as different as the contract allows. No job that exists may notice.
    function govern(uint256 seed) internal {
        ProtocolParameters memory next = rules();
        next.unbondingPeriod = uint64(1 hours + pick(seed, "unbonding", 3 days));
        next.appealWindow = uint64(pick(seed, "appeal", 1 hours));
        next.feeGrace = uint64(pick(seed, "grace", 1 days));
        next.unrevealedSlashBps = uint16(pick(seed, "unrevealed", 10_001));
        next.invalidSlashBps = uint16(pick(seed, "invalid", 10_001));
        next.absentSlashBps = uint16(pick(seed, "absent", 10_001));
        next.equivocationSlashBps = uint16(pick(seed, "equivocation", 10_001));
        next.bountyBps = uint16(pick(seed, "bounty", 5001));
        next.treasury = chance(seed, "treasury", 2) ? TREASURY : address(0x7ea6);
        if (!must(9, "the authority cannot publish", address(this), address(parameters), abi.encodeCall(parameters.publish, (next)))) return;
        published[parameters.currentVersion()] = next;
    }

    /// Keeps newcomers out, and nobody in.
    function pause(uint256 seed) internal {
        mustNot(9, "a stranger pauses", STRANGER, address(parameters), abi.encodeCall(parameters.pauseEntry, ()));
        paused = chance(seed, "pause", 3);
        bytes memory data = paused ? abi.encodeCall(parameters.pauseEntry, ()) : abi.encodeCall(parameters.resumeEntry, ());
        must(9, "the authority cannot pause", address(this), address(parameters), data);
        if (!paused) return;
        note("paused");
        data = abi.encodeCall(registry.register, (address(0xbad), TRAINER, 0, "", 0));
        mustNot(9, "a newcomer registers while entry is paused", address(0xbad), address(registry), data);
        if (chance(seed, "sits it out", 6)) _leaveDuringPause(pick(seed, "who", PROVIDERS));
    }

    function _leaveDuringPause(uint256 i) private {
        flee(i);
        if (time() < accounts[i].exitAt) vm.warp(accounts[i].exitAt);
        _withdraw(i);
    }

    /// Money sent for no reason belongs to nobody, and disturbs nobody.
    function donate(uint256 seed) internal {
        uint256 amount = 1 + pick(seed, "amount", 1 ether);
        bool toRegistry = chance(seed, "whom", 2);
        token.transfer(toRegistry ? address(registry) : address(board), amount);
        if (toRegistry) donatedToRegistry += amount;
        else donatedToBoard += amount;
    }

    /// The token refuses somebody for a while.
    function harass(uint256 seed) internal {
        address victim = chance(seed, "who", 3) ? STRANGER : owner(pick(seed, "provider", PROVIDERS));
        hostile.block_(victim, !hostile.blocked(victim));
    }

    /// Now and then the token calls the same function again while it pays.
    function _ambush(uint256 seed, address target, bytes memory data) internal {
        hostile.ambush(chance(seed, "ambush", 4) ? target : address(0), data);
    }
}
