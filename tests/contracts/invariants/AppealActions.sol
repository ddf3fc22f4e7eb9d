// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Case, Settlement, Stage} from "../../../contracts/interfaces/IAppeals.sol";
import {Fault} from "../../../contracts/interfaces/IFaults.sol";
import {Slash, VALIDATOR} from "../../../contracts/interfaces/IProviderRegistry.sol";
import {AbuseActions} from "./AbuseActions.sol";

/// Slashes and models are appealed; juries vote, or do not. What a decision does to everybody's stake is worked out anew.
abstract contract AppealActions is AbuseActions {
    address internal constant APPELLANT = address(0xa99e);

    mapping(uint256 job => mapping(uint256 round => bool)) private _isAppealed; // its model

    function appeal(uint256 seed) internal {
        uint256 kind = pick(seed, "appeal", 8);
        uint256 slashes = registry.slashCount();
        if (kind < 3 && slashes != 0) appealSlash(seed, slashes - pick(seed, "slash", slashes) / 6);
        else if (kind < 6) _appealModel(seed);
        else if (kind == 6) takeBonds();
        uint256 count = appeals.appealCount();
        if (count == 0) return;
        uint256 id = count - pick(seed, "case", count) / 2;
        while (appeals.caseOf(id).stage != Stage.Closed && !chance(seed, "pauses", 8)) {
            _moveCase(seed, id);
            seed = uint256(keccak256(abi.encode(seed)));
        }
    }

    function appealSlash(uint256 seed, uint256 id) internal {
        Slash memory held = registry.slashOf(id);
        if (chargeOf[id].job == job && !chance(seed, "no jurors", 4)) _summon();
        Settlement memory its = settlementOf(chargeOf[id].job, chargeOf[id].round);
        if (!_post(abi.encodeCall(appeals.appealSlash, (id, its)))) return;
        note("appeal");
        if (held.settled || time() >= held.settleableAt) blame(2, "a slash is appealed too late");
        if (chargeOf[id].job == 0) blame(2, "an appeal's own slash is appealed");
    }

    function _appealModel(uint256 seed) private {
        if (job == 0 || books[job].lastPaid == 0) return;
        uint256 round = books[job].lastPaid;
        if (!chance(seed, "no jurors", 4)) _summon();
        Settlement memory its = settlementOf(job, round);
        if (chance(seed, "forged", 4)) its.committee ^= 1 << pick(seed, "bit", 256);
        bool due = its.committee == settlementIn[job][round].committee && !_isAppealed[job][round]
            && time() < its.finalisedAt + published[books[job].version].appealWindow;
        bool done = _post(abi.encodeCall(appeals.appealModel, (job, round, its)));
        if (done != due) blame(2, "a model is appealed late, twice or by a forged settlement, or cannot be appealed");
        if (!done) return;
        _isAppealed[job][round] = true;
        note("appeal of a model");
    }

    /// Validators enough for two juries.
    function _summon() private {
        for (uint256 i = PROVIDERS; i < everybody() && !isOver(job); ++i) {
            if (registry.providerOf(owner(i)).free < STAKE) addStake(i, STAKE);
            join(i, VALIDATOR, STAKE);
        }
    }

    function _post(bytes memory data) private returns (bool done) {
        token.transfer(APPELLANT, 4 * PRICE);
        vm.prank(APPELLANT);
        token.approve(address(appeals), type(uint256).max);
        (done,) = attempt(APPELLANT, address(appeals), data);
    }

    // The way of a case

    function _moveCase(uint256 seed, uint256 id) private {
        Case memory its = appeals.caseOf(id);
        bool active = time() < its.endsAt;
        if (its.stage == Stage.Commit && active && !chance(seed, "nobody votes", 10)) return _sealVotes(id, its);
        if (its.stage == Stage.Reveal && active && !chance(seed, "nobody opens", 10)) return _openVotes(id, its);
        if (its.stage == Stage.Decided && active && chance(seed, "again", 3)) {
            if (_post(abi.encodeCall(appeals.appealAgain, (id)))) note("second appeal");
            return;
        }
        advanceCase(id);
    }

    function advanceCase(uint256 id) internal {
        Case memory its = appeals.caseOf(id);
        if (its.stage == Stage.Closed) return;
        if (its.stage == Stage.Drawing && height() <= its.seedBlock + 256) {
            bytes memory header = pass(its.seedBlock);
            return _step(id, abi.encodeCall(appeals.draw, (id, header)));
        }
        if (time() < its.endsAt) vm.warp(its.endsAt);
        _step(id, abi.encodeCall(appeals.advance, (id)));
    }

    /// Most jurors are of one mind, which is another in every case.
    function _overturns(uint256 id, uint256 level, uint256 seat) private pure returns (bool) {
        uint256 mood = uint256(keccak256(abi.encode("case", id)));
        bool most = pick(mood, "mind", 3) != 0;
        return pick(mood ^ (64 * level + seat), "own mind", 5) == 0 ? !most : most;
    }

    function _salt(uint256 id, uint256 seat) private pure returns (bytes16) {
        return bytes16(keccak256(abi.encode("vote", id, seat)));
    }

    function _sealVotes(uint256 id, Case memory its) private {
        uint16[] memory jury = appeals.juryOf(id, its.level);
        uint256[] memory seats = range(0, jury.length);
        bytes32[] memory words = new bytes32[](jury.length);
        bytes[] memory parts = new bytes[](jury.length);
        bytes32 form = keccak256("AppealVote(uint256 appeal,uint256 level,bytes32 commitment)");
        for (uint256 seat = 0; seat < jury.length; ++seat) {
            uint256 vote = _overturns(id, its.level, seat) ? 1 : 0;
            words[seat] = keccak256(abi.encode(block.chainid, address(appeals), id, its.level, jury[seat], vote, _salt(id, seat)));
            uint256 by = keyOf[board.memberOf(its.job, jury[seat]).operator];
            parts[seat] = signAs(by, address(appeals), abi.encode(form, id, its.level, words[seat]));
        }
        bytes memory data = abi.encodeCall(appeals.commitVotes, (id, pack8(seats), words, join(parts)));
        if (must(7, "honest votes are refused", STRANGER, address(appeals), data)) note("votes");
        mustNot(6, "a juror votes twice", STRANGER, address(appeals), data);
    }

    function _openVotes(uint256 id, Case memory its) private {
        uint256[] memory seats = listOf(its.committed & ~its.revealed);
        for (uint256 i = 0; i < seats.length; ++i) {
            bool vote = _overturns(id, its.level, seats[i]);
            bytes32 salt = _salt(id, seats[i]);
            mustNot(6, "a vote is opened as another", STRANGER, address(appeals), abi.encodeCall(appeals.revealVote, (id, seats[i], !vote, bytes16(salt))));
            _step(id, abi.encodeCall(appeals.revealVote, (id, seats[i], vote, bytes16(salt))));
        }
    }

    // What follows

    /// Until a case is closed nothing happens to anybody; then exactly what its decision says.
    function _step(uint256 id, bytes memory data) private {
        uint256[] memory due = _stakesOfAll();
        if (!must(7, "a case cannot be moved on", STRANGER, address(appeals), data)) return;
        Case memory its = appeals.caseOf(id);
        if (its.stage == Stage.Closed && its.overturned) {
            if (its.slash != 0) _expectReturn(its, due);
            else _expectDamages(its, due);
        }
        for (uint256 i = 0; i < everybody(); ++i) {
            if (stakeOf(i) != due[i]) blame(2, "an appeal takes or gives another amount than its decision says");
        }
        if (its.stage == Stage.Closed) note(its.overturned ? its.slash == 0 ? "model overturned" : "slash overturned" : "upheld");
    }

    function _stakesOfAll() private view returns (uint256[] memory stakes) {
        stakes = new uint256[](everybody());
        for (uint256 i = 0; i < stakes.length; ++i) {
            stakes[i] = stakeOf(i);
        }
    }

    function _at(uint256 which, uint256 member) private view returns (uint256) {
        return providerAt[board.memberOf(which, member).provider] - 1;
    }

    /// The slash comes back and, for an update called invalid, an equal part of the trainers' pool from the committee's stakes.
    function _expectReturn(Case memory its, uint256[] memory due) private {
        uint256 culprit = _at(its.job, its.member);
        uint256 amount = registry.slashOf(its.slash).amount;
        due[culprit] += amount;
        accounts[culprit].slashed -= amount;
        if (chargeOf[its.slash].fault != Fault.InvalidUpdate) return;
        uint256 updates = judged[its.job][its.round].length;
        uint256 parts = updates > asked[its.job].minTrainers ? updates : asked[its.job].minTrainers;
        uint256 part = _trainersPool(its.job) / parts / committeeIn[its.job][its.round].length;
        for (uint256 seat = 0; seat < committeeIn[its.job][its.round].length; ++seat) {
            uint256 payer = _at(its.job, committeeIn[its.job][its.round][seat]);
            uint256 moved = part < due[payer] ? part : due[payer];
            due[payer] -= moved;
            accounts[payer].withdrawn += moved;
            due[culprit] += moved;
            accounts[culprit].deposited += moved;
        }
    }

    function _trainersPool(uint256 which) private view returns (uint256) {
        uint256 price = asked[which].pricePerRound;
        return price - price * asked[which].validatorShareBps / 10_000 - price * asked[which].coordinatorShareBps / 10_000;
    }

    /// Whoever attested the model is slashed, and the job is over.
    function _expectDamages(Case memory its, uint256[] memory due) private {
        uint256 bps = published[books[its.job].version].invalidSlashBps;
        uint256 taken;
        for (uint256 seat = 0; seat < committeeIn[its.job][its.round].length; ++seat) {
            if (its.committee >> (240 + seat) & 1 == 0) continue;
            uint256 attester = _at(its.job, committeeIn[its.job][its.round][seat]);
            uint256 amount = lockedFor[its.job][attester] * bps / 10_000;
            if (amount > due[attester]) amount = due[attester];
            due[attester] -= amount;
            accounts[attester].slashed += amount;
            taken += amount;
        }
        if (!isOver(its.job)) blame(7, "a job goes on from a wrong model");
        isStopped[its.job] = true;
        _checkDamages(its, taken);
    }

    /// Of what was taken, the requester gets the price of the rounds that built on the model, and no more.
    function _checkDamages(Case memory its, uint256 taken) private {
        uint256 rounds_ = lastRound[its.job] + 1 - its.round;
        if (rounds_ > books[its.job].finalised) rounds_ = books[its.job].finalised;
        uint256 damage = rounds_ * asked[its.job].pricePerRound;
        uint256 held;
        uint256 toRequester;
        for (uint256 id = registry.slashCount(); id > 0 && chargeOf[id].job == 0 && held < taken; --id) {
            held += registry.slashOf(id).amount;
            toRequester += registry.slashOf(id).bounty;
        }
        if (held != taken || toRequester != (damage < taken ? damage : taken)) blame(2, "the requester gets another amount than the damage");
    }

    // In the end

    function takeBonds() internal {
        for (uint256 i = 0; i < 5 + PROVIDERS; ++i) {
            attempt(STRANGER, address(appeals), abi.encodeCall(appeals.takeOwed, (_winner(i))));
        }
    }

    /// What open cases hold, and what the closed ones owe.
    function bondsDue() internal view returns (uint256 due) {
        for (uint256 id = 1; id <= appeals.appealCount(); ++id) {
            Case memory its = appeals.caseOf(id);
            if (its.stage != Stage.Closed) due += its.second == address(0) ? its.bond : 3 * uint256(its.bond);
        }
        for (uint256 i = 0; i < 5 + PROVIDERS; ++i) {
            due += appeals.owedTo(_winner(i));
        }
    }

    function _winner(uint256 i) private pure returns (address) {
        address[5] memory others = [APPELLANT, TREASURY, address(0x7ea6), STRANGER, requester()];
        return i < 5 ? others[i] : owner(i - 5);
    }

    function closeCases() internal returns (bool) {
        for (uint256 id = 1; id <= appeals.appealCount(); ++id) {
            for (uint256 step = 0; step < 8 && appeals.caseOf(id).stage != Stage.Closed; ++step) {
                advanceCase(id);
            }
            if (appeals.caseOf(id).stage != Stage.Closed) return false;
        }
        return true;
    }
}
