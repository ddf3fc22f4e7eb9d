// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobBoard} from "../../contracts/interfaces/IJobBoard.sol";
import {VALIDATOR} from "../../contracts/interfaces/IProviderRegistry.sol";
import {BoardKit} from "./support/BoardKit.sol";

/// As many members as a job can have; apart, since it takes more gas than all other tests.
contract FullJobTest is BoardKit {
    function test_aJobHasAtMost2048Members() external {
        uint256 job = post(terms());
        for (uint256 i = 0; i < 2048; ++i) {
            enrolAndJoin(job, i, VALIDATOR, STAKE);
        }
        enrol(2048, VALIDATOR, STAKE);
        bytes memory signature = signJoin(job, 2048, key(2048), VALIDATOR, STAKE, NOW);
        vm.expectRevert(abi.encodeWithSelector(IJobBoard.JobFull.selector, job, 2048));
        board.joinJob(job, owner(2048), VALIDATOR, STAKE, NOW, new bytes32[](0), signature);
        quit(job, 7);
        join(job, 7, VALIDATOR, STAKE); // its place is still its own
        assertEq(board.jobOf(job).members, 2048);
        checkFirstFour(job);
    }

    /// All others excluded, the first four are drawn, each once.
    function checkFirstFour(uint256 job) private view {
        uint16[] memory others = new uint16[](2044);
        for (uint256 i = 0; i < others.length; ++i) {
            others[i] = uint16(4 + i);
        }
        uint16[] memory drawn = board.drawJury(job, 5, keccak256("seed"), others);
        assertEq(drawn.length, 4, "drawn");
        uint256 seen;
        for (uint256 i = 0; i < 4; ++i) {
            seen |= 1 << drawn[i];
        }
        assertEq(seen, 15, "each once");
    }
}
