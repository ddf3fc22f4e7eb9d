// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ProviderRegistry} from "../../contracts/ProviderRegistry.sol";
import {IParameters, ProtocolParameters} from "../../contracts/interfaces/IParameters.sol";
import {Provider, Slash} from "../../contracts/interfaces/IProviderRegistry.sol";
import {Proof, ProofParameters, ProofToken} from "./Proof.sol";

/// What a slash takes and what becomes of it, for any stake in any of its three places and any amount asked for; where the solvers need more than a
/// minute for 128 bits, for stakes of 32.
contract SlashProofs is Proof {
    address private constant PROVIDER = address(0x1111);
    address private constant PROVER = address(0x2222);
    address private constant TREASURY = address(0x3333);
    uint256 private constant BPS = 10_000;

    ProofToken private token = new ProofToken();
    ProofParameters private parameters = new ProofParameters();
    ProviderRegistry private registry;

    function setUp() public {
        address me = address(this); // board, faults and appeals
        registry = new ProviderRegistry(IERC20(address(token)), IParameters(address(parameters)), me, me, me);
    }

    function setRules(uint16 bountyBps, uint128 bountyCap) private {
        ProtocolParameters memory rules;
        rules.treasury = TREASURY;
        rules.bountyBps = bountyBps;
        rules.bountyCap = bountyCap;
        parameters.set(rules);
    }

    /// A provider who holds exactly this.
    function stake(uint128 free, uint128 unbonding, uint128 locked) private {
        uint256 total = uint256(free) + unbonding + locked;
        vm.assume(total <= type(uint128).max);
        token.mint(PROVIDER, total);
        vm.prank(PROVIDER);
        token.approve(address(registry), total);
        vm.prank(PROVIDER);
        registry.register(address(0x4444), 1, total, "", 0);
        vm.prank(PROVIDER);
        registry.unbond(unbonding);
        registry.lock(PROVIDER, locked);
    }

    function slash(uint256 amount, address prover) private returns (Slash memory) {
        return registry.slashOf(registry.slash(PROVIDER, amount, prover, 1));
    }

    function check_takes_free_then_unbonding_then_locked(uint32 free, uint32 unbonding, uint32 locked, uint64 amount) public {
        setRules(1000, 1 ether);
        stake(free, unbonding, locked);
        slash(amount, PROVER);
        Provider memory left = registry.providerOf(PROVIDER);
        assert(left.free == 0 || (left.unbonding == unbonding && left.locked == locked));
        assert(left.unbonding == 0 || left.locked == locked);
    }

    function check_bounty_keeps_to_its_cap(uint128 free, uint128 bountyCap, uint256 amount) public {
        setRules(1000, bountyCap);
        stake(free, 0, 0);
        assert(slash(amount, PROVER).bounty <= bountyCap);
    }

    function check_bounty_is_no_more_than_its_part(uint32 free) public {
        setRules(1000, type(uint128).max);
        stake(free, 0, 0);
        Slash memory held = slash(type(uint256).max, PROVER);
        assert(held.amount == free);
        assert(held.bounty <= held.amount / 10);
    }

    function check_nobody_gets_a_bounty_without_proving(uint128 free, uint128 bountyCap, uint256 amount) public {
        setRules(uint16(BPS), bountyCap);
        stake(free, 0, 0);
        assert(slash(amount, address(0)).bounty == 0);
    }

    function check_prover_and_treasury_get_all_of_it_once(uint32 free) public {
        setRules(1000, 1 ether);
        stake(free, 0, 0);
        Slash memory held = slash(type(uint256).max, PROVER);
        registry.settleSlash(1);
        assert(token.balanceOf(PROVER) == held.bounty);
        assert(token.balanceOf(PROVER) + token.balanceOf(TREASURY) == free);
        assert(token.balanceOf(address(registry)) == 0);
        (bool again,) = address(registry).call(abi.encodeCall(ProviderRegistry.settleSlash, (1)));
        assert(!again);
    }

    function check_an_overturned_slash_makes_whole_once(uint128 free, uint128 unbonding, uint128 locked, uint256 amount) public {
        setRules(1000, 1 ether);
        stake(free, unbonding, locked);
        slash(amount, PROVER);
        registry.returnSlash(1);
        Provider memory whole = registry.providerOf(PROVIDER);
        assert(whole.free + whole.unbonding + whole.locked == uint256(free) + unbonding + locked);
        (bool settled,) = address(registry).call(abi.encodeCall(ProviderRegistry.settleSlash, (1)));
        (bool again,) = address(registry).call(abi.encodeCall(ProviderRegistry.returnSlash, (1)));
        assert(!settled && !again);
    }

    function check_damages_are_paid_out_of_what_was_taken(uint128 free, uint128 locked, uint256 amount, uint256 damage) public {
        setRules(1000, 1 ether);
        stake(free, 0, locked);
        uint256 paid = registry.slashFor(PROVIDER, amount, PROVER, damage, 1);
        Slash memory held = registry.slashOf(1);
        assert(paid <= damage && paid <= held.amount && held.bounty == paid);
        assert(held.amount <= uint256(free) + locked);
    }
}
