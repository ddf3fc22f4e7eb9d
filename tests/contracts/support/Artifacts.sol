// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Test} from "./Test.sol";

/// Contracts as they were compiled. Building them into every test would take minutes, and would hide a planted bug from it.
abstract contract Artifacts is Test {
    function create(string memory name, bytes memory arguments) internal returns (address created) {
        string memory folder = vm.envOr("COMMONWEAL_ARTIFACTS", string.concat(vm.projectRoot(), "/artifacts/contracts"));
        string memory path = string.concat(folder, "/", name, ".sol/", name, ".json");
        bytes memory code = bytes.concat(vm.parseJsonBytes(vm.readFile(path), ".bytecode"), arguments);
        assembly ("memory-safe") {
            created := create(0, add(code, 0x20), mload(code))
        }
        assertTrue(created != address(0), name);
    }
}
