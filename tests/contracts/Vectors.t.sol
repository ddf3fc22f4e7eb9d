// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {Commitments} from "../../contracts/libraries/Commitments.sol";
import {CompactSignatures} from "../../contracts/libraries/CompactSignatures.sol";
import {SumTree} from "../../contracts/libraries/SumTree.sol";
import {Tally} from "../../contracts/libraries/Tally.sol";
import {VerdictTree} from "../../contracts/libraries/VerdictTree.sol";
import {Test} from "./support/Test.sol";

/// Put at the address that the vectors bind their commitments to.
contract CommitmentCaller {
    function compute(uint256 job, uint256 round, uint256 member, bytes32 value, bytes16 salt) external view returns (bytes32) {
        return Commitments.compute(Commitments.prepare(job, round), member, value, salt);
    }
}

contract VectorTallyCaller {
    function tally(bytes calldata ballots, uint256[] calldata own, uint256 updates) external pure returns (Tally.Result memory) {
        return Tally.tally(ballots, own, updates);
    }
}

contract DrawCaller {
    SumTree.Tree private _tree;
    uint256 private _leaves;

    /// Members between those given exist and weigh nothing.
    constructor(uint256[] memory members, uint256[] memory stakes) {
        for (uint256 i = 0; i < members.length; ++i) {
            while (_leaves <= members[i]) {
                SumTree.append(_tree, _leaves);
                ++_leaves;
            }
            SumTree.set(_tree, _leaves, members[i], uint64(stakes[i] / 1e9));
        }
    }

    function draw(uint256 size, bytes32 seed) external view returns (uint16[] memory) {
        return SumTree.draw(_tree, _leaves, size, seed);
    }
}

