// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// Put over the real token, whose balances it keeps: refuses those who are blocked, and calls back while it pays out.
contract HostileToken is ERC20 {
    uint256[8] private _others; // what the real token stores behind the balances
    mapping(address account => bool) public blocked;
    address private _target;
    bytes private _call;
    bool public entered; // a call back came through

    error Blocked(address account);

    constructor() ERC20("", "") {}

    function block_(address account, bool refused) external {
        blocked[account] = refused;
    }

    /// The next transfer calls `target` first.
    function ambush(address target, bytes calldata call) external {
        (_target, _call) = (target, call);
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (blocked[to]) revert Blocked(to);
        address target = _target;
        if (target != address(0)) {
            _target = address(0);
            (bool ok,) = target.call(_call);
            if (ok) entered = true;
        }
        super._update(from, to, amount);
    }
}
