// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IRounds, Phase} from "../../contracts/interfaces/IRounds.sol";
import {RoundKit} from "./support/RoundKit.sol";

/// Everything a stranger may send that must not count, and the last second in which each message still does.
contract RoundRefusalsTest is RoundKit {
    uint256 private constant TRAINERS = 6;

    function setUp() public {
        deploy();
        openJob(terms(TRAINERS, 5), TRAINERS, TRAINERS - 1, 1); // member 6 only judges, member 5 only trains
    }

    function late() private returns (bytes memory) {
        uint64 endsAt = current().endsAt;
        vm.warp(endsAt);
        return abi.encodeWithSelector(IRounds.PhaseOver.selector, job, endsAt, endsAt);
    }

    function lastSecond() private {
        vm.warp(current().endsAt - 1);
    }

    function wrongPhase(Phase now_, Phase wanted) private view returns (bytes memory) {
        return abi.encodeWithSelector(IRounds.PhaseWrong.selector, job, now_, wanted);
    }

    function nothing() private view returns (bytes memory) {
        return abi.encodeWithSelector(IRounds.NothingToAdvance.selector, job, current().phase, current().endsAt);
    }

    function refuseAdvance(bytes memory reason) private {
        refuse(reason);
        arm();
        rounds.advance(job);
    }

    // Deadlines, to the second

    function test_commit_deadline() public {
        lastSecond();
        commit(1, range(0, 2));
        refuseAdvance(nothing());
        refuse(late());
        commit(1, only(3));
        rounds.advance(job);
        assertEq(phase(), uint256(Phase.Reveal), "closed");
        refuse(wrongPhase(Phase.Reveal, Phase.Commit));
        commit(1, only(3));
    }

    function test_reveal_deadline() public {
        toReveal(1, TRAINERS);
        lastSecond();
        reveal(1, 0, range(0, TRAINERS), 3);
        refuseAdvance(nothing());
        refuse(late());
        reveal(1, 0, range(0, TRAINERS), 4);
        rounds.advance(job);
        assertEq(phase(), uint256(Phase.BallotCommit), "closed");
        refuse(wrongPhase(Phase.BallotCommit, Phase.Reveal));
        reveal(1, 0, range(0, TRAINERS), 4);
    }

    function test_ballot_commit_deadline() public {
        toBallots(1, TRAINERS);
        lastSecond();
        commitBallots(1, range(0, 3));
        refuseAdvance(nothing());
        refuse(late());
        commitBallots(1, only(3));
        rounds.advance(job);
        assertEq(phase(), uint256(Phase.BallotReveal), "closed");
        refuse(wrongPhase(Phase.BallotReveal, Phase.BallotCommit));
        commitBallots(1, only(3));
    }

    function test_ballot_reveal_deadline() public {
        toBallotReveal(1, TRAINERS);
        lastSecond();
        revealBallots(1, range(0, 3));
        refuseAdvance(nothing());
        bytes memory reason = late();
        refuse(reason);
        revealBallots(1, range(0, 4)); // the fourth opens too late
        refuse(reason);
        revealBallots(1, range(0, 2)); // not all that count
        refuseAdvance(nothing());
        revealBallots(1, range(0, 3));
        assertEq(phase(), uint256(Phase.Attest), "tallied without the late");
        refuse(wrongPhase(Phase.Attest, Phase.BallotReveal));
        revealBallots(1, range(0, 3));
    }

    function test_attest_deadline() public {
        toAttest(1, TRAINERS);
        lastSecond();
        attest(1, modelOf(1), range(0, 4));
        refuse(late());
        attest(1, modelOf(1), only(4));
        refuseAdvance(nothing()); // the model is agreed: it is finalised, however late
        finalise(1);
        assertEq(current().round, 2, "next");
    }

    // Commitments

    function test_commit_lengths() public {
        (bytes32[] memory words, bytes memory signatures) = commitments(1, range(0, 2));
        bytes memory both = pack16(range(0, 2));
        vm.expectRevert(IRounds.BatchEmpty.selector);
        rounds.commitUpdates(job, 1, "", new bytes32[](0), "");
        vm.expectRevert(abi.encodeWithSelector(IRounds.LengthsDiffer.selector, 3, 4));
        rounds.commitUpdates(job, 1, hex"000000", words, signatures);
        vm.expectRevert(abi.encodeWithSelector(IRounds.LengthsDiffer.selector, 129, 128));
        rounds.commitUpdates(job, 1, both, words, bytes.concat(signatures, hex"00"));
    }

    function test_commit_wrong_round() public {
        refuse(abi.encodeWithSelector(IRounds.RoundWrong.selector, job, 2, 1));
        commit(2, only(0));
        refuse(abi.encodeWithSelector(IRounds.RoundWrong.selector, job, 0, 1));
        commit(0, only(0));
        uint256 mine = job;
        job = 99;
        refuse(abi.encodeWithSelector(IRounds.RoundWrong.selector, 99, 1, 0));
        commit(1, only(0));
        job = mine;
    }

    function test_commit_forged() public {
        bytes32[] memory words = new bytes32[](1);
        words[0] = commitmentOf(1, 0);
        bytes memory signature = signUpdate(1, 1, words[0]);
        vm.expectRevert(abi.encodeWithSelector(IRounds.MemberSignatureWrong.selector, 0, vm.addr(key(1))));
        rounds.commitUpdates(job, 1, pack16(only(0)), words, signature);
        vm.expectRevert(abi.encodeWithSelector(IRounds.MemberSignatureWrong.selector, 0, address(0)));
        rounds.commitUpdates(job, 1, pack16(only(0)), words, new bytes(64));
    }

    function test_commit_replayed_from_another_round_or_slot() public {
        (bytes32[] memory words, bytes memory signatures) = commitments(1, only(0));
        whole(1, TRAINERS);
        vm.expectRevert(); // recovers somebody unknown
        rounds.commitUpdates(job, 2, pack16(only(0)), words, signatures);
        bytes memory other = sign(0, "BallotCommitment(uint256 job,uint256 round,bytes32 commitment)", 2, words[0]);
        vm.expectRevert();
        rounds.commitUpdates(job, 2, pack16(only(0)), words, other);
    }

    function test_commit_by_whom() public {
        commit(1, range(1, 3));
        refuse(abi.encodeWithSelector(IRounds.AlreadyCommitted.selector, 2));
        commit(1, range(2, 4));
        refuse(abi.encodeWithSelector(IRounds.NotTrainer.selector, 6));
        commit(1, only(6));
        refuse(abi.encodeWithSelector(IRounds.NotTrainer.selector, 7));
        commit(1, only(7));
        refuse(abi.encodeWithSelector(IRounds.NotTrainer.selector, 65535));
        commit(1, only(65535));
        refuse(abi.encodeWithSelector(IRounds.MembersUnsorted.selector, 5, 4));
        commit(1, both(5, 4));
        refuse(abi.encodeWithSelector(IRounds.MembersUnsorted.selector, 4, 4));
        commit(1, both(4, 4));
        quit(5);
        refuse(abi.encodeWithSelector(IRounds.NotTrainer.selector, 5));
        commit(1, only(5));
    }

    // Reveals

    function test_reveal_lengths() public {
        toReveal(1, TRAINERS);
        bytes memory words = openings(1, range(0, TRAINERS), 1);
        bytes memory who = pack16(range(0, TRAINERS));
        vm.expectRevert(abi.encodeWithSelector(IRounds.LengthsDiffer.selector, 208, 224));
        rounds.revealUpdates(job, 1, 0, who, 3, words);
        vm.expectRevert(abi.encodeWithSelector(IRounds.LengthsDiffer.selector, 208, 192));
        rounds.revealUpdates(job, 1, 0, who, 0, words);
        vm.expectRevert(IRounds.BatchEmpty.selector);
        rounds.revealUpdates(job, 1, 0, who, 0, openings(1, range(0, TRAINERS), 0));
        vm.expectRevert(IRounds.BatchEmpty.selector);
        rounds.revealUpdates(job, 1, 0, "", 1, words);
        vm.expectRevert(abi.encodeWithSelector(IRounds.LengthsDiffer.selector, 13, 12));
        rounds.revealUpdates(job, 1, 0, bytes.concat(who, hex"00"), 1, words);
        vm.expectRevert(abi.encodeWithSelector(IRounds.BatchTooLarge.selector, 1, 6));
        rounds.revealUpdates(job, 1, 0, who, 1 << 6, words);
        vm.expectRevert(abi.encodeWithSelector(IRounds.BatchTooLarge.selector, 257, 256));
        rounds.revealUpdates(job, 1, 0, new bytes(514), 1, new bytes(257 * 32 + 16));
    }

    function test_reveal_of_something_else() public {
        commit(1, range(0, 3));
        commit(1, range(3, TRAINERS));
        seed();
        refuse(abi.encodeWithSelector(IRounds.BatchWrong.selector, 2, bytes32(0), bytes32(0)));
        reveal(1, 2, range(0, 3), 1);
        bytes memory words = openings(1, range(0, 3), 1);
        words[0] ^= 0x01; // another update
        vm.expectRevert();
        rounds.revealUpdates(job, 1, 0, pack16(range(0, 3)), 1, words);
        words = openings(1, range(0, 3), 1);
        vm.expectRevert(); // another member's commitment
        rounds.revealUpdates(job, 1, 0, pack16(range(1, 4)), 1, words);
        vm.expectRevert(); // no member at all
        rounds.revealUpdates(job, 1, 0, hex"fffffffefffd", 1, words);
        reveal(1, 0, range(0, 3), 1);
        refuse(abi.encodeWithSelector(IRounds.AlreadyRevealed.selector, 0));
        reveal(1, 0, range(0, 3), 3);
    }

    function test_reveal_says_what_the_batch_is() public {
        toReveal(1, TRAINERS);
        bytes memory entries;
        bytes memory altered;
        for (uint256 i = 0; i < TRAINERS; ++i) {
            entries = abi.encodePacked(entries, uint16(i), commitmentOf(1, i));
            altered = abi.encodePacked(altered, uint16(i), i == 5 ? bytes32(0) : commitmentOf(1, i));
        }
        bytes memory words = openings(1, range(0, TRAINERS), 1);
        for (uint256 i = words.length - 32; i < words.length; ++i) {
            words[i] = 0;
        }
        vm.expectRevert(abi.encodeWithSelector(IRounds.BatchWrong.selector, 0, keccak256(altered), keccak256(entries)));
        rounds.revealUpdates(job, 1, 0, pack16(range(0, TRAINERS)), 1, words);
    }

    // Ballots

    function test_ballot_commitments() public {
        toBallots(1, TRAINERS);
        commitBallots(1, only(2));
        refuse(abi.encodeWithSelector(IRounds.BallotAlreadyCommitted.selector, 2));
        commitBallots(1, only(2));
        refuse(abi.encodeWithSelector(IRounds.BallotAlreadyCommitted.selector, 3));
        commitBallots(1, both(3, 3));
        bytes32[] memory words = new bytes32[](1);
        words[0] = ballotCommitment(1, 0);
        bytes memory signature = signBallot(0, 1, words[0]);
        vm.expectRevert(abi.encodeWithSelector(IRounds.SeatUnknown.selector, 5));
        rounds.commitBallots(job, 1, hex"05", words, signature);
        vm.expectRevert(abi.encodeWithSelector(IRounds.SeatSignatureWrong.selector, 1, vm.addr(key(committee[0]))));
        rounds.commitBallots(job, 1, hex"01", words, signature);
        vm.expectRevert(abi.encodeWithSelector(IRounds.SeatSignatureWrong.selector, 0, address(0)));
        rounds.commitBallots(job, 1, hex"00", words, new bytes(64));
        vm.expectRevert(abi.encodeWithSelector(IRounds.LengthsDiffer.selector, 63, 64));
        rounds.commitBallots(job, 1, hex"00", words, new bytes(63));
        vm.expectRevert(abi.encodeWithSelector(IRounds.LengthsDiffer.selector, 2, 1));
        rounds.commitBallots(job, 1, hex"0001", words, signature);
        vm.expectRevert(IRounds.BatchEmpty.selector);
        rounds.commitBallots(job, 1, "", new bytes32[](0), "");
    }

    function test_ballot_openings() public {
        toBallots(1, TRAINERS);
        commitBallots(1, range(0, 4));
        vm.warp(current().endsAt);
        rounds.advance(job);
        refuse(abi.encodeWithSelector(IRounds.BallotNotCommitted.selector, 4));
        revealBallots(1, only(4));
        refuse(abi.encodeWithSelector(IRounds.BallotWrong.selector, 1));
        revealBallots(1, both(1, 1));
        ballots[0][0] ^= 1;
        refuse(abi.encodeWithSelector(IRounds.BallotWrong.selector, 0));
        revealBallots(1, only(0));
        ballots[0].push(1);
        refuse(abi.encodeWithSelector(IRounds.LengthsDiffer.selector, 14, 12));
        revealBallots(1, only(0));
        vm.expectRevert(abi.encodeWithSelector(IRounds.SeatUnknown.selector, 5));
        rounds.revealBallots(job, 1, hex"05", new bytes(12), new bytes(16), seals);
        vm.expectRevert(abi.encodeWithSelector(IRounds.LengthsDiffer.selector, 32, 16));
        rounds.revealBallots(job, 1, hex"00", new bytes(12), new bytes(32), seals);
        vm.expectRevert(abi.encodeWithSelector(IRounds.LengthsDiffer.selector, 24, 12));
        rounds.revealBallots(job, 1, hex"00", new bytes(24), new bytes(16), seals);
        vm.expectRevert(IRounds.BatchEmpty.selector);
        rounds.revealBallots(job, 1, "", "", "", seals);
    }

    function refuseSeals(bytes[] memory given, bytes32 have) private {
        bytes memory opened = pack16(ballots[0]);
        bytes memory salt = bytes.concat(ballotSalt(1, 0));
        vm.expectRevert(abi.encodeWithSelector(IRounds.SealsWrong.selector, have, runningHash(seals)));
        rounds.revealBallots(job, 1, hex"00", opened, salt, given);
    }

    function runningHash(bytes[] memory records) private pure returns (bytes32 hash) {
        for (uint256 i = 0; i < records.length; ++i) {
            hash = keccak256(bytes.concat(hash, records[i]));
        }
    }

    function test_sealed_ballots_are_given_again_as_they_were() public {
        toBallots(1, TRAINERS);
        commitBallots(1, range(0, 2));
        commitBallots(1, range(2, 5));
        bytes[] memory given = new bytes[](0);
        refuseSeals(given, 0);
        given = new bytes[](2);
        (given[0], given[1]) = (seals[1], seals[0]);
        refuseSeals(given, runningHash(given));
        (given[0], given[1]) = (seals[0], bytes.concat(seals[1]));
        given[1][40] ^= 0x01;
        refuseSeals(given, runningHash(given));
        given[1] = bytes.concat(seals[1], hex"00");
        refuseSeals(given, runningHash(given));
        revealBallots(1, only(0));
        assertEq(current().ballotsRevealed, 1, "opened");
    }

    /// What a seat committed in the last round must not open anything in this one.
    function test_a_ballot_slot_of_the_last_round_is_void() public {
        whole(1, TRAINERS);
        toBallots(2, TRAINERS);
        commitBallots(2, range(0, 4));
        vm.warp(current().endsAt);
        rounds.advance(job);
        refuse(abi.encodeWithSelector(IRounds.BallotNotCommitted.selector, 4));
        revealBallots(2, only(4));
    }

    // Attestations

    function test_attestations() public {
        toAttest(1, TRAINERS);
        attest(1, modelOf(1), only(0));
        refuse(abi.encodeWithSelector(IRounds.AlreadyAttested.selector, 0));
        attest(1, modelOf(9), only(0)); // nobody changes its mind
        refuse(abi.encodeWithSelector(IRounds.AlreadyAttested.selector, 1));
        attest(1, modelOf(1), both(1, 1));
        bytes memory signature = signModel(1, 1, modelOf(1));
        vm.expectRevert(abi.encodeWithSelector(IRounds.SeatSignatureWrong.selector, 2, vm.addr(key(committee[1]))));
        rounds.attest(job, 1, modelOf(1), hex"02", signature);
        vm.expectRevert(abi.encodeWithSelector(IRounds.SeatUnknown.selector, 5));
        rounds.attest(job, 1, modelOf(1), hex"05", signature);
        vm.expectRevert(abi.encodeWithSelector(IRounds.LengthsDiffer.selector, 64, 128));
        rounds.attest(job, 1, modelOf(1), hex"0102", signature);
        vm.expectRevert(IRounds.BatchEmpty.selector);
        rounds.attest(job, 1, modelOf(1), "", "");
        refuse(abi.encodeWithSelector(IRounds.NoModelYet.selector, job, 1));
        finalise(1);
    }

    function test_more_than_two_thirds_on_one_digest() public {
        toAttest(1, TRAINERS);
        attest(1, modelOf(1), range(0, 3));
        attest(1, modelOf(8), only(3));
        assertEq(current().agreedModel, 0, "three of five");
        attest(1, modelOf(1), only(4));
        assertEq(current().agreedModel, modelOf(1), "four of five");
        finalise(1);
        assertEq(current().agreedModel, 0, "not in the next round");
        assertEq(current().parentModel, modelOf(1), "parent");
    }

    function test_attestations_of_the_last_round_do_not_count() public {
        toAttest(1, TRAINERS);
        for (uint256 seat = 0; seat < 4; ++seat) {
            attest(1, modelOf(1), only(seat));
        }
        finalise(1);
        toAttest(2, TRAINERS);
        attest(2, modelOf(1), only(4));
        assertEq(current().agreedModel, 0, "one of five");
    }

    // Finalise

    function test_finalise_with_something_else() public {
        toAttest(1, TRAINERS);
        attest(1, modelOf(1), range(0, 5));
        (bytes memory scores, bytes memory shares) = expectedTally();
        bytes32 tallied = keccak256(abi.encode(keccak256(scores), keccak256(shares)));
        bytes memory altered = bytes.concat(shares);
        altered[9] ^= 0x01;
        bytes32 have = keccak256(abi.encode(keccak256(scores), keccak256(altered)));
        vm.expectRevert(abi.encodeWithSelector(IRounds.TallyWrong.selector, have, tallied));
        rounds.finalise(job, 1, reveals, scores, altered);
        bytes[] memory none = new bytes[](0);
        bytes32 expected = keccak256(abi.encodePacked(bytes32(0), reveals[0]));
        vm.expectRevert(abi.encodeWithSelector(IRounds.RevealsWrong.selector, bytes32(0), expected));
        rounds.finalise(job, 1, none, scores, shares);
        finalise(1);
        refuse(abi.encodeWithSelector(IRounds.RoundWrong.selector, job, 1, 2));
        finalise(1);
    }

    function test_finalise_before_its_phase() public {
        refuse(wrongPhase(Phase.Commit, Phase.Attest));
        finalise(1);
    }

    function test_a_job_that_is_not_ready() public {
        openAnother();
        vm.expectRevert(abi.encodeWithSelector(IRounds.JobNotReady.selector, job + 1));
        rounds.advance(job + 1);
    }

    function openAnother() private {
        token.approve(address(board), 3 * PRICE);
        board.createJob(terms(TRAINERS, 5), 3 * PRICE);
    }
}
