// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {JobBoard} from "../../contracts/JobBoard.sol";
import {JobState} from "../../contracts/interfaces/IJobBoard.sol";
import {IParameters} from "../../contracts/interfaces/IParameters.sol";
import {IProviderRegistry} from "../../contracts/interfaces/IProviderRegistry.sol";
import {Proof, ProofParameters, ProofToken} from "./Proof.sol";

/// A board whose jobs can be put into any state.
contract OpenBoard is JobBoard {
    constructor(IERC20 token_, IParameters parameters_, address rounds_)
        JobBoard(token_, IProviderRegistry(address(0x9999)), parameters_, rounds_, address(0x8888))
    {}

    function put(uint256 job, JobState state, address requester, uint128 escrow, uint96 quantum) external {
        JobRecord storage record = _jobs[job];
        record.state = state;
        record.requester = requester;
        record.escrow = escrow;
        record.quantum = quantum;
        record.parameters.rounds = 3;
        jobCount = job;
    }

    function enrol(uint256 job, uint256 member, address provider) external {
        JobRecord storage record = _jobs[job];
        record.members = uint16(member + 1);
        record.places[provider].member = uint16(member + 1);
        _openCredit(record, member);
    }

    function escrowOf(uint256 job) external view returns (uint256) {
        return _jobs[job].escrow;
    }

    function creditOf(uint256 job, uint256 member) external view returns (uint256) {
        return _creditOf(_jobs[job], member);
    }

    function creditWord(uint256 job) external view returns (uint256) {
        return _jobs[job].credits[0];
    }
}

/// What a job's escrow pays, refunds and keeps, for any amounts.
contract EscrowProofs is Proof {
    address private constant REQUESTER = address(0x1111);
    address private constant COLLECTOR = address(0x2222);
    address private constant FIRST = address(0x3333);
    address private constant SECOND = address(0x4444);
    uint256 private constant JOB = 1;

    ProofToken private token = new ProofToken();
    OpenBoard private board;

    function setUp() public {
        board = new OpenBoard(IERC20(address(token)), IParameters(address(new ProofParameters())), address(this));
    }

    function open(JobState state, uint128 escrow, uint96 quantum) private {
        board.put(JOB, state, REQUESTER, escrow, quantum);
        board.enrol(JOB, 0, FIRST);
        board.enrol(JOB, 1, SECOND);
        token.mint(address(board), escrow);
    }

    function settle(uint32 first, uint32 second, uint128 fee) private returns (bool settled) {
        bytes memory payments = abi.encodePacked(uint16(0), first, uint16(1), second);
        (settled,) = address(board).call(abi.encodeCall(JobBoard.settleRound, (JOB, 1, payments, COLLECTOR, fee)));
    }

    function check_what_is_paid_leaves_the_escrow(uint128 escrow, uint96 quantum, uint32 first, uint32 second, uint128 fee) public {
        open(JobState.Running, escrow, quantum);
        uint256 spent = (uint256(first) + second) * quantum + fee;
        bool settled = settle(first, second, fee);
        assert(settled == (spent <= escrow));
        assert(board.escrowOf(JOB) == (settled ? escrow - spent : escrow));
        assert(board.feesOf(COLLECTOR) == (settled ? fee : 0));
    }

    function check_each_member_gets_its_own_units(uint128 escrow, uint96 quantum, uint32 first, uint32 second) public {
        vm.assume(first < 2 ** 31 && second < 2 ** 31);
        open(JobState.Running, escrow, quantum);
        if (!settle(first, second, 0)) return;
        assert(board.creditWord(JOB) == (uint256(second) + 1) << 32 | (uint256(first) + 1));
    }

    function check_a_refund_is_the_whole_escrow_once(uint128 escrow, uint96 quantum) public {
        vm.assume(escrow != 0);
        open(JobState.Cancelled, escrow, quantum);
        board.refund(JOB);
        assert(token.balanceOf(REQUESTER) == escrow);
        assert(board.escrowOf(JOB) == 0);
        (bool again,) = address(board).call(abi.encodeCall(JobBoard.refund, (JOB)));
        assert(!again);
    }

    function check_no_refund_before_the_end(uint8 state, uint128 escrow) public {
        vm.assume(state < uint8(JobState.Completed));
        open(JobState(state), escrow, 1);
        (bool refunded,) = address(board).call(abi.encodeCall(JobBoard.refund, (JOB)));
        assert(!refunded && token.balanceOf(address(board)) == escrow);
    }

    function check_only_rounds_spends(address caller, uint128 escrow, uint32 units) public {
        vm.assume(caller != address(this));
        open(JobState.Running, escrow, 1);
        vm.prank(caller);
        assert(!settle(units, 0, 0));
        assert(board.escrowOf(JOB) == escrow);
    }

    /// In units of one wei: products of two unknowns are beyond the solvers here, and are proven above.
    function check_a_claim_takes_the_credit_once(uint128 escrow, uint32 first, uint32 second) public {
        vm.assume(first < 2 ** 31 && second < 2 ** 31);
        open(JobState.Running, escrow, 1);
        if (!settle(first, second, 0)) return;
        bytes memory claim = abi.encodeWithSignature("claim(address,uint256[])", FIRST, only(JOB));
        (bool paid,) = address(board).call(claim);
        (bool again,) = address(board).call(claim);
        assert(paid == (first != 0) && !again);
        assert(token.balanceOf(FIRST) == first);
        assert(board.creditOf(JOB, 0) == 0 && board.creditOf(JOB, 1) == second);
    }

    function only(uint256 job) private pure returns (uint256[] memory jobs) {
        jobs = new uint256[](1);
        jobs[0] = job;
    }
}
