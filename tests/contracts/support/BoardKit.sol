// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {CommonwealToken} from "../../../contracts/CommonwealToken.sol";
import {JobBoard} from "../../../contracts/JobBoard.sol";
import {Parameters} from "../../../contracts/Parameters.sol";
import {ProviderRegistry} from "../../../contracts/ProviderRegistry.sol";
import {JobParameters} from "../../../contracts/interfaces/IJobBoard.sol";
import {ProtocolParameters} from "../../../contracts/interfaces/IParameters.sol";
import {Artifacts} from "./Artifacts.sol";

/// Stands where Rounds stands, so that a test can say what no real round would let it say.
contract RoundsDouble {
    mapping(uint256 job => bool) public isDrawPending;
    mapping(uint256 job => mapping(uint256 member => bool)) public isEngaged;

    function setDrawPending(uint256 job, bool pending) external {
        isDrawPending[job] = pending;
    }

    function setEngaged(uint256 job, uint256 member, bool engaged) external {
        isEngaged[job][member] = engaged;
    }
}

/// Stands where Appeals stands.
contract AppealsDouble {
    mapping(uint256 job => bool) public isDrawPending;
    mapping(uint256 job => uint256) public openCasesOf;

    function setDrawPending(uint256 job, bool pending) external {
        isDrawPending[job] = pending;
    }

    function setOpenCases(uint256 job, uint256 cases) external {
        openCasesOf[job] = cases;
    }
}