/// The JSON that the Python tests load too (tests/vectors): a change in one language alone cannot pass.
contract VectorsTest is Test {
    function load(string memory name) private view returns (string memory) {
        return vm.readFile(string.concat(vm.projectRoot(), "/tests/vectors/", name, ".json"));
    }

    function entry(string memory list, uint256 index, string memory field) private pure returns (string memory) {
        return string.concat(".", list, "[", vm.toString(index), "].", field);
    }

    function has(string memory json, string memory list, uint256 index) private view returns (bool) {
        return vm.keyExistsJson(json, string.concat(".", list, "[", vm.toString(index), "]"));
    }

    function test_update_commitments() public {
        string memory json = load("commitments");
        CommitmentCaller caller = settle(json);
        uint256 i;
        for (; has(json, "updates", i); ++i) {
            bytes32 value = vm.parseJsonBytes32(json, entry("updates", i, "digest"));
            assertEq(commitment(caller, json, "updates", i, value), vm.parseJsonBytes32(json, entry("updates", i, "commitment")));
        }
        assertTrue(i == 3, "vectors are missing");
    }

    function test_ballot_commitments() public {
        string memory json = load("commitments");
        CommitmentCaller caller = settle(json);
        uint256 i;
        for (; has(json, "ballots", i); ++i) {
            bytes32 value = keccak256(vm.parseJsonBytes(json, entry("ballots", i, "ballot")));
            assertEq(commitment(caller, json, "ballots", i, value), vm.parseJsonBytes32(json, entry("ballots", i, "commitment")));
        }
        assertTrue(i == 3, "vectors are missing");
    }

    function settle(string memory json) private returns (CommitmentCaller) {
        vm.chainId(vm.parseJsonUint(json, ".chain_id"));
        address rounds = vm.parseJsonAddress(json, ".rounds");
        vm.etch(rounds, address(new CommitmentCaller()).code);
        return CommitmentCaller(rounds);
    }

    function commitment(CommitmentCaller caller, string memory json, string memory list, uint256 i, bytes32 value) private view returns (bytes32) {
        return caller.compute(
            vm.parseJsonUint(json, entry(list, i, "job")),
            vm.parseJsonUint(json, entry(list, i, "round")),
            vm.parseJsonUint(json, entry(list, i, "member")),
            value,
            bytes16(vm.parseJsonBytes(json, entry(list, i, "salt")))
        );
    }

    function test_running_hashes() public view {
        string memory json = load("commitments");
        for (uint256 i = 0; has(json, "batches", i); ++i) {
            bytes memory entries = vm.parseJsonBytes(json, entry("batches", i, "entries"));
            assertEq(keccak256(entries), vm.parseJsonBytes32(json, entry("batches", i, "hash")));
        }
        for (uint256 i = 0; has(json, "reveals", i); ++i) {
            bytes[] memory calls = vm.parseJsonBytesArray(json, entry("reveals", i, "calls"));
            bytes32 hash;
            for (uint256 call = 0; call < calls.length; ++call) {
                hash = keccak256(abi.encodePacked(hash, calls[call]));
            }
            assertEq(hash, vm.parseJsonBytes32(json, entry("reveals", i, "hash")));
        }
    }

    function test_round_messages_and_signatures() public {
        string memory json = load("messages");
        vm.chainId(vm.parseJsonUint(json, ".chain_id"));
        bytes32 domain = CompactSignatures.domainOf(vm.parseJsonAddress(json, ".rounds"));
        assertEq(domain, vm.parseJsonBytes32(json, ".domains.rounds"));
        checkMessage(json, domain, 0, CompactSignatures.UPDATE_COMMITMENT, "fields.commitment");
        checkMessage(json, domain, 1, CompactSignatures.BALLOT_COMMITMENT, "fields.commitment");
        checkMessage(json, domain, 2, CompactSignatures.MODEL_ATTESTATION, "fields.modelDigest");
    }

    function checkMessage(string memory json, bytes32 domain, uint256 i, bytes32 kind, string memory field) private view {
        bytes32 digest = CompactSignatures.digestOf(
            domain,
            kind,
            vm.parseJsonUint(json, entry("messages", i, "fields.job")),
            vm.parseJsonUint(json, entry("messages", i, "fields.round")),
            vm.parseJsonBytes32(json, entry("messages", i, field))
        );
        assertEq(digest, vm.parseJsonBytes32(json, entry("messages", i, "hash")));
        for (uint256 key = 0; key < 3; ++key) {
            string memory signed = string.concat("signed[", vm.toString(key), "].");
            bytes memory signature = vm.parseJsonBytes(json, entry("messages", i, string.concat(signed, "signature")));
            (bytes32 r, bytes32 vs) = abi.decode(signature, (bytes32, bytes32));
            assertEq(CompactSignatures.recover(digest, r, vs), vm.parseJsonAddress(json, entry("messages", i, string.concat(signed, "signer"))));
        }
    }

    function test_tallies() public {
        string memory json = load("tally");
        VectorTallyCaller caller = new VectorTallyCaller();
        uint256 i;
        for (; has(json, "cases", i); ++i) {
            checkTally(caller, json, i);
        }
        assertTrue(i == 25, "vectors are missing");
    }

    function checkTally(VectorTallyCaller caller, string memory json, uint256 i) private pure {
        string memory name = vm.parseJsonString(json, entry("cases", i, "name"));
        uint256[] memory revealed = vm.parseJsonUintArray(json, entry("cases", i, "revealed"));
        uint256[] memory committee = vm.parseJsonUintArray(json, entry("cases", i, "committee"));
        uint256[] memory seats = vm.parseJsonUintArray(json, entry("cases", i, "seats"));
        uint256[] memory own = new uint256[](seats.length);
        for (uint256 b = 0; b < seats.length; ++b) {
            own[b] = indexOf(revealed, committee[seats[b]]);
        }
        bytes[] memory given = vm.parseJsonBytesArray(json, entry("cases", i, "ballots"));
        bytes memory ballots;
        for (uint256 b = 0; b < given.length; ++b) {
            ballots = bytes.concat(ballots, given[b]);
        }
        Tally.Result memory result = caller.tally(ballots, own, revealed.length);
        assertEq(result.scores, vm.parseJsonBytes(json, entry("cases", i, "scores")), name);
        bytes memory shares = new bytes(2 * committee.length);
        for (uint256 b = 0; b < seats.length; ++b) {
            shares[2 * seats[b]] = bytes1(uint8(result.shares[b] >> 8));
            shares[2 * seats[b] + 1] = bytes1(uint8(result.shares[b]));
        }
        assertEq(shares, vm.parseJsonBytes(json, entry("cases", i, "shares")), name);
    }

    function indexOf(uint256[] memory list, uint256 value) private pure returns (uint256) {
        for (uint256 i = 0; i < list.length; ++i) {
            if (list[i] == value) return i;
        }
        return Tally.NOBODY;
    }

    function test_draws() public {
        string memory json = load("draw");
        uint256 i;
        for (; has(json, "cases", i); ++i) {
            checkDraw(json, i);
        }
        assertTrue(i == 24, "vectors are missing");
    }

    function checkDraw(string memory json, uint256 i) private {
        uint256[] memory members = vm.parseJsonUintArray(json, entry("cases", i, "members"));
        uint256[] memory stakes = vm.parseJsonUintArray(json, entry("cases", i, "stakes"));
        uint256[] memory want = vm.parseJsonUintArray(json, entry("cases", i, "committee"));
        bytes32 seed = vm.parseJsonBytes32(json, entry("cases", i, "seed"));
        uint256 size = vm.parseJsonUint(json, entry("cases", i, "size"));
        uint16[] memory drawn = new DrawCaller(members, stakes).draw(size, seed);
        assertTrue(drawn.length == want.length, vm.parseJsonString(json, entry("cases", i, "name")));
        for (uint256 seat = 0; seat < want.length; ++seat) {
            assertTrue(drawn[seat] == want[seat], vm.parseJsonString(json, entry("cases", i, "name")));
        }
    }

    function test_verdict_trees() public view {
        string memory json = load("merkle");
        uint256 i;
        for (; has(json, "cases", i); ++i) {
            checkTree(json, i);
        }
        assertTrue(i == 9, "vectors are missing");
    }

    function checkTree(string memory json, uint256 i) private view {
        uint256[] memory members = vm.parseJsonUintArray(json, entry("cases", i, "members"));
        uint256[] memory scores = vm.parseJsonUintArray(json, entry("cases", i, "scores"));
        bytes32[] memory digests = vm.parseJsonBytes32Array(json, entry("cases", i, "digests"));
        bytes32[] memory leaves = vm.parseJsonBytes32Array(json, entry("cases", i, "leaves"));
        bytes32 root = vm.parseJsonBytes32(json, entry("cases", i, "root"));
        for (uint256 leaf = 0; leaf < leaves.length; ++leaf) {
            assertEq(VerdictTree.leafOf(members[leaf], digests[leaf], scores[leaf]), leaves[leaf]);
        }
        for (uint256 p = 0; has(json, string.concat("cases[", vm.toString(i), "].proofs"), p); ++p) {
            string memory proofs = string.concat("cases[", vm.toString(i), "].proofs");
            bytes32[] memory proof = vm.parseJsonBytes32Array(json, entry(proofs, p, "proof"));
            bytes32 leaf = leaves[vm.parseJsonUint(json, entry(proofs, p, "index"))];
            assertTrue(MerkleProof.verify(proof, root, leaf), "proof");
        }
        assertEq(VerdictTree.rootOf(leaves), root);
    }
}
