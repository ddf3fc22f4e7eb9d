// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Job, JobParameters, JobState, Member, Permit} from "../../../contracts/interfaces/IJobBoard.sol";
import {Provider, TRAINER, VALIDATOR} from "../../../contracts/interfaces/IProviderRegistry.sol";
import {Phase} from "../../../contracts/interfaces/IRounds.sol";
import {StakeActions} from "./StakeActions.sol";

/// Jobs are offered, joined, left, cancelled, refunded; rewards are claimed. One job runs at a time, the earlier ones stay.
abstract contract JobActions is StakeActions {
    bytes32 internal constant JOIN = keccak256("JobJoin(uint256 job,address provider,uint8 roles,uint256 stake,uint256 nonce,uint256 deadline)");
    bytes32 internal constant LEAVE = keccak256("JobLeave(uint256 job,address provider,uint256 nonce,uint256 deadline)");
    bytes32 internal constant OFFER = keccak256("JobOffer(address requester,bytes32 parametersHash,uint256 escrow,uint256 nonce,uint256 deadline)");

    bytes[] internal used; // calls to the board whose signature has done its work
    uint256 private _offers;

    /// Committed in the round in flight, or on its committee.
    function isBusy(uint256 member) internal view virtual returns (bool);

    function isOver(uint256 which) internal view returns (bool) {
        return board.jobOf(which).state >= JobState.Completed;
    }

    function open(uint256 seed) internal {
        if (job != 0 && !isOver(job)) return;
        if (board.jobCount() == MOST_JOBS) return;
        JobParameters memory wanted = _terms(seed);
        uint256 escrow = uint256(wanted.rounds) * wanted.pricePerRound + pick(seed, "more", 1 ether);
        token.transfer(requester(), escrow);
        vm.prank(requester());
        token.approve(address(board), type(uint256).max);
        bytes memory data = _offer(seed, wanted, escrow);
        if (paused) return mustNot(9, "a job is created while entry is paused", requester(), address(board), data);
        if (!must(4, "an offer is refused", requester(), address(board), data)) return;
        job = board.jobCount();
        asked[job] = wanted;
        (books[job].escrowed, books[job].version) = (escrow, parameters.currentVersion());
        members = 0;
        uint256 extra = chance(seed, "ballast", 3) ? BALLAST : 0;
        for (uint256 i = 0; i < extra; ++i) {
            if (join(PROVIDERS + i, VALIDATOR, STAKE)) depart(PROVIDERS + i);
        }
    }

    function _offer(uint256 seed, JobParameters memory wanted, uint256 escrow) private returns (bytes memory data) {
        if (chance(seed, "direct", 2)) return abi.encodeCall(board.createJob, (wanted, escrow));
        uint256 nonce = ++_offers;
        uint256 deadline = time() + 365 days;
        bytes memory message = abi.encode(OFFER, requester(), keccak256(abi.encode(wanted)), escrow, nonce, deadline);
        bytes memory signature = signAs(REQUESTER_KEY, address(board), message);
        Permit memory none;
        data = abi.encodeCall(board.createJobFor, (requester(), wanted, escrow, nonce, deadline, signature, none));
        if (!paused) used.push(data);
    }

    function _terms(uint256 seed) private view returns (JobParameters memory wanted) {
        wanted = terms(PROVIDERS, uint8(1 + 2 * pick(seed, "size", 3)));
        wanted.rounds = uint32(1 + pick(seed, "rounds", 3));
        wanted.pricePerRound = uint128(pick(seed, "price", PRICE) + pick(seed, "dust", 1000));
        wanted.validatorShareBps = uint16(pick(seed, "validators", 5000));
        wanted.coordinatorShareBps = uint16(pick(seed, "fee", 1000));
        if (chance(seed, "coordinator", 3)) wanted.coordinator = address(0);
        wanted.minTrainers = uint16(1 + pick(seed, "trainers", 3));
        wanted.recruitUntil = uint64(time() + 10);
        wanted.maxFailedRounds = uint16(pick(seed, "failures", 4));
        wanted.commitWindow = uint32(10 + pick(seed, "commit", 100));
        wanted.attestWindow = uint32(10 + pick(seed, "attest", 100));
    }

    function enlist(uint256 seed) internal {
        if (job == 0 || isOver(job)) return;
        uint256 i = pick(seed, "provider", PROVIDERS);
        Provider memory its = registry.providerOf(owner(i));
        uint256 stake = lockedFor[job][i] < STAKE ? STAKE : lockedFor[job][i];
        if (its.free > stake) stake += pick(seed, "stake", (its.free - stake) / 2 + 1);
        uint8 roles = chance(seed, "roles", 4) ? uint8(1 + pick(seed, "role", 2)) : TRAINER | VALIDATOR;
        join(i, roles, stake);
    }

    /// Somebody who does what it takes to join.
    function recruit(uint256 seed, uint256 i) internal {
        Provider memory its = registry.providerOf(owner(i));
        uint256 stake = lockedFor[job][i] < STAKE ? STAKE : lockedFor[job][i];
        if (its.free < stake) addStake(i, stake);
        if (its.jailedUntil != 0) unjail(i);
        uint8 roles = uint8(1 + pick(seed, "role", 8)) & its.roles;
        join(i, roles == 0 ? its.roles : chance(seed, "roles", 3) ? roles : its.roles, stake);
    }

    function join(uint256 i, uint8 roles, uint256 stake) internal returns (bool done) {
        uint256 deadline = time() + 365 days;
        bytes memory message = abi.encode(JOIN, job, owner(i), roles, stake, board.memberNonce(job, owner(i)), deadline);
        bytes memory signature = signAs(keyOf[registry.providerOf(owner(i)).operator], address(board), message);
        bytes memory data = abi.encodeCall(board.joinJob, (job, owner(i), roles, stake, deadline, new bytes32[](0), signature));
        bool pending = isDrawPending();
        (done,) = attempt(STRANGER, address(board), data);
        if (!done) return false;
        if (paused) blame(9, "somebody joined while entry is paused");
        if (pending) blame(9, "somebody joined between the choice of a seed and the draw");
        lockedFor[job][i] = stake;
        members = board.jobOf(job).members;
        used.push(data);
    }

    function isDrawPending() internal view returns (bool) {
        return phase() == uint256(Phase.Reveal) && current().committee.length == 0;
    }

    /// Who owes this round nothing may go at any time; who does, may not. The last to go are released (see Campaign).
    function depart(uint256 i) internal {
        if (isOver(job)) return;
        (bool found, bytes memory answer) = address(board).staticcall(abi.encodeCall(board.memberIndexOf, (job, owner(i))));
        if (!found) return;
        uint256 member = abi.decode(answer, (uint256));
        uint256 deadline = time() + 365 days;
        bytes memory message = abi.encode(LEAVE, job, owner(i), board.memberNonce(job, owner(i)), deadline);
        bytes memory signature = signAs(keyOf[registry.providerOf(owner(i)).operator], address(board), message);
        bytes memory data = abi.encodeCall(board.leaveJob, (job, owner(i), deadline, signature));
        bool free = board.memberOf(job, member).active && !isDrawPending() && !appeals.isDrawPending(job) && !isBusy(member);
        (bool done,) = attempt(STRANGER, address(board), data);
        if (done && !free) blame(3, "left in the middle of a round's work");
        if (!done && free) blame(exits(), "nothing to do, and cannot leave");
        if (!done) return;
        note("left");
        used.push(data);
    }

    function eject(uint256 seed) internal {
        if (job == 0) return;
        (bool done,) = attempt(STRANGER, address(board), abi.encodeCall(board.eject, (job, owner(seed % PROVIDERS))));
        if (done) note("ejected");
    }

    function release(uint256 seed) internal {
        if (job == 0) return;
        uint256 which = 1 + pick(seed, "job", job);
        address[] memory one = new address[](1);
        one[0] = owner(pick(seed, "provider", PROVIDERS));
        (bool done,) = attempt(STRANGER, address(board), abi.encodeCall(board.release, (which, one)));
        if (done && !isOver(which)) blame(3, "released from a job that goes on");
    }

    function cancel(uint256 seed) internal {
        if (job == 0) return;
        mustNot(4, "a stranger cancels", STRANGER, address(board), abi.encodeCall(board.cancel, (job)));
        if (chance(seed, "really", 6)) attempt(requester(), address(board), abi.encodeCall(board.cancel, (job)));
    }

    /// All that is left, to the requester, once the job is over and never before.
    function refund(uint256 seed) internal {
        if (job == 0) return;
        uint256 which = 1 + pick(seed, "job", job);
        Books storage its = books[which];
        uint256 due = its.escrowed - its.owed - its.claimed - its.fees - its.refunded;
        uint256 before = token.balanceOf(requester());
        _ambush(seed, address(board), abi.encodeCall(board.refund, (which)));
        (bool done,) = attempt(STRANGER, address(board), abi.encodeCall(board.refund, (which)));
        uint256 received = token.balanceOf(requester()) - before;
        if (done && !isOver(which)) blame(4, "refunded before the end");
        if (done && received != due) blame(4, "another amount is refunded than is left");
        if (!done && isOver(which) && due != 0) blame(4, "what is left is not refunded");
        its.refunded += received;
        if (done) note("refund");
    }

    /// Everything earned in the last four jobs, one of them named twice.
    function claim(uint256 seed) internal {
        if (job == 0) return;
        uint256 i = pick(seed, "provider", PROVIDERS);
        uint256[] memory jobs = _jobsOf(i, seed);
        uint256 due = _owedIn(i, jobs);
        uint256 before = token.balanceOf(owner(i));
        _ambush(seed, address(board), abi.encodeCall(board.claim, (owner(i), jobs)));
        (bool done,) = attempt(STRANGER, address(board), abi.encodeCall(board.claim, (owner(i), jobs)));
        uint256 received = token.balanceOf(owner(i)) - before;
        if (done && received != due) blame(5, "another amount is paid than was earned");
        if (!done && due != 0 && !hostile.blocked(owner(i))) blame(10, "what was earned cannot be claimed");
        if (!done) return;
        note("claim");
        for (uint256 k = 0; k < jobs.length; ++k) {
            books[jobs[k]].claimed += owedTo[jobs[k]][i];
            books[jobs[k]].owed -= owedTo[jobs[k]][i];
            owedTo[jobs[k]][i] = 0;
        }
    }

    function _owedIn(uint256 i, uint256[] memory jobs) private view returns (uint256 due) {
        for (uint256 k = 0; k < jobs.length; ++k) {
            if (k == 0 || jobs[k] != jobs[k - 1]) due += owedTo[jobs[k]][i];
        }
    }

    function _jobsOf(uint256 i, uint256 seed) private view returns (uint256[] memory jobs) {
        uint256 count;
        jobs = new uint256[](5);
        for (uint256 k = job < 4 ? 1 : job - 3; k <= job; ++k) {
            if (lockedFor[k][i] != 0) jobs[count++] = k;
        }
        if (count != 0 && chance(seed, "twice", 2)) (jobs[count], count) = (jobs[count - 1], count + 1);
        assembly ("memory-safe") {
            mstore(jobs, count)
        }
    }

    function claimFees(uint256 seed) internal {
        address recipient = chance(seed, "who", 2) ? COORDINATOR : STRANGER;
        uint256 before = token.balanceOf(recipient);
        _ambush(seed, address(board), abi.encodeCall(board.claimFees, (recipient)));
        (bool done,) = attempt(address(this), address(board), abi.encodeCall(board.claimFees, (recipient)));
        uint256 received = token.balanceOf(recipient) - before;
        if (received != (done ? feesOwed[recipient] : 0)) blame(5, "another fee is paid than was earned");
        if (!done && feesOwed[recipient] != 0 && !hostile.blocked(recipient)) blame(10, "a fee cannot be claimed");
        if (!done) return;
        note("fee claimed");
        feesOwed[recipient] = 0;
    }
}
