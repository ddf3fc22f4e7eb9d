// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Phase} from "../../../contracts/interfaces/IRounds.sol";
import {FaultActions} from "./FaultActions.sol";

/// What nobody may do, tried at any moment.
abstract contract AbuseActions is FaultActions {
    function abuse(uint256 seed) internal {
        _crossChains();
        uint256 kind = pick(seed, "abuse", 5);
        if (kind == 0) _usurp(seed);
        else if (kind == 1) _replay(seed);
        else if (kind == 2) _voteTwice();
        else if (kind == 3) _peek();
        else _replayCommitments();
    }

    /// Only the contracts themselves may call these, and only the authority publishes.
    function _usurp(uint256 seed) private {
        address provider = owner(pick(seed, "provider", PROVIDERS));
        string memory what = "a stranger has authority";
        mustNot(9, what, STRANGER, address(registry), abi.encodeCall(registry.slash, (provider, 1, STRANGER, 1)));
        mustNot(9, what, STRANGER, address(registry), abi.encodeCall(registry.lock, (provider, 1)));
        mustNot(9, what, STRANGER, address(registry), abi.encodeCall(registry.unlock, (provider, 1)));
        mustNot(9, what, STRANGER, address(registry), abi.encodeCall(registry.recordMissedDuty, (provider, 1)));
        mustNot(9, what, STRANGER, address(parameters), abi.encodeCall(parameters.publish, (rules())));
        mustNot(9, what, STRANGER, address(ledger), abi.encodeCall(ledger.record, (job, seen.round, bytes32(uint256(1)), 0)));
        if (job == 0) return;
        mustNot(9, what, STRANGER, address(board), abi.encodeCall(board.settleRound, (job, 1, "", STRANGER, 1)));
        mustNot(9, what, STRANGER, address(board), abi.encodeCall(board.markRunning, (job)));
        mustNot(9, what, STRANGER, address(board), abi.encodeCall(board.recordFailedRound, (job)));
        mustNot(9, what, STRANGER, address(board), abi.encodeCall(board.endRound, (job)));
    }

    /// A signature that was used is worth nothing, for joining, leaving and offering alike.
    function _replay(uint256 seed) private {
        if (used.length == 0) return;
        uint256 last = used.length < 4 ? used.length : 4;
        mustNot(8, "a signature works twice", STRANGER, address(board), used[used.length - 1 - pick(seed, "recent", last)]);
        mustNot(8, "a signature works twice", STRANGER, address(board), used[pick(seed, "any", used.length)]);
    }

    /// A fork of the chain must not take the messages that were signed for this one.
    function _crossChains() private {
        if (job == 0 || seen.phase != uint256(Phase.Commit) || time() >= seen.endsAt) return;
        uint256[] memory bitmap = board.trainersOf(job);
        uint256 silent = bitmap.length == 0 ? 0 : bitmap[0] & ~seen.committed;
        if (silent == 0) return;
        bytes memory data = commitment(silent);
        uint256 home = block.chainid;
        vm.chainId(home + 1);
        mustNot(8, "a signature for another chain counts", STRANGER, address(rounds), data);
        vm.chainId(home);
    }

    /// A second ballot for a seat that has one.
    function _voteTwice() private {
        if (seen.phase != uint256(Phase.BallotCommit) || seen.ballots == 0) return;
        uint256 seat = listOf(seen.ballots)[0];
        mustNot(6, "a seat has two ballots", STRANGER, address(rounds), _sealing(1 << seat, 1 << seat));
        mustNot(6, "a seat has two ballots", STRANGER, address(rounds), lastBallots);
    }

    /// Nothing is open while others may still seal.
    function _peek() private {
        if (seen.phase != uint256(Phase.BallotCommit) || seen.ballots == 0) return;
        uint256 honest = seen.ballots & ~seen.copied;
        if (honest == 0) return;
        mustNot(6, "a ballot is open before all are sealed", STRANGER, address(rounds), _opening(listOf(honest), 0));
    }

    /// Commitments of an earlier round, or of this one again.
    function _replayCommitments() private {
        if (lastCommit.length != 0) mustNot(8, "a commitment counts twice", STRANGER, address(rounds), lastCommit);
    }
}
