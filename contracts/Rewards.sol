// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {JobStore} from "./JobStore.sol";
import {TokenTransfer} from "./libraries/TokenTransfer.sol";

/// Money earned in a job waits here until it is claimed, and only its owner's address can receive it.
/// Credits are counted in the job's quantum, four members to a word, each lane holding `units + 1`: a word that is
/// never zero makes a payment cost a third. Lanes cannot overflow, since a whole escrow is less than 2^63 units.
abstract contract Rewards is JobStore, ReentrancyGuardTransient {
    using TokenTransfer for IERC20;

    uint256 private constant LANE = type(uint64).max;
    uint256 private constant PAYMENT = 10; // bytes: uint16 member, uint64 units

    mapping(address recipient => uint256) public feesOf;

    /// Pays everything `provider` has earned in `jobs` to `provider`, whoever calls. Jobs named twice or without
    /// credit count nothing.
    function claim(address provider, uint256[] calldata jobs) external nonReentrant returns (uint256 amount) {
        for (uint256 i = 0; i < jobs.length; ++i) {
            amount += _takeCredit(jobs[i], provider);
        }
        if (amount == 0) revert NothingToClaim(provider);
        token.push(provider, amount);
    }

    function claimFees(address recipient) external nonReentrant returns (uint256 amount) {
        amount = feesOf[recipient];
        if (amount == 0) revert NothingToClaim(recipient);
        feesOf[recipient] = 0;
        emit FeeClaimed(recipient, amount);
        token.push(recipient, amount);
    }

    function _takeCredit(uint256 job, address provider) private returns (uint256 amount) {
        JobRecord storage record = _known(job);
        uint256 member = _memberIndex(record, job, provider);
        amount = _creditOf(record, member);
        if (amount == 0) return 0;
        uint256 shift = (member & 3) << 6;
        uint256 word = record.credits[member >> 2];
        record.credits[member >> 2] = (word & ~(LANE << shift)) | (1 << shift);
        emit RewardClaimed(job, provider, amount);
    }

    function _openCredit(JobRecord storage record, uint256 member) internal {
        record.credits[member >> 2] |= 1 << ((member & 3) << 6);
    }

    /// Wei.
    function _creditOf(JobRecord storage record, uint256 member) internal view returns (uint256) {
        uint256 lane = (record.credits[member >> 2] >> ((member & 3) << 6)) & LANE;
        return lane == 0 ? 0 : (lane - 1) * record.quantum;
    }

    /// DANGER: believes `payments` (see IJobBoard.RoundSettled): members must exist, and the caller must check that
    /// the returned units fit the escrow.
    function _credit(JobRecord storage record, bytes calldata payments) internal returns (uint256 units) {
        uint256 slot = 0;
        uint256 due = 0; // payments gathered for `slot`
        uint256 end = payments.length / PAYMENT * PAYMENT;
        unchecked {
            for (uint256 offset = 0; offset < end; offset += PAYMENT) {
                (uint256 member, uint256 amount) = _paymentAt(payments, offset);
                units += amount;
                if (member >> 2 != slot) {
                    _addCredit(record, slot, due);
                    (slot, due) = (member >> 2, 0);
                }
                due += amount << ((member & 3) << 6);
            }
        }
        _addCredit(record, slot, due);
    }

    function _addCredit(JobRecord storage record, uint256 slot, uint256 due) private {
        unchecked {
            if (due != 0) record.credits[slot] += due;
        }
    }

    function _paymentAt(bytes calldata payments, uint256 offset) private pure returns (uint256 member, uint256 amount) {
        assembly ("memory-safe") {
            let word := calldataload(add(payments.offset, offset))
            member := shr(240, word)
            amount := and(shr(176, word), 0xffffffffffffffff)
        }
    }
}
