// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// For local networks and tests: whoever deploys it names the holder of the whole supply.
/// A production deployment names any standard ERC-20 instead.
contract CommonwealToken is ERC20Permit {
    constructor(address holder, uint256 supply) ERC20("Commonweal", "WEAL") ERC20Permit("Commonweal") {
        _mint(holder, supply);
    }
}
