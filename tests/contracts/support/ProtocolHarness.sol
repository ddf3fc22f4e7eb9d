// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Slot} from "../../../contracts/interfaces/IFaults.sol";
import {IJobBoard} from "../../../contracts/interfaces/IJobBoard.sol";
import {ModelLedger} from "../../../contracts/ModelLedger.sol";
import {CodePages} from "../../../contracts/libraries/CodePages.sol";
import {Commitments} from "../../../contracts/libraries/Commitments.sol";
import {Committees} from "../../../contracts/libraries/Committees.sol";
import {CompactSignatures} from "../../../contracts/libraries/CompactSignatures.sol";
import {Packed} from "../../../contracts/libraries/Packed.sol";
import {Payments} from "../../../contracts/libraries/Payments.sol";
import {JobWords, RoundState} from "../../../contracts/libraries/RoundState.sol";
import {SumTree} from "../../../contracts/libraries/SumTree.sol";
import {Tally} from "../../../contracts/libraries/Tally.sol";
import {VerdictTree} from "../../../contracts/libraries/VerdictTree.sol";

/// The libraries behind external functions, many cases a call, for comparison with commonweal/protocol (tests/integration/differential).
/// It adds no rule of its own.
contract ProtocolHarness {
    using SumTree for SumTree.Tree;

    struct SlotCase {
        Slot slot;
        uint256 job;
        uint256 round;
        bytes32 word;
    }

    struct BatchCase {
        uint256 job;
        uint256 round;
        bytes members;
        bytes32[] words;
        bytes signatures;
        address[] operators;
    }

    struct OpeningCase {
        uint256 job;
        uint256 round;
        bytes members;
        uint256 opened;
        bytes openings;
    }

    struct BallotCase {
        uint256 job;
        uint256 round;
        uint256 member;
        bytes ballot;
        bytes16 salt;
    }

    /// `indices[i]` is given `weights[i]`, in this order; an index seen for the first time is the next leaf.
    struct DrawCase {
        uint16[] indices;
        uint64[] weights;
        uint256 size;
        uint16[] excluded;
        bytes32[] seeds;
    }

    struct TallyCase {
        bytes ballots;
        uint256[] own;
        uint256 updates;
    }

    struct SplitCase {
        uint256 price;
        uint256 validatorShareBps;
        uint256 coordinatorShareBps;
        uint256 quantum;
        uint256 minTrainers;
        uint256 committeeSize;
        uint16[] committee;
        bytes records;
        bytes scores;
        bytes shares;
    }

    struct TreeCase {
        bytes records;
        bytes scores;
        uint16[] committee;
        uint256 attesters; // bit per seat
        uint256 finalisedAt;
        uint16 member; // of the leaf to be proven
        bytes32 digest;
        uint16 score;
        bytes32[] proof;
    }

    ModelLedger private immutable ledger = new ModelLedger(address(this));
    mapping(uint256 index => SumTree.Tree) private _trees;

    function hashSlots(SlotCase[] calldata cases) external view returns (bytes32[] memory digests) {
        digests = new bytes32[](cases.length);
        bytes32 domain = CompactSignatures.domainOf(address(this));
        for (uint256 i = 0; i < cases.length; ++i) {
            SlotCase calldata its = cases[i];
            digests[i] = CompactSignatures.digestOf(domain, _typeOf(its.slot), its.job, its.round, its.word);
        }
    }

    function recover(bytes32[] calldata digests, bytes[] calldata signatures) external view returns (address[] memory signers) {
        signers = new address[](digests.length);
        for (uint256 i = 0; i < digests.length; ++i) {
            (bytes32 r, bytes32 vs) = Packed.pairAt(signatures[i], 0);
            signers[i] = CompactSignatures.recover(digests[i], r, vs);
        }
    }

    function findWrong(BatchCase[] calldata cases) external view returns (uint256[] memory indices, address[] memory signers) {
        indices = new uint256[](cases.length);
        signers = new address[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            (indices[i], signers[i]) = _findWrong(cases[i]);
        }
    }

    function openBatches(OpeningCase[] calldata cases) external view returns (bytes32[] memory entries, bytes[] memory records) {
        entries = new bytes32[](cases.length);
        records = new bytes[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            (entries[i], records[i]) = _open(cases[i]);
        }
    }

    function sealBallots(BallotCase[] calldata cases) external view returns (bytes32[] memory commitments) {
        commitments = new bytes32[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            BallotCase calldata its = cases[i];
            uint256 preimage = Commitments.prepare(its.job, its.round);
            commitments[i] = Commitments.compute(preimage, its.member, keccak256(its.ballot), its.salt);
        }
    }

    /// Writes, but is only ever called without a transaction.
    function draw(DrawCase[] calldata cases) external returns (uint16[][][] memory drawn) {
        drawn = new uint16[][][](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            DrawCase calldata its = cases[i];
            uint256 leaves = _plant(_trees[i], its);
            drawn[i] = new uint16[][](its.seeds.length);
            for (uint256 j = 0; j < its.seeds.length; ++j) {
                drawn[i][j] = _trees[i].draw(leaves, its.size, its.seeds[j], its.excluded);
            }
        }
    }

    /// Draws of one job on the board itself.
    function drawFrom(IJobBoard board, uint256 job, uint256 size, bytes32[] calldata seeds) external view returns (uint16[][] memory drawn) {
        drawn = new uint16[][](seeds.length);
        for (uint256 i = 0; i < seeds.length; ++i) {
            drawn[i] = board.drawCommittee(job, size, seeds[i]);
        }
    }

    function tally(TallyCase[] calldata cases) external pure returns (Tally.Result[] memory results) {
        results = new Tally.Result[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            results[i] = Tally.tally(cases[i].ballots, cases[i].own, cases[i].updates);
        }
    }

    function split(SplitCase[] calldata cases) external pure returns (bytes[] memory payments, uint256[] memory fees) {
        payments = new bytes[](cases.length);
        fees = new uint256[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            (payments[i], fees[i]) = _split(cases[i]);
        }
    }

    /// Writes, but is only ever called without a transaction.
    function prove(TreeCase[] calldata cases) external returns (bytes32[] memory roots, bool[] memory proven) {
        roots = new bytes32[](cases.length);
        proven = new bool[](cases.length);
        for (uint256 i = 0; i < cases.length; ++i) {
            TreeCase calldata its = cases[i];
            uint256 committee = Committees.withSeats(Committees.pack(its.committee), its.attesters);
            bytes32 settlement = VerdictTree.settlementOf(committee, its.finalisedAt, its.scores.length / 2);
            bytes32 tree = VerdictTree.rootOf(VerdictTree.leavesOf(its.records, its.scores));
            roots[i] = VerdictTree.pair(tree, settlement);
            ledger.record(1, i, bytes32(0), roots[i]);
            proven[i] = ledger.isVerdict(1, i, its.member, its.digest, its.score, its.proof);
        }
    }

    function _typeOf(Slot slot) private pure returns (bytes32) {
        if (slot == Slot.UpdateCommitment) return CompactSignatures.UPDATE_COMMITMENT;
        if (slot == Slot.BallotCommitment) return CompactSignatures.BALLOT_COMMITMENT;
        return CompactSignatures.MODEL_ATTESTATION;
    }

    function _findWrong(BatchCase calldata its) private view returns (uint256, address) {
        uint256 first = Packed.uint16At(its.members, 0) >> 7;
        uint256 last = Packed.uint16At(its.members, its.words.length - 1) >> 7;
        bytes memory roster = CodePages.allocate(last + 1 - first);
        CodePages.replace(roster, its.members, its.operators);
        bytes32 domain = CompactSignatures.domainOf(address(this));
        return CompactSignatures.findWrong(
            domain, CompactSignatures.UPDATE_COMMITMENT, its.job, its.round, its.members, its.words, its.signatures, roster, 0
        );
    }

    function _open(OpeningCase calldata its) private view returns (bytes32, bytes memory) {
        uint256 count;
        for (uint256 bits = its.opened; bits != 0; bits &= bits - 1) ++count;
        bytes memory records = Packed.allocate(32 + Packed.ENTRY * count);
        bytes memory entries = Packed.allocate(Packed.ENTRY * (its.members.length / 2));
        Commitments.open(Commitments.prepare(its.job, its.round), its.members, its.opened, its.openings, entries, records);
        assembly ("memory-safe") {
            mstore(add(records, 0x20), 0) // the word before the records is the caller's
        }
        return (keccak256(entries), records);
    }

    function _plant(SumTree.Tree storage tree, DrawCase calldata its) private returns (uint256 leaves) {
        for (uint256 i = 0; i < its.indices.length; ++i) {
            if (its.indices[i] == leaves) tree.append(leaves++);
            tree.set(leaves, its.indices[i], its.weights[i]);
        }
    }

    function _split(SplitCase calldata its) private pure returns (bytes memory payments, uint256 fee) {
        uint256[29] memory words;
        words[JobWords.PRICE_PER_ROUND] = its.price;
        words[JobWords.VALIDATOR_SHARE] = its.validatorShareBps;
        words[JobWords.COORDINATOR_SHARE] = its.coordinatorShareBps;
        words[JobWords.QUANTUM] = its.quantum;
        uint256 payees = its.scores.length / 2 + its.committee.length;
        Payments.Split memory result = Payments.prepare(
            RoundState.pricesOf(words), its.minTrainers, its.committeeSize, Payments.sumOf(its.scores), payees
        );
        Payments.takeSeats(result, Committees.pack(its.committee), its.shares);
        Payments.payTrainers(result, its.records, its.scores);
        Payments.payRemainingSeats(result);
        return (Payments.close(result), result.fee);
    }
}
