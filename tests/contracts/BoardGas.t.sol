// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {TRAINER, VALIDATOR} from "../../contracts/interfaces/IProviderRegistry.sol";
import {BoardKit} from "./support/BoardKit.sol";

/// What calls cost with every slot cold, and limits that a change may not cross unnoticed.
/// A transaction adds 21,000 and its calldata.
contract BoardGasTest is BoardKit {
    uint256 private constant MEMBERS = 100;
    uint256 private job;

    function setUp() public override {
        super.setUp();
        job = post(terms());
        for (uint256 i = 0; i < MEMBERS; ++i) {
            enrolAndJoin(job, i, TRAINER | VALIDATOR, STAKE + i * 1 ether);
        }
    }

    function chill() private {
        vm.cool(address(board));
        vm.cool(address(registry));
        vm.cool(address(token));
        vm.cool(address(rounds));
    }

    function firstMembers(uint256 count) private pure returns (bytes memory members) {
        for (uint256 i = 0; i < count; ++i) {
            members = bytes.concat(members, bytes2(uint16(i)));
        }
    }

    function test_registration() external {
        token.transfer(owner(500), STAKE);
        vm.startPrank(owner(500));
        token.approve(address(registry), STAKE);
        address operator = vm.addr(key(500));
        chill();
        uint256 before = gasleft();
        registry.register(operator, TRAINER, STAKE, "http://203.0.113.7:8080", keccak256("capabilities"));
        assertLe(before - gasleft(), 110_000, "register");
    }

    function test_joining() external {
        enrol(500, TRAINER | VALIDATOR, STAKE);
        bytes memory signature = signJoin(job, 500, key(500), TRAINER | VALIDATOR, STAKE, NOW);
        chill();
        uint256 before = gasleft();
        board.joinJob(job, owner(500), TRAINER | VALIDATOR, STAKE, NOW, new bytes32[](0), signature);
        assertLe(before - gasleft(), 180_000, "join");
    }

    function test_claiming() external {
        settle(job, 1, abi.encodePacked(uint16(7), uint32(1000)), address(1), 0);
        uint256[] memory jobs = new uint256[](1);
        jobs[0] = job;
        chill();
        uint256 before = gasleft();
        board.claim(owner(7), jobs);
        assertLe(before - gasleft(), 50_000, "claim");
    }

    function test_oneOperator() external {
        chill();
        bytes memory members = firstMembers(1);
        uint256 before = gasleft();
        board.operatorsOf(job, members);
        assertLe(before - gasleft(), 10_000, "operator");
    }

    function test_hundredOperators() external {
        board.sealRoster(job, 0);
        bytes memory members = firstMembers(MEMBERS);
        chill();
        uint256 before = gasleft();
        board.operatorsOf(job, members);
        assertLe(before - gasleft(), 65_000, "operators");
    }

    function test_draw() external {
        chill();
        uint256 before = gasleft();
        board.drawCommittee(job, 5, keccak256("seed"));
        assertLe(before - gasleft(), 52_000, "draw");
    }

    function test_settlement() external {
        bytes memory payments;
        for (uint256 i = 0; i < MEMBERS; ++i) {
            payments = bytes.concat(payments, abi.encodePacked(uint16(i), uint32(1000)));
        }
        settle(job, 1, payments, address(1), 1);
        chill();
        vm.prank(address(rounds));
        uint256 before = gasleft();
        board.settleRound(job, 2, payments, address(1), 1);
        assertLe(before - gasleft(), 116_000, "settle");
    }
}
