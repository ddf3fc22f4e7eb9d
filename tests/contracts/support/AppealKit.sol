// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Case, IAppeals, Settlement, Stage} from "../../../contracts/interfaces/IAppeals.sol";
import {Provider} from "../../../contracts/interfaces/IProviderRegistry.sol";
import {VerdictTree} from "../../../contracts/libraries/VerdictTree.sol";
import {RoundKit} from "./RoundKit.sol";

/// A job with validators enough for two juries, and one function per step of an appeal.
abstract contract AppealKit is RoundKit {
    uint256 internal constant TRAINERS = 4;
    uint256 internal constant EXTRA = 26; // 3 seats, 7 and 15 jurors, and some who are left out
    uint256 internal constant BOND = STAKE;
    address internal constant APPELLANT = address(0xa99e);
    address internal constant OPPONENT = address(0x0990);

    bytes internal scores; // of the round concluded last
    Settlement internal settlement;

    function setUp() public virtual {
        deploy();
        openJob(terms(TRAINERS, 3), TRAINERS, TRAINERS, EXTRA);
        token.transfer(APPELLANT, 10 * BOND);
        token.transfer(OPPONENT, 10 * BOND);
    }

    /// Finalises the round with `scoreOfLast` for the last trainer from every seat.
    function conclude(uint256 round, uint256 scoreOfLast) internal {
        toBallots(round, TRAINERS);
        for (uint256 seat = 0; seat < committee.length; ++seat) {
            ballots[seat][TRAINERS - 1] = scoreOfLast;
        }
        commitBallots(round, range(0, 3));
        revealBallots(round, range(0, 3));
        attest(round, modelOf(round), range(0, 3));
        (scores,) = expectedTally();
        settlement = Settlement(committeeWord(7), uint40(block.timestamp), uint16(TRAINERS), treeRoot(round));
        finalise(round);
    }

    function treeRoot(uint256 round) internal view returns (bytes32) {
        return VerdictTree.rootOf(leaves(round));
    }

    function leaves(uint256 round) internal view returns (bytes32[] memory list) {
        list = new bytes32[](TRAINERS);
        for (uint256 i = 0; i < TRAINERS; ++i) {
            list[i] = VerdictTree.leafOf(i, updateOf(round, i), uint16(uint8(scores[2 * i])) << 8 | uint8(scores[2 * i + 1]));
        }
    }

    /// Proves the last trainer's update INVALID. Returns the slash.
    function slashLast(uint256 round) internal returns (uint256) {
        bytes32[] memory list = leaves(round);
        bytes32[] memory path = new bytes32[](3);
        path[0] = list[2];
        path[1] = VerdictTree.pair(list[0], list[1]);
        path[2] = VerdictTree.settlementOf(settlement.committee, settlement.finalisedAt, settlement.reveals);
        faults.proveInvalid(job, round, 3, updateOf(round, 3), path);
        return registry.slashCount();
    }

    /// The committee of three loses its third to a deadline. Returns the slash and who was absent.
    function absence() internal returns (uint256 slash, uint256 absent) {
        toBallots(1, TRAINERS);
        commitBallots(1, range(0, 2));
        vm.warp(current().endsAt);
        rounds.advance(job);
        revealBallots(1, range(0, 2));
        attest(1, modelOf(1), range(0, 3));
        finalise(1);
        faults.proveAbsent(job, 1, 2);
        return (registry.slashCount(), committee[2]);
    }

    // The way through an appeal

    function asAppellant(address who, uint256 bond) internal {
        vm.startPrank(who);
        token.approve(address(appeals), bond);
    }

    function appealSlash(uint256 slash) internal returns (uint256 appeal) {
        asAppellant(APPELLANT, BOND);
        appeal = appeals.appealSlash(slash, settlement);
        vm.stopPrank();
    }

    function appealModel(uint256 round) internal returns (uint256 appeal) {
        asAppellant(APPELLANT, BOND);
        appeal = appeals.appealModel(job, round, settlement);
        vm.stopPrank();
    }

    function appealAgain(uint256 appeal) internal {
        asAppellant(OPPONENT, 2 * BOND);
        appeals.appealAgain(appeal);
        vm.stopPrank();
    }

    function drawJury(uint256 appeal) internal {
        uint256 seedBlock = appeals.caseOf(appeal).seedBlock;
        vm.roll(seedBlock + 1);
        vm.setBlockhash(seedBlock, keccak256(headerOf(seedBlock)));
        appeals.draw(appeal, headerOf(seedBlock));
    }

    function voteSalt(uint256 seat) internal pure returns (bytes16) {
        return bytes16(keccak256(abi.encode("vote", seat)));
    }

    function voteCommitment(uint256 appeal, uint256 seat, bool overturn) internal view returns (bytes32) {
        uint256 level = appeals.caseOf(appeal).level;
        uint256 member = appeals.juryOf(appeal, level)[seat];
        return keccak256(abi.encode(block.chainid, address(appeals), appeal, level, member, overturn ? 1 : 0, voteSalt(seat)));
    }

    function signVote(uint256 appeal, uint256 level, uint256 member, bytes32 commitment) internal view returns (bytes memory) {
        bytes32 form = keccak256("AppealVote(uint256 appeal,uint256 level,bytes32 commitment)");
        bytes32 message = keccak256(abi.encode(form, appeal, level, commitment));
        return signCompact(key(member), hashTyped(computeDomainSeparator(address(appeals)), message));
    }

    /// Seat i votes to overturn if bit i is set.
    function commitVotes(uint256 appeal, uint256 overturning, uint256 seats) internal {
        uint256 level = appeals.caseOf(appeal).level;
        uint16[] memory jury = appeals.juryOf(appeal, level);
        bytes32[] memory words = new bytes32[](seats);
        bytes[] memory signatures = new bytes[](seats);
        for (uint256 seat = 0; seat < seats; ++seat) {
            words[seat] = voteCommitment(appeal, seat, overturning >> seat & 1 != 0);
            signatures[seat] = signVote(appeal, level, jury[seat], words[seat]);
        }
        appeals.commitVotes(appeal, pack8(range(0, seats)), words, join(signatures));
    }

    function revealVotes(uint256 appeal, uint256 overturning, uint256 seats) internal {
        for (uint256 seat = 0; seat < seats; ++seat) {
            appeals.revealVote(appeal, seat, overturning >> seat & 1 != 0, voteSalt(seat));
        }
    }

    /// Draws the jury and lets all of it vote, this many to overturn.
    function judgeAppeal(uint256 appeal, uint256 toOverturn) internal {
        drawJury(appeal);
        uint256 size = appeals.juryOf(appeal, appeals.caseOf(appeal).level).length;
        commitVotes(appeal, (1 << toOverturn) - 1, size);
        revealVotes(appeal, (1 << toOverturn) - 1, size);
    }

    function waitForClose(uint256 appeal) internal {
        vm.warp(appeals.caseOf(appeal).endsAt);
        appeals.advance(appeal);
    }

    function stageOf(uint256 appeal) internal view returns (uint256) {
        return uint256(appeals.caseOf(appeal).stage);
    }

    // Who has what

    function stakeOf(uint256 member) internal view returns (uint256) {
        Provider memory its = registry.providerOf(owner(member));
        return uint256(its.free) + its.locked + its.unbonding;
    }

    function allStakes() internal view returns (uint256 sum) {
        for (uint256 i = 0; i < members; ++i) {
            sum += stakeOf(i);
        }
    }
}
