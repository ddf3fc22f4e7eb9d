// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RoundView} from "../../../contracts/interfaces/IRoundLens.sol";
import {Phase} from "../../../contracts/interfaces/IRounds.sol";
import {RoundWatch} from "./RoundWatch.sol";

/// The members do their work, in batches of any size and order; one in twenty forgets each duty, some copy a ballot.
abstract contract RoundActions is RoundWatch {
    bytes internal lastCommit; // calldata
    bytes internal lastBallots;

    function pay(bytes memory scores, bytes memory shares) internal virtual;

    /// The next thing that is due in the round in flight.
    function progress(uint256 seed) internal {
        if (job == 0 || isOver(job)) return open(seed);
        if (seen.phase == uint256(Phase.None)) return _start(seed);
        if (seen.phase == uint256(Phase.Commit)) _commit(seed);
        else if (seen.phase == uint256(Phase.Reveal)) _reveal(seed);
        else if (seen.phase == uint256(Phase.BallotCommit)) _commitBallots(seed);
        else if (seen.phase == uint256(Phase.BallotReveal)) _revealBallots(seed);
        else _attest(seed);
    }

    function forgets(uint256 who, string memory duty) internal view returns (bool) {
        return pick(uint256(keccak256(abi.encode(job, seen.round, who))), duty, 20) == 0;
    }

    function keyOfMember(uint256 member) internal view returns (uint256) {
        return keyOf[board.memberOf(job, member).operator];
    }

    function signRound(uint256 member, string memory form, bytes32 word) internal view returns (bytes memory) {
        return signAs(keyOfMember(member), address(rounds), abi.encode(keccak256(bytes(form)), job, seen.round, word));
    }

    /// Some of the bits, at least one.
    function some(uint256 seed, uint256 bits) internal pure returns (uint256 chosen) {
        chosen = chance(seed, "everything", 2) ? bits : bits & uint256(keccak256(abi.encode(seed, "some")));
        if (chosen == 0) chosen = bits & (~bits + 1);
    }

    function listOf(uint256 bits) internal pure returns (uint256[] memory list) {
        uint256 count;
        list = new uint256[](256);
        for (uint256 i = 0; bits >> i != 0; ++i) {
            if (bits >> i & 1 != 0) list[count++] = i;
        }
        assembly ("memory-safe") {
            mstore(list, count)
        }
    }

    function advance(string memory what) internal {
        must(7, what, STRANGER, address(rounds), abi.encodeCall(rounds.advance, (job)));
    }

    /// Until the deadline; somebody is late.
    function waitOut() internal {
        if (time() < seen.endsAt) vm.warp(seen.endsAt);
        _tryLate();
    }

    function _start(uint256 seed) private {
        if (!board.isReady(job)) {
            for (uint256 i = 0; i < PROVIDERS; ++i) {
                if (!chance(seed + i, "stays away", 6)) recruit(seed + i, i);
            }
            if (time() < asked[job].recruitUntil) vm.warp(asked[job].recruitUntil);
        }
        if (board.isReady(job)) advance("a job that is ready cannot start");
    }

    function _willing(uint256 bits, string memory duty) private view returns (uint256 willing) {
        willing = bits;
        for (uint256 i = 0; bits >> i != 0; ++i) {
            if (bits >> i & 1 != 0 && forgets(i, duty)) willing &= ~(1 << i);
        }
    }

    function _commit(uint256 seed) private {
        uint256 open_ = _willing(_trainers() & ~seen.committed, "commit");
        if (open_ == 0 || time() >= seen.endsAt) {
            waitOut();
            return advance("COMMIT cannot be closed");
        }
        uint256 chosen = some(seed, open_);
        lastCommit = commitment(chosen);
        if (!must(7, "honest commitments are refused", STRANGER, address(rounds), lastCommit)) return;
        seen.committed |= chosen;
        batches.push(listOf(chosen));
    }

    function _trainers() private view returns (uint256) {
        uint256[] memory bitmap = board.trainersOf(job);
        return bitmap.length == 0 ? 0 : bitmap[0];
    }

    function commitment(uint256 chosen) internal view returns (bytes memory) {
        uint256[] memory who = listOf(chosen);
        bytes32[] memory words = new bytes32[](who.length);
        bytes[] memory parts = new bytes[](who.length);
        for (uint256 i = 0; i < who.length; ++i) {
            words[i] = commitmentOf(seen.round, who[i]);
            parts[i] = signRound(who[i], "UpdateCommitment(uint256 job,uint256 round,bytes32 commitment)", words[i]);
        }
        return abi.encodeCall(rounds.commitUpdates, (job, seen.round, pack16(who), words, join(parts)));
    }

    function _reveal(uint256 seed) private {
        if (!chance(seed, "undrawn", 4) && committee.length == 0) return _draw();
        if (time() < seen.endsAt) {
            for (uint256 batch = 0; batch < batches.length; ++batch) {
                uint256 opened = _openable(seed, batches[batch]);
                if (opened != 0) return _revealBatch(batch, opened);
            }
            waitOut();
        }
        if (committee.length == 0 && _count(seen.revealed) >= asked[job].minTrainers) return _draw();
        advance("REVEAL cannot be closed");
    }

    /// Or has the block replaced, if it is out of reach.
    function _draw() private {
        uint256 seedBlock = current().seedBlock;
        if (height() > seedBlock + 256) return advance("a seed out of reach is not replaced");
        bytes memory header = pass(seedBlock);
        must(7, "an honest draw is refused", STRANGER, address(rounds), abi.encodeCall(rounds.draw, (job, header)));
    }

    /// Until after the block, whose header it returns.
    function pass(uint256 number) internal returns (bytes memory header) {
        header = headerOf(number);
        if (height() <= number) vm.roll(number + 1);
        vm.setBlockhash(number, keccak256(header));
    }

    /// Bits by place in the batch.
    function _openable(uint256 seed, uint256[] storage batch) private view returns (uint256 opened) {
        for (uint256 i = 0; i < batch.length; ++i) {
            if (seen.revealed >> batch[i] & 1 == 0 && !forgets(batch[i], "reveal")) opened |= 1 << i;
        }
        if (opened != 0) opened = some(seed, opened);
    }

    function _revealBatch(uint256 batch, uint256 opened) private {
        uint256[] memory who = batches[batch];
        bytes memory data = abi.encodeCall(
            rounds.revealUpdates, (job, seen.round, batch, pack16(who), opened, openings(seen.round, who, opened))
        );
        if (!must(7, "honest openings are refused", STRANGER, address(rounds), data)) return;
        bytes memory records;
        for (uint256 i = 0; i < who.length; ++i) {
            if (opened >> i & 1 == 0) continue;
            records = abi.encodePacked(records, uint16(who[i]), updateOf(seen.round, who[i]));
            (revealed[who[i]], seen.revealed) = (true, seen.revealed | 1 << who[i]);
        }
        reveals.push(records);
    }

    function _commitBallots(uint256 seed) private {
        uint256 all_ = (1 << committee.length) - 1;
        uint256 open_ = _willing(all_ & ~seen.ballots, "ballot");
        if (seen.ballots == 0) _judge();
        if (open_ == 0 || time() >= seen.endsAt) {
            waitOut();
            return advance("BALLOT COMMIT cannot be closed");
        }
        uint256 chosen = some(seed, open_);
        uint256 copied = committee.length > 1 && chance(seed, "copy", 8) ? chosen & (~chosen + 1) : 0;
        lastBallots = _sealing(chosen, copied);
        if (!must(7, "honest ballots are refused", STRANGER, address(rounds), lastBallots)) return;
        seals.push(_sealsOf(chosen, copied));
        (seen.ballots, seen.copied) = (seen.ballots | chosen, seen.copied | copied);
    }

    /// The seats in `copied` seal what the next seat seals.
    function _sealing(uint256 chosen, uint256 copied) internal view returns (bytes memory) {
        uint256[] memory seats = listOf(chosen);
        bytes32[] memory words = new bytes32[](seats.length);
        bytes[] memory parts = new bytes[](seats.length);
        for (uint256 i = 0; i < seats.length; ++i) {
            words[i] = _sealed(seats[i], copied);
            parts[i] = signRound(committee[seats[i]], "BallotCommitment(uint256 job,uint256 round,bytes32 commitment)", words[i]);
        }
        return abi.encodeCall(rounds.commitBallots, (job, seen.round, pack8(seats), words, join(parts)));
    }

    function _sealed(uint256 seat, uint256 copied) private view returns (bytes32) {
        bool copies = copied >> seat & 1 != 0;
        return ballotCommitment(seen.round, copies ? (seat + 1) % committee.length : seat);
    }

    function _sealsOf(uint256 chosen, uint256 copied) private view returns (bytes memory records) {
        uint256[] memory seats = listOf(chosen);
        for (uint256 i = 0; i < seats.length; ++i) {
            records = abi.encodePacked(records, uint8(seats[i]), _sealed(seats[i], copied));
        }
    }

    /// An update in seven is called invalid, one in seven unavailable, by most; the others get scores not far from one another.
    function _judge() private {
        uint256 updates = revealedMembers().length;
        for (uint256 seat = 0; seat < committee.length; ++seat) {
            delete ballots[seat];
            for (uint256 i = 0; i < updates; ++i) {
                uint256 hash = uint256(keccak256(abi.encode(job, seen.round, i)));
                uint256 mood = pick(hash + seat, "own mind", 5) == 0 ? pick(hash + seat, "mood", 7) : pick(hash, "mood", 7);
                ballots[seat].push(mood == 0 ? 65535 : mood == 1 ? 65534 : mood == 2 ? pick(hash, "low", 3) : 1000 + pick(hash + seat, "score", 100));
            }
        }
    }

    function _revealBallots(uint256 seed) private {
        if (time() >= seen.endsAt) return _closeBallots();
        uint256 honest = seen.ballots & ~seen.copied;
        uint256 open_ = _willing(honest & ~seen.opened, "open");
        if (seen.copied != 0) _openCopies();
        if (open_ == 0 && seen.opened != seen.ballots) {
            waitOut();
            return _closeBallots();
        }
        bool complete = seen.opened | open_ == seen.ballots && chance(seed, "complete", 2);
        _openBallots(complete || open_ == 0 ? seen.ballots : some(seed, open_));
    }

    function _closeBallots() private {
        if (2 * _count(seen.opened) > asked[job].committeeSize) _openBallots(seen.opened);
        else advance("BALLOT REVEAL cannot be closed");
    }

    function _openBallots(uint256 given) private {
        bytes memory data = _opening(listOf(given), 0);
        if (!must(7, "honest openings of ballots are refused", STRANGER, address(rounds), data)) return;
        seen.opened |= given;
        uint256[] memory seats = listOf(given);
        for (uint256 i = 0; i < seats.length; ++i) {
            counted[seats[i]] = true;
        }
    }

    /// Who copied a commitment knows, by now, what it hid.
    function _openCopies() private {
        uint256[] memory seats = listOf(seen.copied);
        for (uint256 i = 0; i < seats.length; ++i) {
            note("copied ballot tried");
            mustNot(6, "a copied ballot counts", STRANGER, address(rounds), _opening(only(seats[i]), 1));
        }
    }

    /// With the ballot and salt of the seat that lies `shift` further on.
    function _opening(uint256[] memory seats, uint256 shift) internal view returns (bytes memory) {
        bytes memory opened;
        bytes memory salts;
        for (uint256 i = 0; i < seats.length; ++i) {
            uint256 whose = (seats[i] + shift) % committee.length;
            opened = bytes.concat(opened, pack16(ballots[whose]));
            salts = bytes.concat(salts, ballotSalt(seen.round, whose));
        }
        return abi.encodeCall(rounds.revealBallots, (job, seen.round, pack8(seats), opened, salts, seals));
    }

    function _attest(uint256 seed) private {
        bool agreed = isAgreed(seen.agreeing) || isAgreed(seen.attested & ~seen.agreeing);
        uint256 open_ = _willing(((1 << committee.length) - 1) & ~seen.attested, "attest");
        if (agreed && (open_ == 0 || chance(seed, "now", 2) || time() >= seen.endsAt)) return _finalise(seed);
        if (open_ == 0 || time() >= seen.endsAt) {
            waitOut();
            return advance("ATTEST cannot be closed");
        }
        uint256 chosen = some(seed, open_);
        bool otherModel = chance(seed, "other model", 24);
        uint256[] memory seats = listOf(chosen);
        bytes32 model = otherModel ? keccak256("another model") : modelOf(seen.round);
        bytes[] memory parts = new bytes[](seats.length);
        for (uint256 i = 0; i < seats.length; ++i) {
            parts[i] = signRound(committee[seats[i]], "ModelAttestation(uint256 job,uint256 round,bytes32 modelDigest)", model);
        }
        bytes memory data = abi.encodeCall(rounds.attest, (job, seen.round, model, pack8(seats), join(parts)));
        if (!must(7, "honest attestations are refused", STRANGER, address(rounds), data)) return;
        seen.attested |= chosen;
        if (!otherModel) seen.agreeing |= chosen;
    }

    function isAgreed(uint256 seats) internal view returns (bool) {
        return 3 * _count(seats) > 2 * uint256(asked[job].committeeSize);
    }

    function _finalise(uint256 seed) private {
        if (chance(seed, "grace", 4)) vm.warp(time() + pick(seed, "seconds", 200));
        (bytes memory scores, bytes memory shares) = expectedTally();
        pay(scores, shares);
    }

    /// A message after its deadline counts no more, even if nobody has moved the phase on.
    function _tryLate() private {
        if (seen.phase == uint256(Phase.Commit)) {
            uint256 silent = _trainers() & ~seen.committed;
            if (silent != 0) mustNot(7, "a late commitment counts", STRANGER, address(rounds), commitment(silent));
        } else if (seen.phase == uint256(Phase.BallotCommit)) {
            uint256 silent = ((1 << committee.length) - 1) & ~seen.ballots;
            if (seen.ballots == 0) _judge();
            if (silent != 0) mustNot(7, "a late ballot counts", STRANGER, address(rounds), _sealing(silent, 0));
        }
    }

    function _count(uint256 bits) internal pure returns (uint256 count) {
        for (; bits != 0; bits &= bits - 1) {
            ++count;
        }
    }
}
