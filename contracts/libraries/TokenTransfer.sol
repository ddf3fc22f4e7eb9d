// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IProviderRegistry} from "../interfaces/IProviderRegistry.sol";

/// A token that takes a fee, or changes balances by itself, would leave the books above the money held: `pull` refuses
/// the first, nothing here guards against the second. Callers hold the reentrancy guard.
library TokenTransfer {
    using SafeERC20 for IERC20;

    function pull(IERC20 token, address from, uint256 amount) internal {
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(from, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;
        if (received != amount) revert IProviderRegistry.TokenAmountMismatch(received, amount);
    }

    /// Sending nothing is skipped: some tokens refuse it.
    function push(IERC20 token, address to, uint256 amount) internal {
        if (amount != 0) token.safeTransfer(to, amount);
    }

    /// False if the token refuses the receiver, so that one who cannot receive holds up nobody else.
    function tryPush(IERC20 token, address to, uint256 amount) internal returns (bool) {
        return amount == 0 || token.trySafeTransfer(to, amount);
    }
}
