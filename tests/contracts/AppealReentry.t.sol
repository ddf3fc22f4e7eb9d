// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {AppealKit} from "./support/AppealKit.sol";
import {HostileToken} from "./support/HostileToken.sol";

/// The token calls back while it takes a bond.
contract AppealReentryTest is AppealKit {
    HostileToken private hostile;

    function issue() internal override returns (IERC20) {
        hostile = new HostileToken();
        return IERC20(hostile);
    }

    function test_nobody_reenters_an_appeal() public {
        conclude(1, 65535);
        uint256 slash = slashLast(1);
        bytes[6] memory calls = [
            abi.encodeCall(appeals.appealSlash, (slash, settlement)),
            abi.encodeCall(appeals.appealModel, (job, 1, settlement)),
            abi.encodeCall(appeals.appealAgain, (1)),
            abi.encodeCall(appeals.advance, (1)),
            abi.encodeCall(appeals.draw, (1, headerOf(block.number))),
            abi.encodeCall(appeals.takeOwed, (APPELLANT))
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            uint256 snapshot = vm.snapshotState();
            hostile.callBack(address(appeals), calls[i]);
            appealModel(1);
            bytes4 said = bytes4(hostile.outcome());
            assertEq(bytes32(said), bytes32(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector), "barred");
            assertEq(appeals.appealCount(), 1, "one appeal");
            vm.revertToState(snapshot);
        }
    }
}
