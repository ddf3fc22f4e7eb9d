// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ProviderRegistry} from "../../contracts/ProviderRegistry.sol";
import {IProviderRegistry, Provider, Slash, TRAINER, VALIDATOR} from "../../contracts/interfaces/IProviderRegistry.sol";
import {BoardKit} from "./support/BoardKit.sol";

contract FeeToken is ERC20("Fee", "FEE") {
    constructor() {
        _mint(msg.sender, 1e30);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, from == address(0) ? value : value - 1);
    }
}

contract PickyToken is ERC20("Picky", "PICK") {
    address public immutable refused = address(0xbad);

    constructor() {
        _mint(msg.sender, 1e30);
    }

    function _update(address from, address to, uint256 value) internal override {
        require(to != refused, "refused");
        super._update(from, to, value);
    }
}

contract ProviderRegistryTest is BoardKit {
    uint8 private constant BOTH = TRAINER | VALIDATOR;

    function provider(uint256 i) private view returns (Provider memory) {
        return registry.providerOf(owner(i));
    }

    function revertsAs(uint256 i, bytes memory data) private {
        vm.prank(owner(i));
        vm.expectRevert(data);
    }

    function lock(uint256 i, uint256 amount) private {
        vm.prank(address(board));
        registry.lock(owner(i), amount);
    }

    function slash(uint256 i, uint256 amount, address prover) private returns (uint256) {
        vm.prank(FAULTS);
        return registry.slash(owner(i), amount, prover, 1);
    }

    function unbond(uint256 i, uint256 amount) private {
        vm.prank(owner(i));
        registry.unbond(amount);
    }

    function test_register() external {
        token.transfer(owner(1), STAKE);
        vm.startPrank(owner(1));
        token.approve(address(registry), STAKE);
        vm.expectEmit(address(registry));
        emit IProviderRegistry.ProviderRegistered(owner(1), vm.addr(key(1)), BOTH);
        vm.expectEmit(address(registry));
        emit IProviderRegistry.ProviderAnnounced(owner(1), "http://a", bytes32(uint256(9)));
        vm.expectEmit(address(registry));
        emit IProviderRegistry.StakeAdded(owner(1), STAKE);
        registry.register(vm.addr(key(1)), BOTH, STAKE, "http://a", bytes32(uint256(9)));
        vm.stopPrank();
        assertEq(provider(1).operator, vm.addr(key(1)));
        assertEq(provider(1).roles, BOTH);
        assertEq(provider(1).free, STAKE);
        assertEq(registry.providerOfOperator(vm.addr(key(1))), owner(1));
        assertEq(token.balanceOf(address(registry)), STAKE);
    }

    function test_whoRegistersWithoutStakeAddsNone() external {
        vm.recordLogs();
        vm.prank(owner(1));
        registry.register(vm.addr(key(1)), BOTH, 0, "", 0);
        assertEq(vm.getRecordedLogs().length, 2, "registered and announced");
        enrol(2, BOTH, 1);
        assertEq(provider(2).free, 1, "the least stake");
    }

    function test_registerRefusals() external {
        enrol(1, BOTH, 0);
        revertsAs(1, abi.encodeWithSelector(IProviderRegistry.AlreadyRegistered.selector, owner(1)));
        registry.register(vm.addr(key(7)), BOTH, 0, "", 0);
        address taken = vm.addr(key(1));
        revertsAs(2, abi.encodeWithSelector(IProviderRegistry.OperatorTaken.selector, taken, owner(1)));
        registry.register(taken, BOTH, 0, "", 0);
        revertsAs(2, abi.encodeWithSelector(IProviderRegistry.OperatorZero.selector));
        registry.register(address(0), BOTH, 0, "", 0);
        revertsAs(2, abi.encodeWithSelector(IProviderRegistry.RolesInvalid.selector, 0));
        registry.register(owner(2), 0, 0, "", 0);
        revertsAs(2, abi.encodeWithSelector(IProviderRegistry.RolesInvalid.selector, 4));
        registry.register(owner(2), 4, 0, "", 0);
    }

    function test_feeOnTransferIsRefused() external {
        FeeToken fee = new FeeToken();
        ProviderRegistry other = deployRegistry(fee, address(board), FAULTS, address(appeals));
        fee.approve(address(other), 100);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.TokenAmountMismatch.selector, 99, 100));
        other.register(owner(1), BOTH, 100, "", 0);
    }

    function test_unknownProviders() external {
        bytes memory unknown = abi.encodeWithSelector(IProviderRegistry.ProviderUnknown.selector, owner(1));
        revertsAs(1, unknown);
        registry.addStake(1);
        revertsAs(1, unknown);
        registry.setOperator(owner(5));
        revertsAs(1, unknown);
        registry.setRoles(1);
        revertsAs(1, unknown);
        registry.unbond(0);
        revertsAs(1, unknown);
        registry.withdraw();
        revertsAs(1, unknown);
        registry.unjail();
        revertsAs(1, unknown);
        registry.announce(owner(1), "", 0);
        assertEq(provider(1).operator, address(0));
    }

    function test_onlyTheBoardLocksAndOnlyFaultsSlash() external {
        enrol(1, BOTH, STAKE);
        bytes memory refused = abi.encodeWithSelector(IProviderRegistry.NotAuthorised.selector, address(this));
        vm.expectRevert(refused);
        registry.lock(owner(1), 1);
        vm.expectRevert(refused);
        registry.unlock(owner(1), 1);
        vm.expectRevert(refused);
        registry.slash(owner(1), 1, address(0), 1);
        vm.expectRevert(refused);
        registry.recordMissedDuty(owner(1), 1);
        vm.expectRevert(refused);
        registry.clearMissedDuties(owner(1));
    }

    function test_operatorStaysReservedForEver() external {
        enrol(1, BOTH, 0);
        address first = vm.addr(key(1));
        vm.startPrank(owner(1));
        vm.expectEmit(address(registry));
        emit IProviderRegistry.OperatorReplaced(owner(1), first, owner(50));
        registry.setOperator(owner(50));
        vm.stopPrank();
        assertEq(registry.providerOfOperator(first), owner(1));
        assertEq(registry.providerOfOperator(owner(50)), owner(1));
        revertsAs(2, abi.encodeWithSelector(IProviderRegistry.OperatorTaken.selector, first, owner(1)));
        registry.register(first, BOTH, 0, "", 0);
        vm.prank(owner(1));
        registry.setOperator(first); // its own comes back
        assertEq(provider(1).operator, first);
    }

    function test_setRolesAndAnnounce() external {
        enrol(1, TRAINER, 0);
        vm.prank(owner(1));
        vm.expectEmit(address(registry));
        emit IProviderRegistry.RolesChanged(owner(1), VALIDATOR);
        registry.setRoles(VALIDATOR);
        assertEq(provider(1).roles, VALIDATOR);
        vm.prank(vm.addr(key(1)));
        vm.expectEmit(address(registry));
        emit IProviderRegistry.ProviderAnnounced(owner(1), "http://b", 0);
        registry.announce(owner(1), "http://b", 0);
        revertsAs(2, abi.encodeWithSelector(IProviderRegistry.NotAuthorised.selector, owner(2)));
        registry.announce(owner(1), "http://evil", 0);
    }

    function test_unbondAndWithdraw() external {
        enrol(1, BOTH, STAKE);
        revertsAs(1, abi.encodeWithSelector(IProviderRegistry.StakeTooLow.selector, owner(1), STAKE, STAKE + 1));
        registry.unbond(STAKE + 1);
        revertsAs(1, abi.encodeWithSelector(IProviderRegistry.NothingToWithdraw.selector, owner(1)));
        registry.withdraw();
        unbond(1, 40 ether);
        assertEq(provider(1).withdrawableAt, NOW + 1 days);
        vm.warp(NOW + 1 days - 1);
        revertsAs(1, abi.encodeWithSelector(IProviderRegistry.NotYet.selector, NOW + 1 days - 1, NOW + 1 days));
        registry.withdraw();
        vm.warp(NOW + 1 days);
        vm.prank(owner(1));
        assertEq(registry.withdraw(), 40 ether);
        assertEq(token.balanceOf(owner(1)), 40 ether);
        assertEq(provider(1).free, 60 ether);
        assertEq(provider(1).withdrawableAt, 0);
        assertEq(provider(1).unbonding, 0);
        revertsAs(1, abi.encodeWithSelector(IProviderRegistry.NothingToWithdraw.selector, owner(1)));
        registry.withdraw();
    }

    /// Appeals asks for none of it, since nothing can be appealed so late.
    function test_aSettledSlashIsNeitherFrozenNorReturned() external {
        enrol(1, BOTH, STAKE);
        uint256 id = slash(1, 5 ether, address(0));
        vm.warp(NOW + 1 hours);
        registry.settleSlash(id);
        vm.startPrank(address(appeals));
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.SlashAlreadySettled.selector, id));
        registry.freezeSlash(id);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.SlashAlreadySettled.selector, id));
        registry.returnSlash(id);
        vm.stopPrank();
    }

    function test_unbondingAgainStartsTheClockAnew() external {
        enrol(1, BOTH, STAKE);
        unbond(1, 1 ether);
        vm.warp(NOW + 5 hours);
        unbond(1, 1 ether);
        assertEq(provider(1).withdrawableAt, NOW + 5 hours + 1 days);
    }

    function test_lockAndUnlock() external {
        enrol(1, BOTH, STAKE);
        vm.prank(address(board));
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.StakeTooLow.selector, owner(1), STAKE, STAKE + 1));
        registry.lock(owner(1), STAKE + 1);
        lock(1, 70 ether);
        assertEq(provider(1).locked, 70 ether);
        assertEq(provider(1).free, 30 ether);
        slash(1, 50 ether, address(0)); // 30 free, 20 locked
        vm.prank(address(board));
        vm.expectEmit(address(registry));
        emit IProviderRegistry.StakeUnlocked(owner(1), 50 ether);
        registry.unlock(owner(1), 70 ether);
        assertEq(provider(1).free, 50 ether);
        assertEq(provider(1).locked, 0);
    }

    function test_slashIsHeldBackAndThenSplit() external {
        enrol(1, BOTH, STAKE);
        address prover = address(0x9f0);
        uint256 id = slash(1, 5 ether, prover);
        assertEq(registry.slashCount(), id);
        Slash memory held = registry.slashOf(id);
        assertEq(held.amount, 5 ether);
        assertEq(held.bounty, 0.5 ether);
        assertEq(held.settleableAt, NOW + 1 hours);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.NotYet.selector, NOW, NOW + 1 hours));
        registry.settleSlash(id);
        vm.warp(NOW + 1 hours);
        vm.expectEmit(address(registry));
        emit IProviderRegistry.SlashSettled(id, 4.5 ether, 0.5 ether);
        registry.settleSlash(id);
        assertEq(token.balanceOf(prover), 0.5 ether);
        assertEq(token.balanceOf(TREASURY), 4.5 ether);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.SlashAlreadySettled.selector, id));
        registry.settleSlash(id);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.SlashUnknown.selector, id + 1));
        registry.settleSlash(id + 1);
    }

    function test_aRefusedProverHoldsUpNobody() external {
        PickyToken picky = new PickyToken();
        ProviderRegistry strict = deployRegistry(picky, address(this), address(this), address(this));
        picky.approve(address(strict), STAKE);
        strict.register(vm.addr(key(9)), BOTH, STAKE, "", 0);
        uint256 id = strict.slash(address(this), 5 ether, picky.refused(), 1);
        vm.warp(NOW + 1 hours);
        vm.expectEmit(address(strict));
        emit IProviderRegistry.SlashSettled(id, 5 ether, 0);
        strict.settleSlash(id);
        assertEq(picky.balanceOf(TREASURY), 5 ether);
    }

    function test_bountyIsCappedAndNeedsAProver() external {
        enrol(1, BOTH, STAKE);
        assertEq(registry.slashOf(slash(1, 50 ether, address(0x9f0))).bounty, 1 ether);
        uint256 id = slash(1, 50 ether, address(0));
        assertEq(registry.slashOf(id).bounty, 0);
        vm.warp(NOW + 1 hours);
        registry.settleSlash(id);
        assertEq(token.balanceOf(TREASURY), 50 ether);
    }

    function testFuzz_slashTakesFreeThenUnbondingThenLocked(uint96 stake, uint96 toLock, uint96 toUnbond, uint256 amount)
        external
    {
        uint256 locked = bound(toLock, 0, stake);
        uint256 unbonding = bound(toUnbond, 0, stake - locked);
        uint256 free = stake - locked - unbonding;
        enrol(1, BOTH, stake);
        lock(1, locked);
        unbond(1, unbonding);
        uint256 id = slash(1, amount, address(0x9f0));
        uint256 taken = amount < stake ? amount : stake;
        assertEq(registry.slashOf(id).amount, taken, "taken");
        uint256 left = taken > free ? taken - free : 0;
        assertEq(provider(1).free, taken > free ? 0 : free - taken, "free");
        assertEq(provider(1).unbonding, left > unbonding ? 0 : unbonding - left, "unbonding");
        left = left > unbonding ? left - unbonding : 0;
        assertEq(provider(1).locked, locked - left, "locked");
        assertSolvent(1, taken);
    }

    function testFuzz_booksEqualMoneyHeld(uint96 stake, uint256[12] calldata amounts) external {
        enrol(1, BOTH, stake);
        uint256 held = 0;
        for (uint256 i = 0; i < amounts.length; ++i) {
            Provider memory its = provider(1);
            if (i % 4 == 0) lock(1, bound(amounts[i], 0, its.free));
            if (i % 4 == 1) unbond(1, bound(amounts[i], 0, its.free));
            if (i % 4 == 2) held += registry.slashOf(slash(1, amounts[i] >> 170, address(2))).amount;
            if (i % 4 == 3) {
                vm.prank(address(board));
                registry.unlock(owner(1), amounts[i]);
            }
        }
        assertSolvent(1, held);
    }

    function assertSolvent(uint256 i, uint256 held) private view {
        Provider memory its = provider(i);
        uint256 booked = uint256(its.free) + its.locked + its.unbonding + held;
        assertEq(booked, token.balanceOf(address(registry)), "books");
    }

    function test_maturedWithdrawalSurvivesASlash() external {
        enrol(1, BOTH, STAKE);
        unbond(1, 60 ether);
        vm.warp(NOW + 1 days);
        slash(1, 50 ether, address(0)); // 40 free, 10 unbonding
        vm.prank(owner(1));
        assertEq(registry.withdraw(), 50 ether);
    }

    function test_missedDutiesAreCountedTo255() external {
        enrol(1, BOTH, STAKE);
        for (uint256 i = 0; i < 256; ++i) {
            vm.prank(FAULTS);
            registry.recordMissedDuty(owner(1), 1);
        }
        assertEq(provider(1).missedDuties, 255);
    }

    function test_jailAndUnjail() external {
        enrol(1, BOTH, STAKE);
        revertsAs(1, abi.encodeWithSelector(IProviderRegistry.ProviderNotJailed.selector, owner(1)));
        registry.unjail();
        jail(1);
        assertEq(provider(1).missedDuties, 2);
        assertEq(provider(1).jailedUntil, NOW + 2 hours);
        vm.prank(address(board));
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderIsJailed.selector, owner(1), NOW + 2 hours));
        registry.lock(owner(1), 1);
        revertsAs(1, abi.encodeWithSelector(IProviderRegistry.NotYet.selector, NOW, NOW + 2 hours));
        registry.unjail();
        vm.warp(NOW + 2 hours);
        vm.prank(owner(1));
        registry.unjail();
        assertEq(provider(1).missedDuties, 0);
        assertEq(provider(1).jailedUntil, 0);
    }

    function test_aDutyDoneEndsTheRow() external {
        enrol(1, BOTH, 0);
        vm.startPrank(FAULTS);
        registry.recordMissedDuty(owner(1), 1);
        vm.expectEmit(address(registry));
        emit IProviderRegistry.MissedDutiesCleared(owner(1));
        registry.clearMissedDuties(owner(1));
        registry.recordMissedDuty(owner(1), 1);
        vm.stopPrank();
        assertEq(provider(1).jailedUntil, 0);
        assertEq(provider(1).missedDuties, 1);
    }
}
