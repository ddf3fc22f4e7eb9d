// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IAppeals} from "../../../contracts/interfaces/IAppeals.sol";
import {IFaults} from "../../../contracts/interfaces/IFaults.sol";
import {IJobBoard, JobParameters} from "../../../contracts/interfaces/IJobBoard.sol";
import {IModelLedger} from "../../../contracts/interfaces/IModelLedger.sol";
import {IParameters, ProtocolParameters} from "../../../contracts/interfaces/IParameters.sol";
import {IProviderRegistry, TRAINER, VALIDATOR} from "../../../contracts/interfaces/IProviderRegistry.sol";
import {IRoundLens} from "../../../contracts/interfaces/IRoundLens.sol";
import {IRounds} from "../../../contracts/interfaces/IRounds.sol";
import {Artifacts} from "./Artifacts.sol";

interface IRoundsInOne is IRounds {
    function multicall(bytes[] calldata calls) external returns (bytes[] memory);
}

/// The real contracts, and a job with members that really sign.
/// Member i is provider i: its index in the job equals its index here.
abstract contract Deployed is Artifacts {
    uint256 internal constant STAKE = 100 ether;
    uint256 internal constant NOW = 1_800_000_000;
    uint32 internal constant WINDOW = 100;
    uint256 internal constant PRICE = 1000 ether;
    address internal constant TREASURY = address(0x7ea5);
    address internal constant COORDINATOR = address(0xc00d);
    address internal constant REQUESTER = address(0x4e9);
    bytes32 internal constant INITIAL_MODEL = keccak256("initial model");

    IERC20 internal token;
    IParameters internal parameters;
    IProviderRegistry internal registry;
    IJobBoard internal board;
    IModelLedger internal ledger;
    IRoundsInOne internal rounds;
    IRoundLens internal lens;
    IFaults internal faults;
    IAppeals internal appeals;

    uint256 internal job;
    uint256 internal members;

    // Set up

    function rules() internal pure virtual returns (ProtocolParameters memory) {
        return ProtocolParameters({
            treasury: TREASURY,
            unbondingPeriod: 1 days,
            appealWindow: 1 hours,
            unjailDelay: 1 hours,
            feeGrace: 60,
            minWindow: 1,
            maxWindow: 30 days,
            unrevealedSlashBps: 100,
            invalidSlashBps: 1000,
            absentSlashBps: 200,
            equivocationSlashBps: 5000,
            bountyBps: 1000,
            bountyCap: 1 ether,
            maxMissedDuties: 2
        });
    }

    function terms(uint256 trainers, uint8 committeeSize) internal pure virtual returns (JobParameters memory) {
        return JobParameters({
            specDigest: keccak256("spec"),
            initialModel: INITIAL_MODEL,
            rounds: 3,
            pricePerRound: uint128(PRICE),
            validatorShareBps: 2000,
            coordinatorShareBps: 500,
            coordinator: COORDINATOR,
            minTrainers: 2,
            maxTrainers: uint16(trainers),
            committeeSize: committeeSize,
            minStake: uint128(STAKE),
            commitWindow: WINDOW,
            revealWindow: WINDOW,
            ballotCommitWindow: WINDOW,
            ballotRevealWindow: WINDOW,
            attestWindow: WINDOW,
            recruitUntil: uint64(NOW + 10),
            maxFailedRounds: 3,
            allowlistRoot: 0
        });
    }

    function issue() internal virtual returns (IERC20) {
        return IERC20(create("CommonwealToken", abi.encode(address(this), 1e12 ether)));
    }

    function deploy() internal {
        vm.warp(NOW);
        vm.roll(1000);
        token = issue();
        parameters = IParameters(create("Parameters", abi.encode(address(this), rules())));
        uint256 nonce = vm.getNonce(address(this));
        address[6] memory next;
        for (uint256 i = 0; i < 6; ++i) {
            next[i] = vm.computeCreateAddress(address(this), nonce + i);
        }
        registry = IProviderRegistry(create("ProviderRegistry", abi.encode(token, parameters, next[1], next[4], next[5])));
        board = IJobBoard(create("JobBoard", abi.encode(token, registry, parameters, next[3], next[5])));
        ledger = IModelLedger(create("ModelLedger", abi.encode(next[3])));
        rounds = IRoundsInOne(create("Rounds", abi.encode(board, ledger, parameters, next[5])));
        faults = IFaults(create("Faults", abi.encode(registry, board, rounds, ledger, parameters)));
        appeals = IAppeals(create("Appeals", abi.encode(token, registry, board, rounds, ledger, faults, parameters)));
        assertEq(address(appeals), next[5], "predicted addresses");
        lens = IRoundLens(create("RoundLens", abi.encode(rounds, board)));
    }

    /// A running job of `trainers` trainers, the first `validators` of whom judge too; then `extra` who only judge.
    function openJob(JobParameters memory wanted, uint256 trainers, uint256 validators, uint256 extra) internal {
        members = trainers + extra;
        for (uint256 i = 0; i < members; ++i) {
            if (registry.providerOf(owner(i)).operator == address(0)) enrol(i);
        }
        uint256 escrow = uint256(wanted.rounds) * wanted.pricePerRound;
        token.transfer(REQUESTER, escrow);
        vm.startPrank(REQUESTER);
        token.approve(address(board), escrow);
        job = board.createJob(wanted, escrow);
        vm.stopPrank();
        for (uint256 i = 0; i < members; ++i) {
            join(i, rolesOf(i, trainers, validators));
        }
        vm.warp(wanted.recruitUntil);
        rounds.advance(job);
    }

    function rolesOf(uint256 i, uint256 trainers, uint256 validators) internal pure virtual returns (uint8) {
        return i < validators ? TRAINER | VALIDATOR : i < trainers ? TRAINER : VALIDATOR;
    }

    function enrol(uint256 i) internal {
        token.transfer(owner(i), 10 * STAKE);
        vm.startPrank(owner(i));
        token.approve(address(registry), 10 * STAKE);
        registry.register(vm.addr(key(i)), TRAINER | VALIDATOR, 10 * STAKE, "", 0);
        vm.stopPrank();
    }

    function join(uint256 i, uint8 roles) internal {
        uint256 nonce = board.memberNonce(job, owner(i));
        bytes32 form = keccak256("JobJoin(uint256 job,address provider,uint8 roles,uint256 stake,uint256 nonce,uint256 deadline)");
        uint256 deadline = block.timestamp + 1;
        bytes32 message = keccak256(abi.encode(form, job, owner(i), roles, STAKE, nonce, deadline));
        bytes memory signature = signCompact(key(i), hashTyped(computeDomainSeparator(address(board)), message));
        board.joinJob(job, owner(i), roles, STAKE, deadline, new bytes32[](0), signature);
    }

    // Whose

    function key(uint256 i) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("operator", i))) >> 1;
    }

    function owner(uint256 i) internal pure returns (address) {
        return address(uint160(0xaaaa0000 + i));
    }

    function updateOf(uint256 round, uint256 member) internal pure returns (bytes32) {
        return keccak256(abi.encode("update", round, member));
    }

    function saltOf(uint256 round, uint256 who) internal pure returns (bytes16) {
        return bytes16(keccak256(abi.encode("salt", round, who)));
    }

    function modelOf(uint256 round) internal pure returns (bytes32) {
        return keccak256(abi.encode("model", round));
    }
}
