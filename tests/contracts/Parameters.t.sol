// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IModelLedger} from "../../contracts/interfaces/IModelLedger.sol";
import {IParameters, ProtocolParameters} from "../../contracts/interfaces/IParameters.sol";
import {Deployed} from "./support/Deployed.sol";

contract ParametersTest is Deployed {
    AccessManager private manager;

    function setUp() external {
        manager = new AccessManager(address(this));
        parameters = IParameters(create("Parameters", abi.encode(manager, rules())));
    }

    function rules() internal pure override returns (ProtocolParameters memory p) {
        p.treasury = address(1);
        (p.unbondingPeriod, p.appealWindow, p.unjailDelay, p.feeGrace) = (2 days, 1 days, 3 days, 60);
        (p.minWindow, p.maxWindow, p.maxMissedDuties) = (10, 100, 3);
        (p.unrevealedSlashBps, p.invalidSlashBps, p.absentSlashBps, p.equivocationSlashBps) = (1, 2, 3, 4);
        (p.bountyBps, p.bountyCap) = (5, 6);
    }

    function test_publishKeepsEarlierVersions() external {
        ProtocolParameters memory next = rules();
        next.bountyCap = 77;
        vm.expectEmit(address(parameters));
        emit IParameters.ParametersPublished(2, next);
        assertEq(parameters.publish(next), 2);
        assertEq(parameters.currentVersion(), 2);
        assertEq(keccak256(abi.encode(parameters.parametersAt(1))), keccak256(abi.encode(rules())));
        assertEq(keccak256(abi.encode(parameters.parametersAt(2))), keccak256(abi.encode(next)));
    }

    function test_onlyTheAuthorityPublishes() external {
        vm.prank(address(7));
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, address(7)));
        parameters.publish(rules());
    }

    function test_unknownVersions() external {
        vm.expectRevert(abi.encodeWithSelector(IParameters.ParametersUnknown.selector, 0));
        parameters.parametersAt(0);
        vm.expectRevert(abi.encodeWithSelector(IParameters.ParametersUnknown.selector, 2));
        parameters.parametersAt(2);
    }

    function refuses(ProtocolParameters memory p, string memory field, uint256 value, uint256 limit) private {
        vm.expectRevert(abi.encodeWithSelector(IParameters.ParametersInvalid.selector, field, value, limit));
        parameters.publish(p);
    }

    function test_delaysAndWindowsOutOfBounds() external {
        ProtocolParameters memory p = rules();
        p.treasury = address(0);
        refuses(p, "treasury", 0, 1);
        p = rules();
        p.unbondingPeriod = 366 days;
        refuses(p, "unbondingPeriod", 366 days, 365 days);
        p = rules();
        p.appealWindow = 366 days;
        refuses(p, "appealWindow", 366 days, 365 days);
        p = rules();
        p.unbondingPeriod = p.appealWindow - 1;
        refuses(p, "unbondingPeriod", p.appealWindow - 1, p.appealWindow);
        p = rules();
        p.unjailDelay = 366 days;
        refuses(p, "unjailDelay", 366 days, 365 days);
        p = rules();
        p.feeGrace = 366 days;
        refuses(p, "feeGrace", 366 days, 365 days);
        p = rules();
        p.minWindow = 0;
        refuses(p, "minWindow", 0, 1);
        p = rules();
        p.maxWindow = 9;
        refuses(p, "maxWindow", 9, 10);
        p.maxWindow = 366 days;
        refuses(p, "maxWindow", 366 days, 365 days);
    }

    function test_everyBoundItselfIsAllowed() external {
        ProtocolParameters memory p = rules();
        (p.unbondingPeriod, p.appealWindow, p.unjailDelay, p.feeGrace) = (365 days, 365 days, 365 days, 365 days);
        (p.minWindow, p.maxWindow, p.maxMissedDuties) = (365 days, 365 days, 1);
        (p.unrevealedSlashBps, p.invalidSlashBps, p.absentSlashBps, p.equivocationSlashBps) = (10_000, 10_000, 10_000, 10_000);
        p.bountyBps = 5000;
        assertEq(parameters.publish(p), 2, "the most");
        (p.minWindow, p.maxWindow) = (1, 1);
        assertEq(parameters.publish(p), 3, "the least");
    }

    function test_sharesOutOfBounds() external {
        ProtocolParameters memory p = rules();
        p.unrevealedSlashBps = 10_001;
        refuses(p, "unrevealedSlashBps", 10_001, 10_000);
        p = rules();
        p.invalidSlashBps = 10_001;
        refuses(p, "invalidSlashBps", 10_001, 10_000);
        p = rules();
        p.absentSlashBps = 10_001;
        refuses(p, "absentSlashBps", 10_001, 10_000);
        p = rules();
        p.equivocationSlashBps = 10_001;
        refuses(p, "equivocationSlashBps", 10_001, 10_000);
        p = rules();
        p.bountyBps = 5001;
        refuses(p, "bountyBps", 5001, 5000);
        p = rules();
        p.maxMissedDuties = 0;
        refuses(p, "maxMissedDuties", 0, 1);
    }
}

contract ModelLedgerTest is Deployed {
    function setUp() external {
        ledger = IModelLedger(create("ModelLedger", abi.encode(address(this))));
    }

    function leaf(uint16 member, bytes32 digest, uint16 score) private pure returns (bytes32) {
        return keccak256(abi.encodePacked(member, digest, score));
    }

    function test_recordAndProve() external {
        (bytes32 a, bytes32 b) = (leaf(1, "a", 500), leaf(2, "b", 0));
        bytes32 root = a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
        vm.expectEmit(address(ledger));
        emit IModelLedger.ModelRecorded(3, 4, "model", root);
        ledger.record(3, 4, "model", root);
        assertEq(ledger.modelOf(3, 4), "model");
        assertEq(ledger.verdictRootOf(3, 4), root);
        bytes32[] memory proof = new bytes32[](1);
        proof[0] = b;
        assertTrue(ledger.isVerdict(3, 4, 1, "a", 500, proof));
        assertFalse(ledger.isVerdict(3, 4, 1, "a", 501, proof));
        assertFalse(ledger.isVerdict(3, 5, 1, "a", 500, proof));
        assertTrue(ledger.isVerifiedUpdate(3, 4, "a", abi.encode(uint16(1), uint16(500), proof)));
        assertFalse(ledger.isVerifiedUpdate(3, 4, "x", abi.encode(uint16(1), uint16(500), proof)));
        proof[0] = a;
        assertTrue(ledger.isVerdict(3, 4, 2, "b", 0, proof));
        assertFalse(ledger.isVerifiedUpdate(3, 4, "b", abi.encode(uint16(2), uint16(0), proof)), "rejected");
    }

    function test_faultyUpdatesAreNotVerified() external {
        bytes32[] memory none = new bytes32[](0);
        ledger.record(1, 1, "m", leaf(0, "d", 65_534));
        assertFalse(ledger.isVerifiedUpdate(1, 1, "d", abi.encode(uint16(0), uint16(65_534), none)));
        ledger.record(1, 2, "m", leaf(0, "d", 65_533));
        assertTrue(ledger.isVerifiedUpdate(1, 2, "d", abi.encode(uint16(0), uint16(65_533), none)));
    }

    function test_onlyRoundsRecords() external {
        vm.prank(address(8));
        vm.expectRevert(abi.encodeWithSelector(IModelLedger.NotRounds.selector, address(8)));
        ledger.record(1, 1, 0, 0);
    }
}
