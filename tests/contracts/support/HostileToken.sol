// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// A token of which one never knows: it may answer false, keep a part, refuse a receiver, or call its `victim` back.
contract HostileToken is ERC20("Hostile", "HOST") {
    bool public answer = true;
    uint256 public fee;
    address public refused;
    address private _victim;
    bytes private _call;
    bytes public outcome;

    constructor() {
        _mint(msg.sender, 1e36);
    }

    function setAnswer(bool answer_) external {
        answer = answer_;
    }

    function setFee(uint256 fee_) external {
        fee = fee_;
    }

    function refuse(address receiver) external {
        refused = receiver;
    }

    function callBack(address victim, bytes calldata data) external {
        (_victim, _call) = (victim, data);
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        return answer && super.transfer(to, value);
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        return answer && super.transferFrom(from, to, value);
    }

    function _update(address from, address to, uint256 value) internal override {
        require(to != refused || to == address(0), "refused");
        super._update(from, to, from == address(0) ? value : value - fee);
        if (_victim == address(0)) return;
        (address victim, bytes memory data) = (_victim, _call);
        _victim = address(0);
        (, outcome) = victim.call(data);
    }
}
