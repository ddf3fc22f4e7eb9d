// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

// OpenZeppelin's AccessManager is deployed as it is; this import makes its artifact part of the build.
import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
