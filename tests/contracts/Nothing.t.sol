// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IProviderRegistry, TRAINER} from "../../contracts/interfaces/IProviderRegistry.sol";
import {Deployed} from "./support/Deployed.sol";

contract StrictToken is ERC20("Strict", "STR") {
    constructor() {
        _mint(msg.sender, 1e30);
    }

    function _update(address from, address to, uint256 value) internal override {
        require(value != 0, "nothing");
        super._update(from, to, value);
    }
}

/// Some tokens refuse to move nothing, so nothing is not moved; a single wei is.
contract NothingTest is Deployed {
    address private constant PROVER = address(0x9f0);
    StrictToken private strict;

    function setUp() public {
        deploy();
        strict = new StrictToken();
        registry = IProviderRegistry(create("ProviderRegistry", abi.encode(strict, parameters, this, this, this)));
    }

    function test_a_slash_that_took_nothing_is_settled_without_a_transfer() public {
        registry.register(vm.addr(1), TRAINER, 0, "", 0);
        uint256 slash = registry.slash(address(this), 5 ether, PROVER, 1);
        vm.warp(NOW + 1 hours);
        registry.settleSlash(slash);
        assertTrue(registry.slashOf(slash).settled, "settled");
    }

    function test_the_least_bounty_is_paid() public {
        strict.approve(address(registry), STAKE);
        registry.register(vm.addr(1), TRAINER, STAKE, "", 0);
        uint256 slash = registry.slash(address(this), 10, PROVER, 1);
        vm.warp(NOW + 1 hours);
        registry.settleSlash(slash);
        assertEq(strict.balanceOf(PROVER), 1, "a tenth");
        assertEq(strict.balanceOf(TREASURY), 9, "the rest");
    }
}
