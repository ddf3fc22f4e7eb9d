// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Headers} from "../../contracts/libraries/Headers.sol";
import {IFaults} from "../../contracts/interfaces/IFaults.sol";
import {IJobBoard, Job, JobParameters, JobState} from "../../contracts/interfaces/IJobBoard.sol";
import {IRounds, Phase} from "../../contracts/interfaces/IRounds.sol";
import {RoundKit} from "./support/RoundKit.sol";
import {Vm} from "./support/Test.sol";

/// A round from its opening to its end, through the relay and by everybody alone.
contract RoundsTest is RoundKit {
    uint256 private constant TRAINERS = 7;

    function setUp() public {
        deploy();
        openJob(terms(TRAINERS, 5), TRAINERS, TRAINERS, 0);
    }

    function credits() private view returns (uint256 sum) {
        for (uint256 i = 0; i < members; ++i) {
            sum += board.memberOf(job, i).credit;
        }
    }

    function test_relayed_rounds_end_the_job_and_every_wei_is_somewhere() public {
        uint256 deposited = token.balanceOf(address(board));
        for (uint256 round = 1; round <= 3; ++round) {
            assertEq(current().round, round, "round");
            whole(round, TRAINERS);
            assertEq(ledger.modelOf(job, round), modelOf(round), "model");
        }
        Job memory its = board.jobOf(job);
        assertEq(uint256(its.state), uint256(JobState.Completed), "state");
        assertEq(phase(), uint256(Phase.None), "phase");
        assertEq(its.escrow + credits() + board.feesOf(COORDINATOR), deposited, "held");
        assertEq(board.feesOf(COORDINATOR), 3 * PRICE / 20, "fees");
        payEverybodyOut(deposited);
    }

    function payEverybodyOut(uint256 deposited) private {
        uint256 paid = board.refund(job) + board.claimFees(COORDINATOR);
        uint256[] memory jobs = only(job);
        for (uint256 i = 0; i < members; ++i) {
            paid += board.claim(owner(i), jobs);
        }
        assertEq(paid, deposited, "paid");
        assertEq(token.balanceOf(address(board)), 0, "left");
    }

    function test_pay_follows_the_scores() public {
        toAttest(1, TRAINERS);
        attest(1, modelOf(1), range(0, 5));
        uint256 escrow = board.jobOf(job).escrow;
        uint256 quantum = board.jobOf(job).quantum;
        (bytes memory scores, bytes memory shares) = expectedTally();
        finalise(1);
        uint256 pool = PRICE - PRICE * 20 / 100 - PRICE * 5 / 100;
        uint256[] memory units = new uint256[](TRAINERS);
        uint256 sum;
        for (uint256 i = 0; i < TRAINERS; ++i) {
            sum += word16(scores, i);
        }
        for (uint256 i = 0; i < TRAINERS; ++i) {
            units[i] = pool * word16(scores, i) / sum / quantum;
        }
        for (uint256 seat = 0; seat < 5; ++seat) {
            units[committee[seat]] += PRICE / 5 / 5 * word16(shares, seat) / 10_000 / quantum;
        }
        uint256 spent = PRICE / 20;
        for (uint256 i = 0; i < TRAINERS; ++i) {
            assertEq(board.memberOf(job, i).credit, units[i] * quantum, "credit");
            spent += units[i] * quantum;
        }
        assertEq(escrow - board.jobOf(job).escrow, spent, "spent");
    }

    function word16(bytes memory packed, uint256 index) private pure returns (uint256) {
        return uint256(uint8(packed[2 * index])) << 8 | uint8(packed[2 * index + 1]);
    }

    /// The others get nothing for their updates, and are left out of the list if they held no seat.
    function test_a_lone_good_trainer_is_capped() public {
        toBallots(1, TRAINERS);
        uint256 good = TRAINERS - 1;
        for (uint256 seat = 0; seat < 5; ++seat) {
            for (uint256 i = 0; i < TRAINERS; ++i) {
                ballots[seat][i] = i == good ? 900 : 0;
            }
        }
        commitBallots(1, range(0, 5));
        revealBallots(1, range(0, 5));
        attest(1, modelOf(1), range(0, 5));
        vm.recordLogs();
        finalise(1);
        assertEq(paidIn(vm.getRecordedLogs()), creditedMembers(), "paid");
        uint256 quantum = board.jobOf(job).quantum;
        uint256 cap = (PRICE * 75 / 100 / 2) / quantum * quantum;
        uint256 asSeat;
        for (uint256 seat = 0; seat < 5; ++seat) {
            if (committee[seat] == good) asSeat = (PRICE / 25) / quantum * quantum;
        }
        assertEq(board.memberOf(job, good).credit, cap + asSeat, "capped");
    }

    /// Entries in the list of payments that the round was settled with.
    function paidIn(Vm.Log[] memory logs) private pure returns (uint256) {
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IJobBoard.RoundSettled.selector) continue;
            (bytes memory payments,,,) = abi.decode(logs[i].data, (bytes, address, uint256, uint256));
            return payments.length / 6;
        }
        return 0;
    }

    function creditedMembers() private view returns (uint256 count) {
        for (uint256 i = 0; i < members; ++i) {
            if (board.memberOf(job, i).credit != 0) ++count;
        }
    }

    function test_everybody_alone() public {
        for (uint256 i = TRAINERS; i > 0; --i) {
            commit(1, only(i - 1));
        }
        seed();
        for (uint256 batch = 0; batch < TRAINERS; ++batch) {
            reveal(1, batch, only(TRAINERS - 1 - batch), 1);
        }
        judge();
        for (uint256 seat = 0; seat < 5; ++seat) {
            commitBallots(1, only(seat));
        }
        for (uint256 seat = 0; seat < 4; ++seat) {
            revealBallots(1, only(4 - seat));
        }
        assertEq(phase(), uint256(Phase.BallotReveal), "not all are in");
        revealBallots(1, range(0, 5));
        for (uint256 seat = 0; seat < 5; ++seat) {
            attest(1, modelOf(1), only(seat));
        }
        assertEq(current().agreedModel, modelOf(1), "agreed");
        finalise(1);
        assertEq(current().round, 2, "next");
        assertEq(current().parentModel, modelOf(1), "parent");
        whole(2, TRAINERS);
    }

    function test_a_verdict_is_proven_from_the_root() public {
        toAttest(1, TRAINERS);
        attest(1, modelOf(1), range(0, 5));
        (bytes memory scores,) = expectedTally();
        finalise(1);
        bytes32[] memory leaves = new bytes32[](8);
        for (uint256 i = 0; i < TRAINERS; ++i) {
            leaves[i] = keccak256(abi.encodePacked(uint16(i), updateOf(1, i), uint16(word16(scores, i))));
        }
        bytes32[] memory proof = new bytes32[](3); // of the last of seven: it moves up once
        proof[0] = node(leaves[4], leaves[5]);
        proof[1] = node(node(leaves[0], leaves[1]), node(leaves[2], leaves[3]));
        proof[2] = settlementLeaf(31, TRAINERS);
        uint16 score = uint16(word16(scores, 6));
        assertTrue(ledger.isVerdict(job, 1, 6, updateOf(1, 6), score, proof), "proven");
        assertTrue(ledger.isVerifiedUpdate(job, 1, updateOf(1, 6), abi.encode(uint16(6), score, proof)), "verified");
        assertFalse(ledger.isVerdict(job, 1, 6, updateOf(1, 6), score + 1, proof), "another score");
    }

    function node(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encodePacked(a, b)) : keccak256(abi.encodePacked(b, a));
    }

    function test_several_messages_go_in_one_transaction() public {
        toAttest(1, TRAINERS);
        (bytes memory scores, bytes memory shares) = expectedTally();
        bytes[] memory signatures = new bytes[](5);
        for (uint256 seat = 0; seat < 5; ++seat) {
            signatures[seat] = signModel(seat, 1, modelOf(1));
        }
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(IRounds.attest, (job, 1, modelOf(1), pack8(range(0, 5)), join(signatures)));
        calls[1] = abi.encodeCall(IRounds.finalise, (job, 1, reveals, scores, shares));
        rounds.multicall(calls);
        assertEq(current().round, 2, "next round");
    }

    // Idle trainers

    function test_an_idle_trainer_is_not_waited_for_twice() public {
        commit(1, range(0, 5));
        assertEq(current().expected, TRAINERS, "all expected");
        vm.warp(block.timestamp + WINDOW);
        rounds.advance(job);
        seed();
        reveal(1, 0, range(0, 5), all(5));
        judge();
        commitBallots(1, range(0, 5));
        revealBallots(1, range(0, 5));
        attest(1, modelOf(1), range(0, 5));
        finalise(1);
        assertEq(current().expected, 5, "two are idle");
        commit(2, only(6));
        assertEq(current().expected, 6, "one is back");
        commit(2, range(0, 4));
        assertEq(phase(), uint256(Phase.Commit), "the fifth is waited for");
        commit(2, only(4));
        assertEq(phase(), uint256(Phase.Reveal), "the idle one is not");
    }

    function test_commit_closes_when_the_last_one_expected_leaves() public {
        commit(1, range(0, 6));
        refuse(abi.encodeWithSelector(IRounds.NothingToAdvance.selector, job, Phase.Commit, current().endsAt));
        arm();
        rounds.advance(job);
        quit(6);
        rounds.advance(job);
        assertEq(phase(), uint256(Phase.Reveal), "nobody is missing");
    }

    // The draw

    function test_members_stay_between_commit_and_draw() public {
        assertFalse(rounds.isDrawPending(job), "in commit");
        commit(1, range(0, TRAINERS));
        assertTrue(rounds.isDrawPending(job), "after commit");
        refuse(abi.encodeWithSignature("DrawPending(uint256)", job));
        quit(0);
        seed();
        draw();
        assertFalse(rounds.isDrawPending(job), "after the draw");
        assertTrue(rounds.isEngaged(job, 0), "committed");
    }

    function test_the_seed_waits_for_its_block_and_is_armed_again_when_lost() public {
        commit(1, range(0, TRAINERS));
        uint64 first = current().seedBlock;
        assertEq(first, block.number + 4, "four blocks ahead");
        vm.expectRevert(abi.encodeWithSelector(IRounds.SeedPending.selector, first, block.number));
        rounds.advance(job);
        vm.expectRevert(abi.encodeWithSelector(IRounds.SeedPending.selector, first, block.number));
        rounds.draw(job, headerOf(first));
        vm.roll(first + 257);
        vm.expectRevert(abi.encodeWithSelector(Headers.HeaderWrong.selector, keccak256(headerOf(first)), bytes32(0)));
        rounds.draw(job, headerOf(first));
        rounds.advance(job);
        assertEq(current().seedBlock, first + 261, "armed again");
        assertEq(current().committee.length, 0, "not drawn");
        seed();
        vm.expectRevert(abi.encodeWithSelector(IRounds.DrawDue.selector, first + 261));
        rounds.advance(job);
        draw();
        assertEq(current().committee.length, 5, "drawn");
        vm.expectRevert(abi.encodeWithSelector(IRounds.AlreadyDrawn.selector, job, 1));
        rounds.draw(job, headerOf(first + 261));
    }

    function test_only_the_seed_blocks_own_header_draws() public {
        vm.expectRevert(abi.encodeWithSelector(IRounds.PhaseWrong.selector, job, Phase.Commit, Phase.Reveal));
        rounds.draw(job, "");
        toReveal(1, TRAINERS);
        uint256 number = current().seedBlock;
        bytes memory header = headerOf(number);
        bytes32 hash = keccak256(header);
        vm.expectRevert(abi.encodeWithSelector(Headers.HeaderWrong.selector, keccak256(headerOf(number - 1)), hash));
        rounds.draw(job, headerOf(number - 1));
        header[header.length - 10] ^= 0x01; // its randao
        vm.expectRevert(abi.encodeWithSelector(Headers.HeaderWrong.selector, keccak256(header), hash));
        rounds.draw(job, header);
        vm.expectRevert(abi.encodeWithSelector(Headers.HeaderWrong.selector, keccak256(""), hash));
        rounds.draw(job, "");
        // A chain whose blocks carry no randao there.
        bytes memory other = hex"ce8080808080808080808080808005";
        vm.setBlockhash(number, keccak256(other));
        vm.expectRevert(abi.encodeWithSelector(Headers.HeaderUnknown.selector, number));
        rounds.draw(job, other);
    }

    function test_the_committee_follows_from_the_seed() public {
        toReveal(1, TRAINERS);
        bytes32 drawnFrom = keccak256(abi.encode(randaoOf(current().seedBlock), address(rounds), job, uint256(1)));
        uint16[] memory expected = board.drawCommittee(job, 5, drawnFrom);
        draw();
        uint16[] memory drawn = current().committee;
        assertEq(keccak256(abi.encode(drawn)), keccak256(abi.encode(expected)), "members");
        (uint16[] memory missed,) = rounds.absencesOf(job, 1);
        assertEq(missed.length, 0, "nothing missed");
    }

    // Splitting

    function testFuzz_batches_split_anywhere_give_the_same_round(uint8 cut, uint256 openings_, bool swap) public {
        uint256 split = bound(cut, 1, TRAINERS - 1);
        (uint256[] memory a, uint256[] memory b) = (range(0, split), range(split, TRAINERS));
        commit(1, swap ? b : a);
        commit(1, swap ? a : b);
        seed();
        revealInTwo(0, swap ? b : a, openings_);
        revealInTwo(1, swap ? a : b, openings_ >> 8);
        assertEq(phase(), uint256(Phase.BallotCommit), "all open");
        judge();
        commitBallots(1, range(0, 2));
        commitBallots(1, range(2, 5));
        revealBallots(1, range(3, 5));
        revealBallots(1, range(0, 5));
        attest(1, modelOf(1), range(0, 3));
        attest(1, modelOf(1), range(3, 5));
        finalise(1);
        assertEq(current().round, 2, "next");
    }

    function revealInTwo(uint256 batch, uint256[] memory who, uint256 openings_) private {
        uint256 first = openings_ & all(who.length);
        uint256 rest = all(who.length) & ~first;
        if (first != 0) reveal(1, batch, who, first);
        if (rest != 0) reveal(1, batch, who, rest);
    }

    // The fee

    function test_the_fee_is_the_coordinators_for_a_while() public {
        toAttest(1, TRAINERS);
        attest(1, modelOf(1), range(0, 5));
        vm.warp(block.timestamp + 59);
        finalise(1);
        assertEq(board.feesOf(COORDINATOR), PRICE / 20, "coordinator");
        toAttest(2, TRAINERS);
        attest(2, modelOf(2), range(0, 5));
        vm.warp(block.timestamp + 60);
        finalise(2);
        assertEq(board.feesOf(address(this)), PRICE / 20, "whoever");
    }

    // Cancelled

    function test_without_a_coordinator_the_fee_is_whoevers_finalises() public {
        JobParameters memory wanted = terms(TRAINERS, 5);
        wanted.coordinator = address(0);
        wanted.recruitUntil = uint64(block.timestamp + 10);
        openJob(wanted, TRAINERS, TRAINERS, 0);
        whole(1, TRAINERS);
        assertEq(board.feesOf(address(this)), PRICE / 20, "fee");
    }

    function test_a_cancelled_jobs_round_still_finishes() public {
        commit(1, range(0, TRAINERS));
        vm.startPrank(REQUESTER);
        board.cancel(job);
        vm.stopPrank();
        seed();
        reveal(1, 0, range(0, TRAINERS), all(TRAINERS));
        judge();
        commitBallots(1, range(0, 5));
        revealBallots(1, range(0, 5));
        attest(1, modelOf(1), range(0, 5));
        finalise(1);
        assertEq(uint256(board.jobOf(job).state), uint256(JobState.Cancelled), "state");
        assertTrue(credits() > 0, "paid");
        vm.expectRevert(abi.encodeWithSelector(IRounds.JobNotReady.selector, job));
        rounds.advance(job);
    }

    // Another chain

    function test_after_a_fork_signatures_of_the_old_chain_are_refused() public {
        (bytes32[] memory words, bytes memory signatures) = commitments(1, only(0));
        vm.chainId(77);
        vm.expectRevert();
        rounds.commitUpdates(job, 1, pack16(only(0)), words, signatures);
        commit(1, only(0));
        assertEq(current().commits, 1, "signed for this chain");
    }
}

