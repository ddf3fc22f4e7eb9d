// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RoundView} from "../../../contracts/interfaces/IRoundLens.sol";
import {Phase} from "../../../contracts/interfaces/IRounds.sol";
import {Deployed} from "./Deployed.sol";
import {NaiveTally} from "./NaiveTally.sol";

/// One function per message of a round, signed by whoever has to, and whole phases of them.
abstract contract RoundKit is Deployed {
    uint16[] internal committee;
    bytes[] internal reveals; // as finalise wants them
    bytes[] internal seals; // as revealBallots wants them
    bool[4096] internal revealed;
    mapping(uint256 seat => uint256[]) internal ballots;
    mapping(uint256 seat => bool) internal counted;
    bytes private _pending;

    // What goes wrong

    /// The next message is refused with this error.
    function refuse(bytes memory reason) internal {
        _pending = reason;
    }

    function arm() internal returns (bool refused) {
        refused = _pending.length != 0;
        if (!refused) return false;
        vm.expectRevert(_pending);
        delete _pending;
    }

    // Messages

    function quit(uint256 i) internal {
        uint256 nonce = board.memberNonce(job, owner(i));
        bytes32 form = keccak256("JobLeave(uint256 job,address provider,uint256 nonce,uint256 deadline)");
        uint256 deadline = block.timestamp + 1;
        bytes32 message = keccak256(abi.encode(form, job, owner(i), nonce, deadline));
        bytes memory signature = signCompact(key(i), hashTyped(computeDomainSeparator(address(board)), message));
        arm();
        board.leaveJob(job, owner(i), deadline, signature);
    }

    function range(uint256 from, uint256 to) internal pure returns (uint256[] memory list) {
        list = new uint256[](to - from);
        for (uint256 i = 0; i < list.length; ++i) {
            list[i] = from + i;
        }
    }

    function pack16(uint256[] memory list) internal pure returns (bytes memory packed) {
        packed = new bytes(2 * list.length);
        for (uint256 i = 0; i < list.length; ++i) {
            packed[2 * i] = bytes1(uint8(list[i] >> 8));
            packed[2 * i + 1] = bytes1(uint8(list[i]));
        }
    }

    function pack8(uint256[] memory list) internal pure returns (bytes memory packed) {
        packed = new bytes(list.length);
        for (uint256 i = 0; i < list.length; ++i) {
            packed[i] = bytes1(uint8(list[i]));
        }
    }

    function commitmentOf(uint256 round, uint256 member) internal view returns (bytes32) {
        return keccak256(
            abi.encode(block.chainid, address(rounds), job, round, member, updateOf(round, member), saltOf(round, member))
        );
    }

    function sign(uint256 member, string memory form, uint256 round, bytes32 word) internal view returns (bytes memory) {
        bytes32 message = keccak256(abi.encode(keccak256(bytes(form)), job, round, word));
        return signCompact(key(member), hashTyped(computeDomainSeparator(address(rounds)), message));
    }

    function signUpdate(uint256 member, uint256 round, bytes32 commitment) internal view returns (bytes memory) {
        return sign(member, "UpdateCommitment(uint256 job,uint256 round,bytes32 commitment)", round, commitment);
    }

    function commitments(uint256 round, uint256[] memory who) internal view returns (bytes32[] memory words, bytes memory signatures) {
        words = new bytes32[](who.length);
        bytes[] memory parts = new bytes[](who.length);
        for (uint256 i = 0; i < who.length; ++i) {
            words[i] = commitmentOf(round, who[i]);
            parts[i] = signUpdate(who[i], round, words[i]);
        }
        signatures = join(parts);
    }

    function join(bytes[] memory parts) internal pure returns (bytes memory joined) {
        for (uint256 i = 0; i < parts.length; ++i) {
            joined = bytes.concat(joined, parts[i]);
        }
    }

    function commit(uint256 round, uint256[] memory who) internal {
        (bytes32[] memory words, bytes memory signatures) = commitments(round, who);
        arm();
        rounds.commitUpdates(job, round, pack16(who), words, signatures);
    }

    function openings(uint256 round, uint256[] memory who, uint256 opened) internal view returns (bytes memory) {
        bytes[] memory parts = new bytes[](who.length);
        for (uint256 i = 0; i < who.length; ++i) {
            parts[i] = opened >> i & 1 == 0
                ? abi.encodePacked(commitmentOf(round, who[i]))
                : abi.encodePacked(updateOf(round, who[i]), saltOf(round, who[i]));
        }
        return join(parts);
    }

    /// `who`: the members of the batch; bit i of `opened`: whose turn it is.
    function reveal(uint256 round, uint256 batch, uint256[] memory who, uint256 opened) internal {
        bytes memory opening = openings(round, who, opened);
        bool refused = arm();
        rounds.revealUpdates(job, round, batch, pack16(who), opened, opening);
        if (refused) return;
        draw();
        bytes memory records;
        for (uint256 i = 0; i < who.length; ++i) {
            if (opened >> i & 1 == 0) continue;
            records = abi.encodePacked(records, uint16(who[i]), updateOf(round, who[i]));
            revealed[who[i]] = true;
        }
        reveals.push(records);
    }

    function all(uint256 size) internal pure returns (uint256) {
        return size == 256 ? type(uint256).max : (1 << size) - 1;
    }

    /// Lets the seed block pass and gives it a hash.
    function seed() internal {
        uint256 seedBlock = lens.roundOf(job).seedBlock;
        if (block.number <= seedBlock) vm.roll(seedBlock + 1);
        vm.setBlockhash(seedBlock, keccak256(headerOf(seedBlock)));
    }

    function randaoOf(uint256 number) internal pure returns (bytes32) {
        return keccak256(abi.encode("randao", number));
    }

    /// A header as blocks have it, with items of each kind of length.
    function headerOf(uint256 number) internal pure returns (bytes memory) {
        bytes memory hash = bytes.concat(hex"a0", keccak256(abi.encode("hash", number)));
        bytes memory parents = bytes.concat(hash, hash, hex"94", bytes20(uint160(number)), hash, hash, hash);
        bytes memory numbers = bytes.concat(hex"8083", bytes3(uint24(number)), hex"8401c9c38080846553f100", hex"05");
        bytes memory items = bytes.concat(parents, hex"b90100", new bytes(256), numbers, hex"a0", randaoOf(number), hex"880000000000000000");
        return bytes.concat(hex"f9", bytes2(uint16(items.length)), items);
    }

    /// Draws the committee, if the seed block has passed and has its hash.
    function draw() internal {
        RoundView memory shown = lens.roundOf(job);
        if (shown.phase != Phase.Reveal || shown.committee.length != 0) return;
        if (blockhash(shown.seedBlock) == keccak256(headerOf(shown.seedBlock))) rounds.draw(job, headerOf(shown.seedBlock));
    }

    function seatMembers() internal returns (uint16[] memory) {
        committee = lens.roundOf(job).committee;
        return committee;
    }

    function revealedMembers() internal view returns (uint256[] memory list) {
        uint256 count;
        for (uint256 i = 0; i < members; ++i) {
            if (revealed[i]) ++count;
        }
        list = new uint256[](count);
        count = 0;
        for (uint256 i = 0; i < members; ++i) {
            if (revealed[i]) list[count++] = i;
        }
    }

    function ballotSalt(uint256 round, uint256 seat) internal pure returns (bytes16) {
        return bytes16(keccak256(abi.encode("ballot salt", round, seat)));
    }

    function ballotCommitment(uint256 round, uint256 seat) internal view returns (bytes32) {
        bytes32 hash = keccak256(pack16(ballots[seat]));
        return keccak256(
            abi.encode(block.chainid, address(rounds), job, round, uint256(committee[seat]), hash, ballotSalt(round, seat))
        );
    }

    function signBallot(uint256 seat, uint256 round, bytes32 commitment) internal view returns (bytes memory) {
        return sign(committee[seat], "BallotCommitment(uint256 job,uint256 round,bytes32 commitment)", round, commitment);
    }

    function commitBallots(uint256 round, uint256[] memory seats) internal {
        bytes32[] memory words = new bytes32[](seats.length);
        bytes[] memory parts = new bytes[](seats.length);
        for (uint256 i = 0; i < seats.length; ++i) {
            words[i] = ballotCommitment(round, seats[i]);
            parts[i] = signBallot(seats[i], round, words[i]);
        }
        bytes memory signatures = join(parts);
        bool refused = arm();
        rounds.commitBallots(job, round, pack8(seats), words, signatures);
        if (!refused) seals.push(sealsOf(seats, words));
    }

    function sealsOf(uint256[] memory seats, bytes32[] memory words) internal pure returns (bytes memory records) {
        for (uint256 i = 0; i < seats.length; ++i) {
            records = abi.encodePacked(records, uint8(seats[i]), words[i]);
        }
    }

    function revealBallots(uint256 round, uint256[] memory seats) internal {
        bytes memory opened;
        bytes memory salts;
        for (uint256 i = 0; i < seats.length; ++i) {
            opened = bytes.concat(opened, pack16(ballots[seats[i]]));
            salts = bytes.concat(salts, ballotSalt(round, seats[i]));
        }
        bool refused = arm();
        rounds.revealBallots(job, round, pack8(seats), opened, salts, seals);
        if (refused) return;
        for (uint256 i = 0; i < seats.length; ++i) {
            counted[seats[i]] = true;
        }
    }

    function signModel(uint256 seat, uint256 round, bytes32 model) internal view returns (bytes memory) {
        return sign(committee[seat], "ModelAttestation(uint256 job,uint256 round,bytes32 modelDigest)", round, model);
    }

    function attest(uint256 round, bytes32 model, uint256[] memory seats) internal {
        bytes[] memory parts = new bytes[](seats.length);
        for (uint256 i = 0; i < seats.length; ++i) {
            parts[i] = signModel(seats[i], round, model);
        }
        bytes memory signatures = join(parts);
        arm();
        rounds.attest(job, round, model, pack8(seats), signatures);
    }

    /// What the contract must have concluded, by the plainest means.
    function expectedTally() internal view returns (bytes memory scores, bytes memory shares) {
        uint256[] memory updates = revealedMembers();
        uint256[][] memory given = new uint256[][](committee.length);
        uint256[] memory own = new uint256[](committee.length);
        for (uint256 seat = 0; seat < committee.length; ++seat) {
            own[seat] = type(uint256).max;
            if (!counted[seat]) continue;
            given[seat] = ballots[seat];
            for (uint256 i = 0; i < updates.length; ++i) {
                if (updates[i] == committee[seat]) own[seat] = i;
            }
        }
        (uint256[] memory verdicts, uint256[] memory parts) = NaiveTally.tally(given, own, updates.length);
        return (pack16(verdicts), pack16(parts));
    }

    /// What a round's root holds beside its verdicts, if it is finalised now and the seats in `attesters` attested its model.
    function settlementLeaf(uint256 attesters, uint256 updates) internal view returns (bytes32) {
        return keccak256(abi.encodePacked(committeeWord(attesters), uint40(block.timestamp), uint16(updates)));
    }

    function committeeWord(uint256 seats) internal view returns (uint256 word) {
        for (uint256 seat = 0; seat < committee.length; ++seat) {
            word |= (uint256(committee[seat]) + 1) << (16 * seat);
        }
        word |= seats << 240;
    }

    function finalise(uint256 round) internal {
        (bytes memory scores, bytes memory shares) = expectedTally();
        bool refused = arm();
        rounds.finalise(job, round, reveals, scores, shares);
        if (!refused) forget();
    }

    function forget() internal {
        delete reveals;
        for (uint256 i = 0; i < members; ++i) {
            revealed[i] = false;
        }
        for (uint256 seat = 0; seat < 15; ++seat) {
            counted[seat] = false;
        }
    }

    // Whole phases

    /// Everybody useful: update i is worth 100 + i, a little more to the odd seats.
    function judge() internal {
        seatMembers();
        delete seals;
        uint256 updates = revealedMembers().length;
        for (uint256 seat = 0; seat < committee.length; ++seat) {
            delete ballots[seat];
            for (uint256 i = 0; i < updates; ++i) {
                ballots[seat].push(100 + i + (seat & 1));
            }
        }
    }

    function toReveal(uint256 round, uint256 trainers) internal {
        commit(round, range(0, trainers));
        assertEq(uint256(lens.roundOf(job).phase), uint256(Phase.Reveal), "to reveal");
        seed();
    }

    function toBallots(uint256 round, uint256 trainers) internal {
        toReveal(round, trainers);
        reveal(round, 0, range(0, trainers), all(trainers));
        assertEq(uint256(lens.roundOf(job).phase), uint256(Phase.BallotCommit), "to ballots");
        judge();
    }

    function toBallotReveal(uint256 round, uint256 trainers) internal {
        toBallots(round, trainers);
        commitBallots(round, range(0, committee.length));
        assertEq(uint256(lens.roundOf(job).phase), uint256(Phase.BallotReveal), "to ballot reveal");
    }

    function toAttest(uint256 round, uint256 trainers) internal {
        toBallotReveal(round, trainers);
        revealBallots(round, range(0, committee.length));
        assertEq(uint256(lens.roundOf(job).phase), uint256(Phase.Attest), "to attest");
    }

    function whole(uint256 round, uint256 trainers) internal {
        toAttest(round, trainers);
        attest(round, modelOf(round), range(0, committee.length));
        finalise(round);
    }

    function current() internal view returns (RoundView memory) {
        return lens.roundOf(job);
    }

    function phase() internal view returns (uint256) {
        return uint256(current().phase);
    }

    function only(uint256 a) internal pure returns (uint256[] memory one) {
        one = new uint256[](1);
        one[0] = a;
    }

    function both(uint256 a, uint256 b) internal pure returns (uint256[] memory two) {
        two = new uint256[](2);
        (two[0], two[1]) = (a, b);
    }
}
