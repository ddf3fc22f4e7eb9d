// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobBoard} from "../../contracts/interfaces/IJobBoard.sol";
import {TRAINER, VALIDATOR} from "../../contracts/interfaces/IProviderRegistry.sol";
import {BoardKit} from "./support/BoardKit.sol";

/// Three pages of members, over two words of every bitmap.
contract ManyPagesTest is BoardKit {
    uint256 private constant MEMBERS = 260;
    uint256 private job;

    function setUp() public override {
        super.setUp();
        job = post(terms());
        for (uint256 i = 0; i < MEMBERS; ++i) {
            enrolAndJoin(job, i, TRAINER | VALIDATOR, STAKE);
        }
        for (uint256 page = 0; page < 3; ++page) {
            board.sealRoster(job, page);
        }
    }

    function staleIn(uint256 page) private view returns (uint256 stale) {
        (, stale) = board.rosterPageOf(job, page);
    }

    function replaceKey(uint256 i) private {
        vm.prank(owner(i));
        registry.setOperator(owner(1000 + i));
        board.refreshOperator(job, owner(i));
    }

    /// The last of four, so that the sealed page is asked.
    function operatorOf(uint256 member) private view returns (address) {
        bytes2 packed = bytes2(uint16(member));
        return board.operatorsOf(job, bytes.concat(packed, packed, packed, packed))[3];
    }

    function test_aPageIsSealedAnewWithoutTheOthers() external {
        uint256[3] memory replaced = [uint256(5), 130, 257];
        for (uint256 i = 0; i < 3; ++i) replaceKey(replaced[i]);
        checkStale(1 << 5, 1 << 2, 1 << 1);
        for (uint256 i = 0; i < 3; ++i) assertEq(operatorOf(replaced[i]), owner(1000 + replaced[i]), "replaced");
        board.sealRoster(job, 2);
        checkStale(1 << 5, 1 << 2, 0);
        board.sealRoster(job, 1);
        checkStale(1 << 5, 0, 0);
        replaceKey(131);
        board.sealRoster(job, 0);
        checkStale(0, 1 << 3, 0);
        for (uint256 i = 0; i < 3; ++i) assertEq(operatorOf(replaced[i]), owner(1000 + replaced[i]), "sealed anew");
    }

    function checkStale(uint256 first, uint256 second, uint256 third) private view {
        assertEq(staleIn(0), first, "first page");
        assertEq(staleIn(1), second, "second page");
        assertEq(staleIn(2), third, "third page");
    }

    function test_aFullPageHolds128() external {
        vm.expectEmit(true, true, true, false, address(board));
        emit IJobBoard.RosterSealed(job, 0, 128, address(0));
        board.sealRoster(job, 0);
        (address pointer,) = board.rosterPageOf(job, 0);
        assertEq(pointer.code.length, 1 + 20 * 128, "code");
    }

    function test_whoLeavesFromTheSecondWordIsGone() external {
        uint256[] memory trainers = board.trainersOf(job);
        assertEq(trainers.length, 2, "words");
        assertEq(trainers[0], type(uint256).max, "the first word");
        assertEq(trainers[1], 15, "the second");
        quit(job, 258);
        trainers = board.trainersOf(job);
        assertEq(trainers[0], type(uint256).max, "the first word");
        assertEq(trainers[1], 11, "the second");
        checkStale(0, 0, 1 << 2);
        assertEq(operatorOf(258), address(0), "gone");
        assertEq(operatorOf(2), vm.addr(key(2)), "the same bit of the first word");
    }
}
