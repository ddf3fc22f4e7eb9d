// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {JobStore} from "./JobStore.sol";
import {TokenTransfer} from "./libraries/TokenTransfer.sol";

/// Money earned in a job waits here until it is claimed, and only its owner's address can receive it.
/// Credits are counted in the job's quantum, eight members to a word, each lane holding `units + 1`: a word that is
/// never zero makes a payment cost a third. Lanes cannot overflow, since a whole escrow is less than 2^31 units.
abstract contract Rewards is JobStore, ReentrancyGuardTransient {
    using TokenTransfer for IERC20;

    uint256 private constant LANE = 0xffffffff;
    uint256 private constant PAYMENT = 6; // bytes: uint16 member, uint32 units

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
        uint256 shift = (member & 7) << 5;
        uint256 word = record.credits[member >> 3];
        record.credits[member >> 3] = (word & ~(LANE << shift)) | (1 << shift);
        emit RewardClaimed(job, provider, amount);
    }

    function _openCredit(JobRecord storage record, uint256 member) internal {
        record.credits[member >> 3] |= 1 << ((member & 7) << 5);
    }

    /// Wei.
    function _creditOf(JobRecord storage record, uint256 member) internal view returns (uint256) {
        uint256 lane = (record.credits[member >> 3] >> ((member & 7) << 5)) & LANE;
        return lane == 0 ? 0 : (lane - 1) * record.quantum;
    }

    /// DANGER: believes `payments` (see IJobBoard.RoundSettled): members must exist, and the caller must check that
    /// the returned units fit the escrow.
    function _credit(JobRecord storage record, bytes calldata payments) internal returns (uint256 units) {
        uint256 place;
        assembly ("memory-safe") {
            place := payments.offset
        }
        unchecked {
            uint256 end = place + payments.length / PAYMENT * PAYMENT;
            while (place < end) {
                uint256 slot;
                uint256 due;
                uint256 sum;
                (place, slot, due, sum) = _gather(place, end);
                _addCredit(record.credits, slot, due);
                units += sum;
            }
        }
    }

    function _addCredit(uint256[256] storage credits, uint256 slot, uint256 due) private {
        assert(slot < credits.length);
        assembly ("memory-safe") {
            let place := add(credits.slot, slot)
            sstore(place, add(sload(place), due))
        }
    }

    /// The payments from `place` in calldata on whose members share one word: its `slot`, what is `due` to each of its
    /// lanes and in `sum`, and the place of the `next` payment.
    function _gather(uint256 place, uint256 end) private pure returns (uint256 next, uint256 slot, uint256 due, uint256 sum) {
        assembly ("memory-safe") {
            next := place
            let payment := calldataload(next)
            slot := shr(243, payment)
            for {} 1 {} {
                let units := and(shr(208, payment), LANE)
                sum := add(sum, units)
                due := add(due, shl(and(shr(235, payment), 0xe0), units)) // 32 (member & 7)
                next := add(next, PAYMENT)
                if iszero(lt(next, end)) { break }
                payment := calldataload(next)
                if xor(shr(243, payment), slot) { break }
            }
        }
    }
}
