// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {Artifacts} from "./support/Artifacts.sol";

/// The token of local networks: money is moved by its holder or by whom the holder allowed it, and never made.
contract TokenTest is Artifacts {
    uint256 private constant SUPPLY = 1e27;
    uint256 private constant HOLDER = 0xb0b;
    bytes32 private constant FORM =
        keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");

    IERC20 private token;
    IERC20Permit private permits;

    function setUp() public {
        address created = create("CommonwealToken", abi.encode(vm.addr(HOLDER), SUPPLY));
        (token, permits) = (IERC20(created), IERC20Permit(created));
    }

    function comes(address spender, address to) private view {
        vm.assume(spender != address(0) && to != address(0) && to != vm.addr(HOLDER));
        vm.assume(spender != address(vm) && spender != address(token));
    }

    function takes(address spender, address to, uint256 amount, uint256 allowed) private {
        bool enough = amount <= allowed && amount <= SUPPLY;
        if (!enough) vm.expectRevert();
        vm.prank(spender);
        token.transferFrom(vm.addr(HOLDER), to, amount);
        assertEq(token.balanceOf(to), enough ? amount : 0, "taken");
        assertEq(token.balanceOf(vm.addr(HOLDER)), SUPPLY - (enough ? amount : 0), "left");
        bool spent = enough && allowed != type(uint256).max; // the greatest allowance stands for ever
        assertEq(token.allowance(vm.addr(HOLDER), spender), spent ? allowed - amount : allowed, "allowed");
        assertEq(token.totalSupply(), SUPPLY, "supply");
    }

    function testFuzz_nobody_takes_more_than_allowed(address spender, address to, uint256 allowed, uint256 amount) public {
        comes(spender, to);
        amount = amount & 1 == 0 ? amount : amount % (2 * SUPPLY);
        vm.prank(vm.addr(HOLDER));
        token.approve(spender, allowed);
        takes(spender, to, amount, allowed);
    }

    function testFuzz_a_permit_counts_once_and_in_time(address spender, address to, uint256 value, uint256 deadline, uint256 amount) public {
        comes(spender, to);
        deadline = bound(deadline, block.timestamp, type(uint256).max);
        (uint8 v, bytes32 r, bytes32 s) = signed(spender, value, deadline);
        permits.permit(vm.addr(HOLDER), spender, value, deadline, v, r, s);
        assertEq(permits.nonces(vm.addr(HOLDER)), 1, "nonce");
        vm.expectRevert();
        permits.permit(vm.addr(HOLDER), spender, value, deadline, v, r, s);
        takes(spender, to, amount, value);
    }

    function testFuzz_a_permit_of_another_key_or_too_late_is_none(address spender, uint256 by, uint256 value, uint256 late) public {
        by = bound(by, 1, type(uint128).max);
        vm.assume(by != HOLDER && spender != address(0));
        uint256 deadline = block.timestamp;
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(by, digestOf(spender, value, deadline));
        vm.expectRevert();
        permits.permit(vm.addr(HOLDER), spender, value, deadline, v, r, s);
        (v, r, s) = signed(spender, value, deadline);
        vm.warp(deadline + bound(late, 1, 365 days));
        vm.expectRevert();
        permits.permit(vm.addr(HOLDER), spender, value, deadline, v, r, s);
        assertEq(token.allowance(vm.addr(HOLDER), spender), 0, "allowed");
        assertEq(permits.nonces(vm.addr(HOLDER)), 0, "nonce");
    }

    function signed(address spender, uint256 value, uint256 deadline) private view returns (uint8, bytes32, bytes32) {
        return vm.sign(HOLDER, digestOf(spender, value, deadline));
    }

    function digestOf(address spender, uint256 value, uint256 deadline) private view returns (bytes32) {
        uint256 nonce = permits.nonces(vm.addr(HOLDER));
        bytes32 message = keccak256(abi.encode(FORM, vm.addr(HOLDER), spender, value, nonce, deadline));
        return hashTyped(computeDomainSeparator(address(token)), message);
    }
}
