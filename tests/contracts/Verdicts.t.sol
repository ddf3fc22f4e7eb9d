// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IModelLedger} from "../../contracts/interfaces/IModelLedger.sol";
import {AppealKit} from "./support/AppealKit.sol";

interface IAppealRecords {
    function appealOfSlash(uint256 slash) external view returns (uint256 appeal);
    function appealOfModel(uint256 job, uint256 round) external view returns (uint256 appeal);
}

/// What the ledger answers about verdicts, and the appeals about their cases, asked for anything.
contract VerdictsTest is AppealKit {
    struct Leaf {
        uint16 member;
        bytes32 digest;
        uint16 score;
    }

    function own() private returns (IModelLedger) {
        return IModelLedger(create("ModelLedger", abi.encode(address(this)))); // this test stands where Rounds stands
    }

    function hashOf(Leaf memory its) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(its.member, its.digest, its.score));
    }

    function node(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(bytes.concat(a, b)) : keccak256(bytes.concat(b, a));
    }

    /// The tree of four leaves, and the path of the `place`-th.
    function treeOf(Leaf[4] memory list, uint256 place) private pure returns (bytes32 root, bytes32[] memory path) {
        bytes32[2] memory pairs = [node(hashOf(list[0]), hashOf(list[1])), node(hashOf(list[2]), hashOf(list[3]))];
        path = new bytes32[](2);
        (path[0], path[1]) = (hashOf(list[place ^ 1]), pairs[place >> 1 ^ 1]);
        root = node(pairs[0], pairs[1]);
    }

    function testFuzz_the_ledger_knows_verdicts_by_their_path_only(Leaf[4] memory list, uint256 place, uint256 wrong, bytes32 model, uint64 which)
        public
    {
        IModelLedger its = own();
        place %= 4;
        // The scores at which a verdict changes its meaning, more often than by chance.
        if (wrong & 8 == 0) list[place].score = [uint16(0), 1, 65_533, 65_534, 65_535][wrong % 5];
        (bytes32 root, bytes32[] memory path) = treeOf(list, place);
        its.record(which, 1, model, root);
        Leaf memory leaf = list[place];
        assertEq(its.modelOf(which, 1), model, "model");
        assertEq(its.verdictRootOf(which, 1), root, "root");
        assertTrue(its.isVerdict(which, 1, leaf.member, leaf.digest, leaf.score, path), "verdict");
        bool verified = leaf.score != 0 && leaf.score <= 65_533;
        assertEq(its.isVerifiedUpdate(which, 1, leaf.digest, abi.encode(leaf.member, leaf.score, path)), verified, "verified");
        assertEq(its.verdictRootOf(which, 2), 0, "no other round");
        assertEq(its.modelOf(uint256(which) + 1, 1), 0, "no other job");
        assertFalse(its.isVerdict(which, 2, leaf.member, leaf.digest, leaf.score, path), "in no other round");
        refused(its, which, leaf, path, wrong);
    }

    /// One thing about the proof is changed.
    function refused(IModelLedger its, uint256 which, Leaf memory leaf, bytes32[] memory path, uint256 wrong) private view {
        uint256 bit = wrong >> 16;
        if (wrong % 4 == 0) leaf.member ^= uint16(1 << bit % 16);
        else if (wrong % 4 == 1) leaf.digest ^= bytes32(1 << bit % 256);
        else if (wrong % 4 == 2) leaf.score ^= uint16(1 << bit % 16);
        else path[bit & 1] ^= bytes32(1 << (bit >> 1) % 256);
        assertFalse(its.isVerdict(which, 1, leaf.member, leaf.digest, leaf.score, path), "no verdict");
        assertFalse(its.isVerifiedUpdate(which, 1, leaf.digest, abi.encode(leaf.member, leaf.score, path)), "not verified");
    }

    /// `what`: bit 0, the slash is appealed; bit 1, the model; bit 2, the jury overturns what was appealed last.
    function testFuzz_the_books_of_appeals(uint256 what, uint256 other, address somebody) public {
        IAppealRecords records = IAppealRecords(address(appeals));
        conclude(1, 65_535);
        uint256 slash = slashLast(1);
        uint256 opened;
        if (what & 1 != 0) {
            appealSlash(slash);
            opened += 1;
        }
        if (what & 2 != 0) {
            appealModel(1);
            opened += 1;
        }
        assertEq(appeals.openCasesOf(job), opened, "open");
        assertEq(records.appealOfSlash(slash), what & 1, "of the slash");
        assertEq(records.appealOfModel(job, 1), what & 2 == 0 ? 0 : opened, "of the model");
        vm.assume(other != 1);
        assertEq(records.appealOfSlash(other), 0, "of no slash");
        assertEq(records.appealOfModel(job, other), 0, "of no round");
        assertEq(appeals.openCasesOf(other), 0, "of no job");
        if (opened != 0) judged(opened, what & 4 != 0, somebody);
    }

    /// The bond goes back to whoever won with it, or to the treasury: nobody else may gain.
    function judged(uint256 appeal, bool overturn, address somebody) private {
        vm.assume(somebody != APPELLANT && somebody != TREASURY);
        assertEq(appeals.owedTo(APPELLANT), 0, "before");
        judgeAppeal(appeal, overturn ? 7 : 0);
        waitForClose(appeal);
        assertEq(appeals.openCasesOf(job), appeal - 1, "one less");
        assertEq(appeals.owedTo(APPELLANT), overturn ? BOND : 0, "the appellant's");
        assertEq(appeals.owedTo(TREASURY), overturn ? 0 : BOND, "the treasury's");
        assertEq(appeals.owedTo(somebody), 0, "nobody's");
    }
}
