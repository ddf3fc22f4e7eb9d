// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {IAppeals} from "../../contracts/interfaces/IAppeals.sol";
import {IJobBoard, Permit} from "../../contracts/interfaces/IJobBoard.sol";
import {IModelLedger} from "../../contracts/interfaces/IModelLedger.sol";
import {IParameters} from "../../contracts/interfaces/IParameters.sol";
import {IProviderRegistry} from "../../contracts/interfaces/IProviderRegistry.sol";
import {IRounds} from "../../contracts/interfaces/IRounds.sol";
import {RoundKit} from "./support/RoundKit.sol";

/// Anybody calls with anything. What is the contracts' own business is refused, and nobody else's stake or place changes.
contract StrangersTest is RoundKit {
    uint256 private constant TRAINERS = 4;
    uint256 private constant VICTIM = 1;

    address private stranger;

    function setUp() public {
        deploy();
        openJob(terms(TRAINERS, 3), TRAINERS, TRAINERS, 0);
    }

    function comes(address who) private {
        vm.assume(who != address(registry) && who != address(board) && who != address(rounds));
        vm.assume(who != address(faults) && who != address(appeals) && who != address(this));
        vm.assume(who != address(vm) && uint160(who) > 0xffff);
        stranger = who;
    }

    function attempt(address target, bytes memory call) private returns (bool done, bytes memory said) {
        vm.prank(stranger);
        (done, said) = target.call(call);
    }

    function refused(address target, bytes memory call, bytes4 why) private {
        (bool done, bytes memory said) = attempt(target, call);
        assertFalse(done, "done");
        assertEq(said, abi.encodeWithSelector(why, stranger), "refusal");
    }

    function books() private view returns (bytes32 hash) {
        for (uint256 i = 0; i < TRAINERS; ++i) {
            hash = keccak256(abi.encode(hash, registry.providerOf(owner(i)), board.memberOf(job, i)));
        }
        hash = keccak256(abi.encode(hash, board.jobOf(job), token.balanceOf(address(board)), token.balanceOf(address(registry))));
    }

    function testFuzz_the_registry_moves_stake_for_its_contracts_only(address who, address other, uint256 a, uint256 b) public {
        comes(who);
        bytes32 before = books();
        bytes4 why = IProviderRegistry.NotAuthorised.selector;
        address target = address(registry);
        address victim = owner(VICTIM);
        refused(target, abi.encodeCall(IProviderRegistry.lock, (victim, a)), why);
        refused(target, abi.encodeCall(IProviderRegistry.unlock, (victim, a)), why);
        refused(target, abi.encodeCall(IProviderRegistry.slash, (victim, a, other, b)), why);
        refused(target, abi.encodeCall(IProviderRegistry.recordMissedDuty, (victim, b)), why);
        refused(target, abi.encodeCall(IProviderRegistry.clearMissedDuties, (victim)), why);
        refused(target, abi.encodeCall(IProviderRegistry.freezeSlash, (a)), why);
        refused(target, abi.encodeCall(IProviderRegistry.unfreezeSlash, (a)), why);
        refused(target, abi.encodeCall(IProviderRegistry.returnSlash, (a)), why);
        refused(target, abi.encodeCall(IProviderRegistry.slashFor, (victim, a, other, b, 1)), why);
        refused(target, abi.encodeCall(IProviderRegistry.moveStake, (victim, other, a)), why);
        refused(target, abi.encodeCall(IProviderRegistry.holdStake, (victim)), why);
        refused(target, abi.encodeCall(IProviderRegistry.freeStake, (victim)), why);
        refused(target, abi.encodeCall(IProviderRegistry.pardon, (victim)), why);
        assertEq(books(), before, "books");
    }

    function testFuzz_jobs_and_models_move_for_their_rounds_only(address who, uint256 which, bytes32 digest, uint256 fee) public {
        comes(who);
        bytes32 before = books();
        bytes4 why = IJobBoard.NotRounds.selector;
        which = which & 1 == 0 ? job : which;
        refused(address(board), abi.encodeCall(IJobBoard.markRunning, (which)), why);
        refused(address(board), abi.encodeCall(IJobBoard.settleRound, (which, 1, "", who, fee)), why);
        refused(address(board), abi.encodeCall(IJobBoard.recordFailedRound, (which)), why);
        refused(address(board), abi.encodeCall(IJobBoard.stopJob, (which)), why);
        refused(address(board), abi.encodeCall(IJobBoard.endRound, (which)), why);
        refused(address(ledger), abi.encodeCall(IModelLedger.record, (which, 1, digest, digest)), IModelLedger.NotRounds.selector);
        refused(address(rounds), abi.encodeCall(IRounds.stop, (which)), IRounds.NotAppeals.selector);
        assertEq(books(), before, "books");
    }

    function testFuzz_rules_change_by_their_authority_only(address who) public {
        comes(who);
        bytes4 why = IAccessManaged.AccessManagedUnauthorized.selector;
        refused(address(parameters), abi.encodeCall(IParameters.publish, (rules())), why);
        refused(address(parameters), abi.encodeCall(IParameters.pauseEntry, ()), why);
        refused(address(parameters), abi.encodeCall(IParameters.resumeEntry, ()), why);
        refused(address(parameters), abi.encodeCall(IAccessManaged.setAuthority, (who)), why);
        assertEq(IAccessManaged(address(parameters)).authority(), address(this), "authority");
        assertEq(parameters.currentVersion(), 1, "version");
    }

    function testFuzz_roles_are_one_two_or_three(uint8 roles) public {
        uint8 before = registry.providerOf(owner(VICTIM)).roles;
        stranger = owner(VICTIM);
        (bool done,) = attempt(address(registry), abi.encodeCall(IProviderRegistry.setRoles, (roles)));
        assertEq(done, roles >= 1 && roles <= 3, "done");
        assertEq(registry.providerOf(owner(VICTIM)).roles, done ? roles : before, "roles");
    }

    function testFuzz_only_a_provider_speaks_for_itself(address who, string calldata endpoint, bytes32 capabilities) public {
        comes(who);
        vm.assume(who != owner(VICTIM) && who != vm.addr(key(VICTIM)));
        bytes memory call = abi.encodeCall(IProviderRegistry.announce, (owner(VICTIM), endpoint, capabilities));
        refused(address(registry), call, IProviderRegistry.NotAuthorised.selector);
        stranger = vm.addr(key(VICTIM));
        vm.expectEmit(address(registry));
        emit IProviderRegistry.ProviderAnnounced(owner(VICTIM), endpoint, capabilities);
        (bool done,) = attempt(address(registry), call);
        assertTrue(done, "operator");
    }

    function testFuzz_a_replaced_key_counts_once_anybody_says_so(address who, uint256 newKey, uint256 member) public {
        comes(who);
        member = bound(member, 0, TRAINERS - 1);
        address operator = vm.addr(bound(newKey, 1, type(uint128).max));
        vm.prank(owner(member));
        registry.setOperator(operator);
        bytes memory packed = pack16(only(member));
        assertEq(board.operatorsOf(job, packed)[0], vm.addr(key(member)), "before");
        (bool done,) = attempt(address(board), abi.encodeCall(IJobBoard.refreshOperator, (job, owner(member))));
        assertTrue(done, "refreshed");
        assertEq(board.operatorsOf(job, packed)[0], operator, "after");
        (done,) = attempt(address(board), abi.encodeCall(IJobBoard.refreshOperator, (job, who)));
        assertFalse(done, "no member");
    }

    function testFuzz_sealing_changes_nobodys_key(address who, uint256 page) public {
        comes(who);
        page = bound(page, 0, type(uint128).max);
        page = page % 3 == 0 ? 0 : page;
        bytes memory everybody = pack16(range(0, TRAINERS));
        address[] memory before = board.operatorsOf(job, everybody);
        (bool done,) = attempt(address(board), abi.encodeCall(IJobBoard.sealRoster, (job, page)));
        assertEq(done, page == 0, "done");
        assertEq(abi.encode(board.operatorsOf(job, everybody)), abi.encode(before), "operators");
    }

    function testFuzz_a_useful_update_is_neither_unavailable_nor_a_duty_made_good(
        address who,
        uint256 round,
        uint16 member,
        bytes32 digest,
        uint16 score,
        bytes32[] calldata proof
    ) public {
        comes(who);
        whole(1, TRAINERS);
        round = bound(round, 0, 2);
        member %= uint16(TRAINERS);
        digest = uint256(digest) & 1 == 0 ? updateOf(1, member) : digest;
        bytes32 before = books();
        (bool done,) = attempt(address(faults), abi.encodeCall(faults.proveUnavailable, (job, round, member, digest, proof)));
        assertFalse(done, "unavailable");
        (done,) = attempt(address(faults), abi.encodeCall(faults.proveDutyDone, (job, round, member, digest, score, proof)));
        assertFalse(done, "duty");
        assertEq(books(), before, "books");
    }

    function testFuzz_nobody_offers_a_job_for_another(address who, uint256 escrow, uint256 nonce, uint256 deadline, bytes calldata signature)
        public
    {
        comes(who);
        Permit memory none;
        uint256 held = token.balanceOf(REQUESTER);
        bytes memory call =
            abi.encodeCall(IJobBoard.createJobFor, (REQUESTER, terms(TRAINERS, 3), escrow, nonce, deadline, signature, none));
        (bool done,) = attempt(address(board), call);
        assertFalse(done, "done");
        assertEq(board.jobCount(), 1, "jobs");
        assertEq(token.balanceOf(REQUESTER), held, "money");
    }

    function testFuzz_nobody_takes_what_is_not_owed(address who, address account) public {
        comes(who);
        (bool done, bytes memory said) = attempt(address(appeals), abi.encodeCall(IAppeals.takeOwed, (account)));
        assertFalse(done, "done");
        assertEq(said, abi.encodeWithSelector(IAppeals.NothingOwed.selector, account), "refusal");
    }
}
