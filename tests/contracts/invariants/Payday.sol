// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Settlement} from "../../../contracts/interfaces/IAppeals.sol";
import {JobParameters} from "../../../contracts/interfaces/IJobBoard.sol";
import {RoundActions} from "./RoundActions.sol";

/// Finalises a round and holds the contract to docs/protocol.md's paragraph on money, worked out here anew.
abstract contract Payday is RoundActions {
    mapping(uint256 job => mapping(uint256 round => uint256[])) internal judged; // members, ascending
    mapping(uint256 job => mapping(uint256 round => uint256[])) internal scoresIn;
    mapping(uint256 job => mapping(uint256 round => Settlement)) internal settlementIn; // without the root of the verdicts

    function pay(bytes memory scores, bytes memory shares) internal override {
        uint256 round = seen.round;
        bytes memory data = abi.encodeCall(rounds.finalise, (job, round, reveals, scores, shares));
        (uint256[] memory due, uint256 fee) = _dues(scores, shares);
        uint256[] memory before = _credits();
        address recipient = _feeRecipient();
        uint256 feesBefore = board.feesOf(recipient);
        if (!must(7, "an agreed round cannot be finalised", STRANGER, address(rounds), data)) return;
        if (board.feesOf(recipient) - feesBefore != fee) blame(9, "the fee is another's, or another");
        _checkCredits(before, due);
        _book(round, due, fee, recipient);
        _noteVerdicts(round, scores);
        note("paid");
        mustNot(5, "a round pays twice", STRANGER, address(rounds), data);
    }

    /// Wei by member.
    function _dues(bytes memory scores, bytes memory shares) private view returns (uint256[] memory due, uint256 fee) {
        JobParameters storage its = asked[job];
        uint256 validatorPool = uint256(its.pricePerRound) * its.validatorShareBps / 10_000;
        fee = uint256(its.pricePerRound) * its.coordinatorShareBps / 10_000;
        due = new uint256[](members);
        _addTrainers(due, its.pricePerRound - validatorPool - fee, scores);
        uint256 perSeat = validatorPool / its.committeeSize;
        for (uint256 seat = 0; seat < committee.length; ++seat) {
            due[committee[seat]] += _whole(perSeat * _at(shares, seat) / 10_000);
        }
    }

    function _addTrainers(uint256[] memory due, uint256 pool, bytes memory scores) private view {
        uint256[] memory who = revealedMembers();
        uint256 sum;
        for (uint256 i = 0; i < who.length; ++i) {
            sum += _useful(_at(scores, i));
        }
        uint256 most = pool / asked[job].minTrainers;
        for (uint256 i = 0; i < who.length; ++i) {
            uint256 part = pool * _useful(_at(scores, i)) / sum;
            due[who[i]] += _whole(part < most ? part : most);
        }
    }

    function _useful(uint256 score) private pure returns (uint256) {
        return score < 65534 ? score : 0;
    }

    function _at(bytes memory packed, uint256 i) private pure returns (uint256) {
        return uint256(uint8(packed[2 * i])) << 8 | uint8(packed[2 * i + 1]);
    }

    /// Whole quanta.
    function _whole(uint256 amount) private view returns (uint256) {
        uint256 quantum = books[job].escrowed / 2 ** 31 + 1;
        return amount / quantum * quantum;
    }

    function _credits() private view returns (uint256[] memory credits) {
        credits = new uint256[](members);
        for (uint256 i = 0; i < members; ++i) {
            credits[i] = board.memberOf(job, i).credit;
        }
    }

    function _checkCredits(uint256[] memory before, uint256[] memory due) private {
        uint256[] memory now_ = _credits();
        for (uint256 i = 0; i < members; ++i) {
            if (now_[i] != before[i] + due[i]) blame(5, "somebody is paid another amount than the round's verdict says");
        }
    }

    function _feeRecipient() private view returns (address) {
        uint256 grace = published[books[job].version].feeGrace;
        bool isCoordinators = asked[job].coordinator != address(0) && time() < seen.talliedAt + grace;
        return isCoordinators ? asked[job].coordinator : STRANGER;
    }

    function _book(uint256 round, uint256[] memory due, uint256 fee, address recipient) private {
        Books storage its = books[job];
        uint256 spent = fee;
        for (uint256 i = 0; i < due.length; ++i) {
            spent += due[i];
            its.owed += due[i];
            owedTo[job][providerAt[board.memberOf(job, i).provider] - 1] += due[i];
        }
        its.fees += fee;
        feesOwed[recipient] += fee;
        ++its.finalised;
        if (spent > asked[job].pricePerRound) blame(5, "a round pays more than its price");
        if (round <= its.lastPaid) blame(5, "a round pays twice");
        its.lastPaid = round;
    }

    function _noteVerdicts(uint256 round, bytes memory scores) private {
        judged[job][round] = revealedMembers();
        uint256 others = seen.attested & ~seen.agreeing;
        uint256 word = committeeWord(isAgreed(others) ? others : seen.agreeing);
        settlementIn[job][round] = Settlement(word, uint40(time()), uint16(judged[job][round].length), 0);
        for (uint256 i = 0; 2 * i < scores.length; ++i) {
            scoresIn[job][round].push(_at(scores, i));
        }
    }
}
