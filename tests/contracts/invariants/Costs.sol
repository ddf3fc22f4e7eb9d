// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IFaults} from "../../../contracts/interfaces/IFaults.sol";
import {IJobBoard} from "../../../contracts/interfaces/IJobBoard.sol";
import {IProviderRegistry} from "../../../contracts/interfaces/IProviderRegistry.sol";
import {IRounds} from "../../../contracts/interfaces/IRounds.sol";

/// The most gas a call may take in these campaigns: batches of at most eight, committees of at most five, and rosters of
/// 8 or 32. What walks over the longer roster, or over all slashes or jobs there ever were, is above it.
library Costs {
    function all() internal pure returns (bytes4[25] memory selectors, uint256[25] memory limits) {
        (selectors[0], limits[0]) = (IProviderRegistry.register.selector, 150_000);
        (selectors[1], limits[1]) = (IProviderRegistry.addStake.selector, 50_000);
        (selectors[2], limits[2]) = (IProviderRegistry.unbond.selector, 60_000);
        (selectors[3], limits[3]) = (IProviderRegistry.withdraw.selector, 60_000);
        (selectors[4], limits[4]) = (IProviderRegistry.setOperator.selector, 75_000);
        (selectors[5], limits[5]) = (IProviderRegistry.settleSlash.selector, 85_000);
        (selectors[6], limits[6]) = (IJobBoard.createJob.selector, 320_000);
        (selectors[7], limits[7]) = (IJobBoard.joinJob.selector, 260_000);
        (selectors[8], limits[8]) = (IJobBoard.leaveJob.selector, 110_000);
        (selectors[9], limits[9]) = (IJobBoard.release.selector, 110_000);
        (selectors[10], limits[10]) = (IJobBoard.eject.selector, 130_000);
        (selectors[11], limits[11]) = (IJobBoard.claim.selector, 110_000);
        (selectors[12], limits[12]) = (IJobBoard.claimFees.selector, 60_000);
        (selectors[13], limits[13]) = (IJobBoard.refund.selector, 60_000);
        (selectors[14], limits[14]) = (IRounds.advance.selector, 250_000);
        (selectors[15], limits[15]) = (IRounds.commitUpdates.selector, 200_000);
        (selectors[16], limits[16]) = (IRounds.revealUpdates.selector, 200_000);
        (selectors[17], limits[17]) = (IRounds.commitBallots.selector, 220_000);
        (selectors[18], limits[18]) = (IRounds.revealBallots.selector, 150_000);
        (selectors[19], limits[19]) = (IRounds.attest.selector, 150_000);
        (selectors[20], limits[20]) = (IRounds.finalise.selector, 300_000);
        (selectors[21], limits[21]) = (IFaults.proveUnrevealed.selector, 280_000);
        (selectors[22], limits[22]) = (IFaults.proveAbsent.selector, 300_000);
        (selectors[23], limits[23]) = (IFaults.proveEquivocation.selector, 300_000);
        (selectors[24], limits[24]) = ("case", 2_000_000); // all of Appeals: the dearest seals the votes of 23 jurors
    }
}
