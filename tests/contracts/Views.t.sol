// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Fault} from "../../contracts/interfaces/IFaults.sol";
import {IJobBoard, Member} from "../../contracts/interfaces/IJobBoard.sol";
import {IParameters, ProtocolParameters} from "../../contracts/interfaces/IParameters.sol";
import {TRAINER, VALIDATOR} from "../../contracts/interfaces/IProviderRegistry.sol";
import {Phase, RoundWords} from "../../contracts/interfaces/IRounds.sol";
import {RoundKit} from "./support/RoundKit.sol";

/// What agents and other contracts read, asked for anything, against what happened.
contract ViewsTest is RoundKit {
    uint256 private constant TRAINERS = 6;
    uint256 private constant MEMBERS = 9; // the last three judge only

    function setUp() public {
        deploy();
        openJob(terms(TRAINERS, 3), TRAINERS, 0, MEMBERS - TRAINERS);
    }

    function chosen(uint256 set, uint256 size) private pure returns (uint256[] memory list) {
        list = new uint256[](size);
        uint256 count;
        for (uint256 i = 0; i < size; ++i) {
            if (set >> i & 1 != 0) list[count++] = i;
        }
        return shorten(list, count);
    }

    function shorten(uint256[] memory list, uint256 size) private pure returns (uint256[] memory kept) {
        kept = new uint256[](size);
        for (uint256 i = 0; i < size; ++i) {
            kept[i] = list[i];
        }
    }

    function has(uint256 set, uint256 i) private pure returns (bool) {
        return i < 256 && set >> i & 1 != 0;
    }

    // Members

    function testFuzz_a_window_of_the_roster(uint256 from, uint256 count) public view {
        from = from % 3 == 0 ? from : from % (MEMBERS + 2);
        count = count % 3 == 0 ? count : count % (MEMBERS + 2);
        uint256 left = from < MEMBERS ? MEMBERS - from : 0;
        Member[] memory shown = board.membersOf(job, from, count);
        assertEq(shown.length, count < left ? count : left, "length");
        for (uint256 i = 0; i < shown.length; ++i) {
            assertEq(shown[i].provider, owner(from + i), "provider");
            assertEq(shown[i].operator, vm.addr(key(from + i)), "operator");
            assertEq(shown[i].roles, from + i < TRAINERS ? TRAINER : VALIDATOR, "roles");
            assertTrue(shown[i].active, "active");
            assertEq(shown[i].stake, STAKE, "stake");
            assertEq(shown[i].credit, 0, "credit");
        }
    }

    function testFuzz_no_roster_of_a_job_that_is_not(uint256 other, uint256 from, uint256 count) public {
        vm.assume(other != job);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.JobUnknown.selector, other));
        board.membersOf(other, from, count);
    }

    function testFuzz_a_key_names_its_provider_for_ever(uint256 member, uint256 newKey, uint256 later, address other) public {
        member = bound(member, 0, MEMBERS - 1);
        address old = vm.addr(key(member));
        address next = vm.addr(bound(newKey, 1, type(uint128).max));
        vm.assume(other != old && other != next);
        vm.warp(block.timestamp + bound(later, 0, 1 days));
        vm.prank(owner(member));
        registry.setOperator(next);
        assertEq(registry.providerOfOperator(old), owner(member), "the old key");
        assertEq(registry.operatorRetiredAt(old), block.timestamp, "retired");
        assertEq(registry.providerOfOperator(next), owner(member), "the new key");
        assertEq(registry.operatorRetiredAt(next), 0, "in use");
        address its;
        for (uint256 i = 0; i < MEMBERS; ++i) {
            if (other == vm.addr(key(i))) its = owner(i);
        }
        assertEq(registry.providerOfOperator(other), its, "a stranger's key");
        assertEq(registry.operatorRetiredAt(other), 0, "a stranger never retired");
    }

    function testFuzz_a_sealed_page_holds_the_keys_and_says_which_are_stale(uint256 replaced, uint256 page) public {
        (address pointer, uint256 stale) = board.rosterPageOf(job, 0);
        assertEq(pointer, address(0), "before");
        board.sealRoster(job, 0);
        uint256[] memory who = chosen(replaced, MEMBERS);
        for (uint256 i = 0; i < who.length; ++i) {
            vm.prank(owner(who[i]));
            registry.setOperator(address(uint160(0x5eed + who[i])));
            board.refreshOperator(job, owner(who[i]));
        }
        (pointer, stale) = board.rosterPageOf(job, 0);
        assertEq(stale, replaced & all(MEMBERS), "stale");
        bytes memory expected = hex"00";
        for (uint256 i = 0; i < MEMBERS; ++i) {
            expected = bytes.concat(expected, bytes20(vm.addr(key(i))));
        }
        assertEq(pointer.code, expected, "page");
        page = bound(page, 1, type(uint256).max);
        page = page & 1 == 0 ? page : 1 + page % 16;
        (pointer, stale) = board.rosterPageOf(job, page);
        assertEq(pointer, address(0), "no such page");
        assertEq(stale, 0, "nothing stale");
    }

    function testFuzz_draws_are_distinct_validators(uint256 size, bytes32 seed, uint256 left) public view {
        size = bound(size, 1, 15);
        uint256[] memory out = chosen(left, MEMBERS);
        uint16[] memory excluded = new uint16[](out.length);
        for (uint256 i = 0; i < out.length; ++i) {
            excluded[i] = uint16(out[i]);
        }
        uint256 validators = all(MEMBERS) & ~all(TRAINERS);
        distinct(board.drawCommittee(job, size, seed), size, validators);
        distinct(board.drawJury(job, size, seed, excluded), size, validators & ~left);
    }

    function distinct(uint16[] memory drawn, uint256 size, uint256 among) private pure {
        uint256 eligible = chosen(among, MEMBERS).length;
        assertEq(drawn.length, size < eligible ? size : eligible, "seats");
        for (uint256 i = 0; i < drawn.length; ++i) {
            assertTrue(has(among, drawn[i]), "may not be drawn, or twice");
            among &= ~(1 << drawn[i]);
        }
    }

    // A round

    /// Those in `who` commit, all at once or, `apart`, one call for each within one transaction.
    function commitBy(uint256[] memory who, bool apart) private {
        if (!apart) return commit(1, who);
        bytes[] memory calls = new bytes[](who.length);
        for (uint256 i = 0; i < who.length; ++i) {
            (bytes32[] memory words, bytes memory signatures) = commitments(1, only(who[i]));
            calls[i] = abi.encodeCall(rounds.commitUpdates, (job, 1, pack16(only(who[i])), words, signatures));
        }
        rounds.multicall(calls);
    }

    /// At least two of the trainers, so that the round goes on.
    function trainersIn(uint256 set) private pure returns (uint256) {
        return set & all(TRAINERS) | 3;
    }

    function testFuzz_the_words_of_a_round(uint256 set, bool apart, uint256 member, uint256 other) public {
        set = trainersIn(set);
        uint256[] memory who = chosen(set, TRAINERS);
        assertFalse(rounds.isEngaged(job, who[0]), "before it commits");
        commitBy(who, apart);
        RoundWords memory words = rounds.wordsOf(job);
        assertEq(uint32(words.header), 1, "round");
        assertEq(words.committed[0], set, "committed");
        assertEq(uint16(words.header >> 120), who.length, "commits");
        assertEq(uint16(words.header >> 152), apart ? who.length : 1, "batches");
        assertEq(words.models[0], INITIAL_MODEL, "parent");
        member = member & 1 == 0 ? member % MEMBERS : bound(member, 0, 2047);
        assertEq(rounds.isEngaged(job, member), has(set, member), "engaged");
        vm.assume(other != job);
        assertFalse(rounds.isEngaged(other, member), "in no round");
        assertEq(rounds.wordsOf(other).header, 0, "no header");
    }

    function testFuzz_the_number_of_the_last_round(uint256 failures, uint256 other) public {
        assertEq(rounds.lastRoundOf(job), 1, "first");
        failures = bound(failures, 0, 4); // with the fourth the job is over
        for (uint256 i = 0; i < failures; ++i) {
            vm.warp(current().endsAt);
            rounds.advance(job);
        }
        assertEq(rounds.lastRoundOf(job), failures == 4 ? 4 : failures + 1, "last");
        vm.assume(other != job);
        assertEq(rounds.lastRoundOf(other), 0, "of no job");
    }

    /// `committed` seal an update, `opened` of them open it; the rest of them are punished, in order.
    function testFuzz_who_did_not_reveal_and_what_each_slash_was_for(uint256 committed, uint256 opened, uint256 member, uint256 slash) public {
        committed = trainersIn(committed);
        opened = opened & committed | 3;
        commitBy(chosen(committed, TRAINERS), false);
        closeReveal(chosen(committed, TRAINERS), opened, committed);
        uint256 missing = committed & ~opened;
        member = member & 1 == 0 ? member % MEMBERS : member % 2048;
        assertEq(rounds.isUnrevealed(job, 1, member), has(missing, member), "unrevealed");
        assertFalse(rounds.isUnrevealed(job, 2, member), "in no other round");
        uint256[] memory guilty = chosen(missing, TRAINERS);
        for (uint256 i = 0; i < guilty.length; ++i) {
            faults.proveUnrevealed(job, 1, guilty[i]);
        }
        assertEq(registry.slashCount(), guilty.length, "slashes");
        slash = slash & 1 == 0 ? slash : slash % (TRAINERS + 1);
        (uint256 its, uint256 round, uint256 whose, Fault fault) = faults.faultOf(slash);
        bool known = slash != 0 && slash <= guilty.length;
        assertEq(its, known ? job : 0, "job");
        assertEq(round, known ? 1 : 0, "round");
        assertEq(whose, known ? guilty[slash - 1] : 0, "member");
        assertEq(uint256(fault), uint256(Fault.Unrevealed), "fault");
    }

    function closeReveal(uint256[] memory who, uint256 opened, uint256 committed) private {
        if (phase() == uint256(Phase.Commit)) {
            vm.warp(current().endsAt);
            rounds.advance(job);
        }
        assertTrue(rounds.isDrawPending(job), "a draw is due");
        seed();
        rounds.draw(job, headerOf(current().seedBlock));
        assertFalse(rounds.isDrawPending(job), "drawn");
        uint256 turns;
        for (uint256 i = 0; i < who.length; ++i) {
            if (has(opened, who[i])) turns |= 1 << i;
        }
        reveal(1, 0, who, turns);
        if (opened == committed) return;
        vm.warp(current().endsAt);
        rounds.advance(job);
    }

    /// `sealing` seats give a ballot; with a majority of them the round goes on, and `opening` seats open theirs.
    function testFuzz_the_seats_that_missed_a_duty(uint256 sealing, uint256 opening, uint256 round, uint256 member) public {
        toBallots(1, TRAINERS);
        uint16[] memory seats = current().committee;
        engaged(seats, member);
        sealing &= all(3);
        opening &= sealing;
        if (sealing != 0) commitBallots(1, chosen(sealing, 3));
        if (sealing != all(3)) pass();
        if (phase() == uint256(Phase.BallotReveal)) {
            if (opening != 0) revealBallots(1, chosen(opening, 3));
            if (opening != sealing) closeBallots(opening);
        } else {
            opening = sealing; // the round failed for want of ballots
        }
        bool counted_ = phase() == uint256(Phase.Attest);
        if (counted_) pass(); // and nobody attests
        uint256 absent = counted_ ? all(3) : all(3) & ~opening;
        (uint16[] memory its, uint16 missed) = rounds.absencesOf(job, 1);
        assertEq(missed, absent, "absent");
        assertEq(abi.encode(its), abi.encode(seats), "committee");
        vm.assume(round != 1);
        (its, missed) = rounds.absencesOf(job, round);
        assertEq(missed, 0, "nobody missed anything in another round");
        assertEq(its.length, 0, "no seats");
    }

    /// After the deadline a majority of the ballots is enough, given again; fewer are not.
    function closeBallots(uint256 opened) private {
        if (chosen(opened, 3).length < 2) return pass();
        vm.warp(current().endsAt);
        revealBallots(1, chosen(opened, 3));
    }

    function pass() private {
        vm.warp(current().endsAt);
        rounds.advance(job);
    }

    function engaged(uint16[] memory seats, uint256 member) private view {
        member %= 2048;
        bool sits = member < TRAINERS;
        for (uint256 i = 0; i < seats.length; ++i) {
            if (seats[i] == member) sits = true;
        }
        assertEq(rounds.isEngaged(job, member), sits, "engaged");
    }

    /// Nobody both trains and judges here, so each is paid for one thing.
    function test_judges_and_trainers_are_credited_apart() public {
        toAttest(1, TRAINERS);
        attest(1, modelOf(1), range(0, 3));
        (bytes memory scores, bytes memory shares) = expectedTally();
        finalise(1);
        uint256 quantum = board.jobOf(job).quantum;
        uint256 pool = PRICE - PRICE / 5 - PRICE / 20; // less validatorShareBps and coordinatorShareBps
        uint256 sum;
        for (uint256 i = 0; i < TRAINERS; ++i) {
            sum += at(scores, i);
        }
        for (uint256 i = 0; i < TRAINERS; ++i) {
            assertEq(board.memberOf(job, i).credit, pool * at(scores, i) / (sum * quantum) * quantum, "trainer");
        }
        for (uint256 seat = 0; seat < 3; ++seat) {
            uint256 due = PRICE / 5 / 3 * at(shares, seat) / 10_000 / quantum * quantum;
            assertTrue(due != 0, "a share for each seat");
            assertEq(board.memberOf(job, committee[seat]).credit, due, "judge");
        }
    }

    function at(bytes memory packed, uint256 i) private pure returns (uint256) {
        return uint256(uint8(packed[2 * i])) << 8 | uint8(packed[2 * i + 1]);
    }

    // Rules

    function testFuzz_a_version_keeps_its_rules(uint32 delay, uint16 bps, uint256 version) public {
        ProtocolParameters memory next = rules();
        next.unjailDelay = delay % 365 days;
        next.absentSlashBps = bps % 10_001;
        IParameters its = IParameters(create("Parameters", abi.encode(address(new Permissive()), rules())));
        its.publish(next);
        assertEq(abi.encode(its.parametersAt(1)), abi.encode(rules()), "first");
        assertEq(abi.encode(its.parametersAt(2)), abi.encode(next), "second");
        vm.assume(version == 0 || version > 2);
        vm.expectRevert(abi.encodeWithSelector(IParameters.ParametersUnknown.selector, version));
        its.parametersAt(version);
    }
}

/// An authority that lets everybody do everything.
contract Permissive {
    function canCall(address, address, bytes4) external pure returns (bool immediate, uint32 delay) {
        return (true, 0);
    }
}