/// 300 trainers: more than one word and one batch: the last word is not full.
contract ManyTrainersTest is RoundKit {
    uint256 private constant TRAINERS = 300;

    function setUp() public {
        deploy();
        JobParameters memory wanted = terms(TRAINERS, 3);
        wanted.rounds = 4;
        openJob(wanted, TRAINERS, 20, 0);
    }

    function roundWith(uint256 round) private {
        commit(round, range(0, 10));
        commit(round, range(10, 266));
        commit(round, range(266, TRAINERS));
        seed();
        reveal(round, 2, range(266, TRAINERS), all(TRAINERS - 266));
        reveal(round, 1, range(10, 266), all(256));
        reveal(round, 0, range(0, 10), all(10));
        assertEq(current().reveals, TRAINERS, "reveals");
        judge();
        commitBallots(round, range(0, 3));
        revealBallots(round, range(0, 3));
        attest(round, modelOf(round), range(0, 3));
        finalise(round);
        assertEq(current().round, round + 1, "next");
    }

    function test_bitmap_words_of_the_last_round_do_not_count() public {
        roundWith(1);
        assertEq(current().committedBitmap.length, 0, "fresh");
        commit(2, range(290, TRAINERS));
        assertEq(current().committedBitmap[0], 0, "first word");
        assertFalse(rounds.isEngaged(job, 5), "old bit");
        assertTrue(rounds.isEngaged(job, 295), "new bit");
        vm.warp(block.timestamp + WINDOW);
        rounds.advance(job);
        seed();
        reveal(2, 0, range(290, TRAINERS), all(10));
        judge();
        commitBallots(2, range(0, 3));
        revealBallots(2, range(0, 3));
        attest(2, modelOf(2), range(0, 3));
        finalise(2);
        roundWith(3);
    }

    function test_words_in_which_nothing_happens() public {
        commit(1, range(0, 10));
        commit(1, range(10, 266));
        commit(1, range(266, TRAINERS));
        seed();
        reveal(1, 0, range(0, 10), all(10));
        reveal(1, 1, range(10, 266), all(10) << 246); // only the second word's
        reveal(1, 1, range(10, 266), all(246));
        vm.warp(current().endsAt);
        rounds.advance(job);
        assertEq(phase(), uint256(Phase.BallotCommit), "on");
        faults.proveUnrevealed(job, 1, TRAINERS - 1);
        vm.expectPartialRevert(IFaults.FaultNotProven.selector);
        faults.proveUnrevealed(job, 1, 255);
    }

    function test_a_batch_has_256_members_at_most() public {
        (bytes32[] memory words, bytes memory signatures) = commitments(1, range(0, 257));
        vm.expectRevert(abi.encodeWithSelector(IRounds.BatchTooLarge.selector, 257, 256));
        rounds.commitUpdates(job, 1, pack16(range(0, 257)), words, signatures);
    }
}
