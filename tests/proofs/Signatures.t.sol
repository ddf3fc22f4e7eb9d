// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Commitments} from "../../contracts/libraries/Commitments.sol";
import {CompactSignatures} from "../../contracts/libraries/CompactSignatures.sol";
import {Proof} from "./Proof.sol";

/// A signature or a commitment made for one slot says nothing about any other. (keccak256 is taken to have no collisions.)
contract SignatureProofs is Proof {
    bytes32 private domain;

    function setUp() public {
        domain = CompactSignatures.domainOf(address(this));
    }

    function check_no_two_slots_share_a_digest(uint256 job, uint256 round, bytes32 word, uint256 job2, uint256 round2, bytes32 word2) public view {
        vm.assume(job != job2 || round != round2 || word != word2);
        bytes32 one = CompactSignatures.digestOf(domain, CompactSignatures.UPDATE_COMMITMENT, job, round, word);
        bytes32 other = CompactSignatures.digestOf(domain, CompactSignatures.UPDATE_COMMITMENT, job2, round2, word2);
        assert(one != other);
    }

    function check_no_two_kinds_share_a_digest(uint256 job, uint256 round, bytes32 word, uint256 job2, uint256 round2, bytes32 word2) public view {
        bytes32 update = CompactSignatures.digestOf(domain, CompactSignatures.UPDATE_COMMITMENT, job, round, word);
        bytes32 ballot = CompactSignatures.digestOf(domain, CompactSignatures.BALLOT_COMMITMENT, job2, round2, word2);
        bytes32 model = CompactSignatures.digestOf(domain, CompactSignatures.MODEL_ATTESTATION, job2, round2, word2);
        assert(update != ballot && update != model && ballot != model);
    }

    function check_no_two_contracts_share_a_digest(address one, address other, uint256 job, uint256 round, bytes32 word) public view {
        vm.assume(one != other);
        bytes32 here = CompactSignatures.digestOf(CompactSignatures.domainOf(one), CompactSignatures.BALLOT_COMMITMENT, job, round, word);
        bytes32 there = CompactSignatures.digestOf(CompactSignatures.domainOf(other), CompactSignatures.BALLOT_COMMITMENT, job, round, word);
        assert(here != there);
    }

    function check_no_two_openings_share_a_commitment(uint256 job, uint256 round, uint256 member, bytes32 value, bytes16 salt, uint256 round2, uint256 member2, bytes32 value2, bytes16 salt2) public view {
        vm.assume(round != round2 || member != member2 || value != value2 || salt != salt2);
        bytes32 one = Commitments.compute(Commitments.prepare(job, round), member, value, salt);
        bytes32 other = Commitments.compute(Commitments.prepare(job, round2), member2, value2, salt2);
        assert(one != other);
    }
}
