// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Settlement} from "../../../contracts/interfaces/IAppeals.sol";
import {Fault, Slot} from "../../../contracts/interfaces/IFaults.sol";
import {ProtocolParameters} from "../../../contracts/interfaces/IParameters.sol";
import {Provider, Slash} from "../../../contracts/interfaces/IProviderRegistry.sol";
import {Payday} from "./Payday.sol";

/// True and false accusations. Who is guilty, and of what, is known from what was seen, not from the contracts' records.
abstract contract FaultActions is Payday {
    struct Charge {
        uint256 job;
        uint256 round;
        uint256 member;
        Fault fault;
        uint256 bps;
        bool guilty;
        bytes data;
    }

    mapping(uint256 slash => Charge) internal chargeOf;
    mapping(bytes32 => bool) private _proven;

    function accuse(uint256 seed) internal {
        if (job == 0) return;
        uint256 which = chance(seed, "earlier", 3) ? 1 + pick(seed, "job", job) : job;
        uint256 round = pick(seed, "round", lastRound[which] + 2);
        uint256 kind = pick(seed, "kind", 9);
        if (kind < 3) _unrevealed(seed, which, round);
        else if (kind < 6) _absent(seed, which, round);
        else if (kind < 8) _verdict(seed, which, round);
        else _equivocation(seed, which, round);
    }

    function _unrevealed(uint256 seed, uint256 which, uint256 round) private {
        uint256 bits = unrevealedIn[which][round];
        uint256 member = bits != 0 && !chance(seed, "false", 4) ? listOf(bits)[0] : pick(seed, "member", PROVIDERS);
        bytes memory data = abi.encodeCall(faults.proveUnrevealed, (which, round, member));
        _try(seed, Charge(which, round, member, Fault.Unrevealed, _rules(which).unrevealedSlashBps, bits >> member & 1 != 0, data));
    }

    function _absent(uint256 seed, uint256 which, uint256 round) private {
        uint256 bits = absentIn[which][round];
        uint256 seat = bits != 0 && !chance(seed, "false", 4) ? listOf(bits)[0] : pick(seed, "seat", 5);
        if (seat >= committeeIn[which][round].length) return;
        uint256 member = committeeIn[which][round][seat];
        bytes memory data = abi.encodeCall(faults.proveAbsent, (which, round, seat));
        _try(seed, Charge(which, round, member, Fault.Absent, _rules(which).absentSlashBps, bits >> seat & 1 != 0, data));
    }

    function _verdict(uint256 seed, uint256 which, uint256 round) private {
        uint256 updates = judged[which][round].length;
        if (updates == 0) return;
        uint256 i = pick(seed, "update", updates);
        for (uint256 k = 0; k < updates && !chance(seed, "any", 4); ++k) {
            if (scoresIn[which][round][k] == 65535) i = k;
        }
        uint256 score = scoresIn[which][round][i];
        uint256 member = judged[which][round][i];
        bytes32[] memory proof = _proof(which, round, i);
        if (score < 65534) _dutyDone(which, round, member, score, proof);
        bytes memory data = abi.encodeCall(faults.proveInvalid, (which, round, uint16(member), updateOf(round, member), proof));
        _try(seed, Charge(which, round, member, Fault.InvalidUpdate, _rules(which).invalidSlashBps, score == 65535, data));
        data = abi.encodeCall(faults.proveUnavailable, (which, round, uint16(member), updateOf(round, member), proof));
        _try(seed, Charge(which, round, member, Fault.UnavailableUpdate, 0, score == 65534, data));
    }

    function _dutyDone(uint256 which, uint256 round, uint256 member, uint256 score, bytes32[] memory proof) private {
        bytes memory data =
            abi.encodeCall(faults.proveDutyDone, (which, round, uint16(member), updateOf(round, member), uint16(score), proof));
        attempt(STRANGER, address(faults), data);
    }

    function _equivocation(uint256 seed, uint256 which, uint256 round) private {
        uint256 i = pick(seed, "provider", PROVIDERS);
        if (lockedFor[which][i] == 0) return;
        uint256 by = keyOf[registry.providerOf(owner(i)).operator];
        bytes32 form = keccak256("ModelAttestation(uint256 job,uint256 round,bytes32 modelDigest)");
        bytes memory first = signAs(by, address(rounds), abi.encode(form, which, round, bytes32(uint256(1))));
        bytes memory second = signAs(by, address(rounds), abi.encode(form, which, round, bytes32(uint256(2))));
        bytes memory data = abi.encodeCall(
            faults.proveEquivocation, (which, round, Slot.ModelAttestation, bytes32(uint256(1)), first, bytes32(uint256(2)), second)
        );
        uint256 member = board.memberIndexOf(which, owner(i));
        bool guilty = round != 0 && round <= lastRound[which];
        _try(seed, Charge(which, round, member, Fault.Equivocation, _rules(which).equivocationSlashBps, guilty, data));
    }

    function _names() private pure returns (string[5] memory) {
        return ["unrevealed", "invalid", "unavailable", "absent", "equivocation"];
    }

    /// Exactly what is due is taken, from the culprit and nobody else, once.
    function _try(uint256 seed, Charge memory charge) private {
        bytes32 id = keccak256(abi.encode(charge.job, charge.round, charge.member, charge.fault));
        if (charge.guilty && chance(seed, "flees", 2)) flee(_provider(charge));
        Provider[] memory before = _stakes();
        uint256 slashes = registry.slashCount();
        address prover = chance(seed, "prover", 2) ? STRANGER : owner(pick(seed, "who proves", PROVIDERS));
        (bool done,) = attempt(prover, address(faults), charge.data);
        bool due = charge.guilty && !_proven[id];
        if (done && !due) blame(2, "slashed without a fault, or twice for one");
        if (!done && due) blame(2, "a fault cannot be proven");
        if (!done) return;
        _proven[id] = true;
        note(_names()[uint256(charge.fault)]);
        uint256 culprit = _provider(charge);
        uint256 amount = lockedFor[charge.job][culprit] * charge.bps / 10_000;
        accounts[culprit].slashed += _checkStakes(charge.job, before, culprit, amount);
        mustNot(2, "a fault is punished twice", prover, address(faults), charge.data);
        if (registry.slashCount() == slashes) return;
        _checkSlash(charge, registry.slashOf(registry.slashCount()), prover);
        charge.data = "";
        chargeOf[slashes + 1] = charge;
    }

    function _provider(Charge memory charge) private view returns (uint256) {
        return providerAt[board.memberOf(charge.job, charge.member).provider] - 1;
    }

    /// Free stake goes first, then what is unbonding, then what is locked. Returns what had to go in all.
    function _checkStakes(uint256 which, Provider[] memory before, uint256 culprit, uint256 amount) private returns (uint256 taken) {
        for (uint256 i = 0; i < everybody(); ++i) {
            Provider memory now_ = registry.providerOf(owner(i));
            Provider memory was = before[i];
            if (i == culprit) taken = _take(was, amount);
            bool asDue = now_.free == was.free && now_.unbonding == was.unbonding && now_.locked == was.locked;
            if (!asDue) blame(i == culprit ? _invariantOf(which) : 2, "a slash takes more, less or elsewhere than is due");
        }
    }

    function _take(Provider memory its, uint256 amount) private pure returns (uint256 taken) {
        uint128[3] memory parts = [its.free, its.unbonding, its.locked];
        for (uint256 i = 0; i < 3; ++i) {
            uint256 part = amount - taken < parts[i] ? amount - taken : parts[i];
            parts[i] -= uint128(part);
            taken += part;
        }
        (its.free, its.unbonding, its.locked) = (parts[0], parts[1], parts[2]);
    }

    function _checkSlash(Charge memory charge, Slash memory held, address prover) private {
        ProtocolParameters memory its = _rules(charge.job);
        bool earns = charge.fault != Fault.InvalidUpdate;
        uint256 most = uint256(held.amount) * its.bountyBps / 10_000;
        if (most > its.bountyCap) most = its.bountyCap;
        if (held.bounty != (earns ? most : 0)) blame(_invariantOf(charge.job), "another bounty than is due");
        if (earns && held.prover != prover) blame(2, "the bounty is another's");
        if (held.treasury != its.treasury) blame(9, "another treasury than the job's");
        if (held.settleableAt != time() + its.appealWindow) blame(9, "another appeal window than the job's");
    }

    /// A wrong amount after the rules have changed is the change's fault.
    function _invariantOf(uint256 which) private view returns (uint256) {
        return books[which].version == parameters.currentVersion() ? 2 : 9;
    }

    function _rules(uint256 which) private view returns (ProtocolParameters memory) {
        return published[books[which].version];
    }

    function _stakes() private view returns (Provider[] memory stakes) {
        stakes = new Provider[](everybody());
        for (uint256 i = 0; i < everybody(); ++i) {
            stakes[i] = registry.providerOf(owner(i));
        }
    }

    // The verdict tree: sorted pairs from the left, an odd last node moves up; at the top, the settlement.

    function _proof(uint256 which, uint256 round, uint256 place) private view returns (bytes32[] memory proof) {
        bytes32[] memory row = _leaves(which, round);
        proof = new bytes32[](8);
        uint256 length;
        for (; row.length > 1; place /= 2) {
            if (place ^ 1 < row.length) proof[length++] = row[place ^ 1];
            row = _parents(row);
        }
        Settlement memory its = settlementIn[which][round];
        proof[length++] = keccak256(abi.encodePacked(its.committee, its.finalisedAt, its.reveals));
        assembly ("memory-safe") {
            mstore(proof, length)
        }
    }

    /// As `Appeals` takes it.
    function settlementOf(uint256 which, uint256 round) internal view returns (Settlement memory its) {
        its = settlementIn[which][round];
        bytes32[] memory row = _leaves(which, round);
        while (row.length > 1) row = _parents(row);
        if (row.length == 1) its.treeRoot = row[0];
    }

    function _leaves(uint256 which, uint256 round) private view returns (bytes32[] memory row) {
        row = new bytes32[](judged[which][round].length);
        for (uint256 i = 0; i < row.length; ++i) {
            uint256 member = judged[which][round][i];
            row[i] = keccak256(abi.encodePacked(uint16(member), updateOf(round, member), uint16(scoresIn[which][round][i])));
        }
    }

    function _parents(bytes32[] memory row) private pure returns (bytes32[] memory above) {
        above = new bytes32[]((row.length + 1) / 2);
        for (uint256 i = 0; i < above.length; ++i) {
            (bytes32 a, bytes32 b) = (row[2 * i], 2 * i + 1 < row.length ? row[2 * i + 1] : bytes32(0));
            above[i] = b == 0 ? a : a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
        }
    }
}
