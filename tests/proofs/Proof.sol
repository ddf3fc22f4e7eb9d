// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ProtocolParameters} from "../../contracts/interfaces/IParameters.sol";

/// The cheatcodes that halmos shares with forge.
interface ProofVm {
    function assume(bool condition) external pure;
    function prank(address sender) external;
    function warp(uint256 timestamp) external;
}

/// What a `check_` function says with `assert` holds for every value of its arguments, or halmos shows one for which it does not.
abstract contract Proof {
    ProofVm internal constant vm = ProofVm(address(uint160(uint256(keccak256("hevm cheat code")))));
}

/// Plain money.
contract ProofToken is ERC20("", "") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }
}

/// Any rules: what Parameters would refuse is left to `vm.assume`.
contract ProofParameters {
    uint256 public constant currentVersion = 1;
    ProtocolParameters private _rules;

    function set(ProtocolParameters memory rules) external {
        _rules = rules;
    }

    function parametersAt(uint256) external view returns (ProtocolParameters memory) {
        return _rules;
    }

    function requireEntryOpen() external view {}
}