/// Registry and board as deployed, providers that really sign; this contract holds the tokens.
abstract contract BoardKit is Artifacts {
    uint256 internal constant NOW = 1_800_000_000;
    uint256 internal constant STAKE = 100 ether;
    uint256 internal constant PRICE = 1000 ether;
    uint256 internal constant REQUESTER_KEY = 0xbeef;
    address internal constant FAULTS = address(0xfa17);
    address internal constant TREASURY = address(0x7ea5);

    CommonwealToken internal token;
    AccessManager internal manager;
    Parameters internal parameters;
    ProviderRegistry internal registry;
    RoundsDouble internal rounds;
    AppealsDouble internal appeals;
    JobBoard internal board;

    function setUp() public virtual {
        vm.warp(NOW);
        token = CommonwealToken(create("CommonwealToken", abi.encode(address(this), 1e36)));
        manager = new AccessManager(address(this));
        parameters = Parameters(create("Parameters", abi.encode(manager, rules())));
        rounds = new RoundsDouble();
        appeals = new AppealsDouble();
        address next = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        registry = deployRegistry(token, next, FAULTS, address(appeals));
        board = deployBoard(token);
        assertEq(address(board), next, "predicted address");
    }

    function deployRegistry(IERC20 paidIn, address board_, address faults, address appeals_) internal returns (ProviderRegistry) {
        return ProviderRegistry(create("ProviderRegistry", abi.encode(paidIn, parameters, board_, faults, appeals_)));
    }

    function deployBoard(IERC20 paidIn) internal returns (JobBoard) {
        return JobBoard(create("JobBoard", abi.encode(paidIn, registry, parameters, rounds, appeals)));
    }

    function rules() internal pure returns (ProtocolParameters memory) {
        return ProtocolParameters({
            treasury: TREASURY,
            unbondingPeriod: 1 days,
            appealWindow: 1 hours,
            unjailDelay: 2 hours,
            feeGrace: 60,
            minWindow: 10,
            maxWindow: 1 days,
            unrevealedSlashBps: 100,
            invalidSlashBps: 1000,
            absentSlashBps: 200,
            equivocationSlashBps: 5000,
            bountyBps: 1000,
            bountyCap: 1 ether,
            maxMissedDuties: 2
        });
    }

    function terms() internal pure returns (JobParameters memory asked) {
        asked.specDigest = keccak256("spec");
        asked.initialModel = keccak256("model");
        asked.rounds = 3;
        asked.pricePerRound = uint128(PRICE);
        asked.validatorShareBps = 2000;
        asked.coordinatorShareBps = 500;
        asked.minTrainers = 1;
        asked.maxTrainers = 1024;
        asked.committeeSize = 1;
        asked.minStake = uint128(STAKE);
        asked.commitWindow = 100;
        asked.revealWindow = 100;
        asked.ballotCommitWindow = 100;
        asked.ballotRevealWindow = 100;
        asked.attestWindow = 100;
        asked.recruitUntil = uint64(NOW + 10);
        asked.maxFailedRounds = 1;
    }

    function requester() internal pure returns (address) {
        return vm.addr(REQUESTER_KEY);
    }

    function post(JobParameters memory asked) internal returns (uint256 job) {
        return post(asked, uint256(asked.rounds) * asked.pricePerRound);
    }

    function post(JobParameters memory asked, uint256 escrow) internal returns (uint256 job) {
        token.transfer(requester(), escrow);
        vm.startPrank(requester());
        token.approve(address(board), escrow);
        job = board.createJob(asked, escrow);
        vm.stopPrank();
    }

    function owner(uint256 i) internal pure returns (address) {
        return address(uint160(0x100000 + i));
    }

    function key(uint256 i) internal pure returns (uint256) {
        return 0x200000 + i;
    }

    function enrol(uint256 i, uint8 roles, uint256 stake) internal {
        token.transfer(owner(i), stake);
        vm.startPrank(owner(i));
        token.approve(address(registry), stake);
        registry.register(vm.addr(key(i)), roles, stake, "http://node", keccak256("capabilities"));
        vm.stopPrank();
    }

    function enrolAndJoin(uint256 job, uint256 i, uint8 roles, uint256 stake) internal returns (uint256 member) {
        enrol(i, roles, stake);
        return join(job, i, roles, stake);
    }

    function join(uint256 job, uint256 i, uint8 roles, uint256 stake) internal returns (uint256 member) {
        bytes memory signature = signJoin(job, i, key(i), roles, stake, block.timestamp);
        return board.joinJob(job, owner(i), roles, stake, block.timestamp, new bytes32[](0), signature);
    }

    function signJoin(uint256 job, uint256 i, uint256 by, uint8 roles, uint256 stake, uint256 deadline)
        internal
        view
        returns (bytes memory)
    {
        bytes32 typeHash = keccak256(
            "JobJoin(uint256 job,address provider,uint8 roles,uint256 stake,uint256 nonce,uint256 deadline)"
        );
        uint256 nonce = board.memberNonce(job, owner(i));
        return sign(by, keccak256(abi.encode(typeHash, job, owner(i), roles, stake, nonce, deadline)));
    }

    function quit(uint256 job, uint256 i) internal {
        board.leaveJob(job, owner(i), block.timestamp, signLeave(job, i, key(i), block.timestamp));
    }

    function signLeave(uint256 job, uint256 i, uint256 by, uint256 deadline) internal view returns (bytes memory) {
        bytes32 typeHash = keccak256("JobLeave(uint256 job,address provider,uint256 nonce,uint256 deadline)");
        uint256 nonce = board.memberNonce(job, owner(i));
        return sign(by, keccak256(abi.encode(typeHash, job, owner(i), nonce, deadline)));
    }

    function sign(uint256 by, bytes32 structHash) internal view returns (bytes memory) {
        return signCompact(by, hashTyped(computeDomainSeparator(address(board)), structHash));
    }

    function jail(uint256 i) internal {
        vm.startPrank(FAULTS);
        registry.recordMissedDuty(owner(i), 1);
        registry.recordMissedDuty(owner(i), 1);
        vm.stopPrank();
    }

    function markRunning(uint256 job) internal {
        vm.prank(address(rounds));
        board.markRunning(job);
    }

    function settle(uint256 job, uint256 round, bytes memory payments, address recipient, uint256 fee) internal {
        vm.prank(address(rounds));
        board.settleRound(job, round, payments, recipient, fee);
    }

    function endRound(uint256 job) internal returns (bool more) {
        vm.prank(address(rounds));
        return board.endRound(job);
    }

    /// Ends a running job by failed rounds.
    function exhaust(uint256 job) internal {
        vm.startPrank(address(rounds));
        board.recordFailedRound(job);
        board.recordFailedRound(job);
        assertFalse(board.endRound(job));
        vm.stopPrank();
    }
}
