// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {JobParameters} from "../../../contracts/interfaces/IJobBoard.sol";
import {ProtocolParameters} from "../../../contracts/interfaces/IParameters.sol";
import {Provider, TRAINER, VALIDATOR} from "../../../contracts/interfaces/IProviderRegistry.sol";
import {RoundKit} from "../support/RoundKit.sol";
import {HostileToken} from "./HostileToken.sol";

/// The deployed protocol, its people, and what an onlooker who trusts no contract notes down about them.
/// Whatever must not happen and did is kept in `broken`, under the number of the invariant it breaks.
abstract contract World is RoundKit {
    uint256 internal constant PROVIDERS = 8;
    uint256 internal constant BALLAST = 24; // more providers, who only make a job's roster long
    uint256 internal constant REQUESTER_KEY = 0xbeef;
    uint256 internal constant MOST_JOBS = 64;
    address internal constant STRANGER = address(0x57a);

    struct Account {
        uint256 deposited;
        uint256 withdrawn;
        uint256 slashed;
        uint256 exitAt; // nothing that is unbonding may leave before
        uint256 generation; // of the operator key
    }

    struct Books {
        uint256 version; // of the parameters when it was created
        uint256 escrowed;
        uint256 owed; // earned, not claimed
        uint256 claimed;
        uint256 fees;
        uint256 refunded;
        uint256 finalised;
        uint256 lastPaid; // the last round that paid
    }

    mapping(uint256 invariant => string) public broken;
    mapping(bytes4 selector => uint256 gas) public dearest;
    mapping(string what => uint256 times) public happened;
    uint256 public calls;

    mapping(uint256 provider => Account) internal accounts;
    mapping(address owner => uint256) internal providerAt; // index + 1
    mapping(address operator => uint256) internal keyOf;
    mapping(uint256 job => Books) internal books;
    mapping(uint256 job => JobParameters) internal asked;
    mapping(uint256 job => mapping(uint256 provider => uint256)) internal lockedFor; // when it last joined
    mapping(uint256 job => mapping(uint256 provider => uint256)) internal owedTo;
    mapping(uint256 version => ProtocolParameters) internal published;
    mapping(address recipient => uint256) internal feesOwed;
    uint256 internal settled; // slashes paid out, wei
    uint256 internal donatedToRegistry;
    uint256 internal donatedToBoard;
    HostileToken internal hostile;
    bool internal paused;

    constructor() {
        deploy();
        vm.etch(address(token), type(HostileToken).runtimeCode);
        hostile = HostileToken(address(token));
        published[1] = parameters.parametersAt(1);
        token.transfer(requester(), 100 * PRICE);
        for (uint256 i = 0; i < PROVIDERS + BALLAST; ++i) {
            _register(i);
        }
    }

    /// Stands in for the access manager: only this contract governs.
    function canCall(address caller, address, bytes4) external view returns (bool, uint32) {
        return (caller == address(this), 0);
    }

    function blame(uint256 invariant, string memory what) internal {
        if (bytes(broken[invariant]).length == 0) broken[invariant] = what;
    }

    function note(string memory what) internal {
        ++happened[what];
    }

    // The compiler takes block.timestamp and block.number for constant within a call, which the runner's are not.

    function time() internal view returns (uint256) {
        return vm.getBlockTimestamp();
    }

    function height() internal view returns (uint256) {
        return vm.getBlockNumber();
    }

    /// The invariant that is broken when somebody cannot get out.
    function exits() internal view returns (uint256) {
        return paused ? 9 : 3;
    }

    // Calls

    function attempt(address sender, address target, bytes memory data) internal returns (bool done, bytes memory answer) {
        vm.prank(sender);
        uint256 gas = gasleft();
        (done, answer) = target.call(data);
        gas -= gasleft();
        bytes4 selector = bytes4(data);
        if (target == address(appeals)) selector = "case";
        if (done && gas > dearest[selector]) dearest[selector] = gas;
        hostile.ambush(address(0), "");
    }

    function must(uint256 invariant, string memory what, address sender, address target, bytes memory data) internal returns (bool done) {
        (done,) = attempt(sender, target, data);
        if (!done) blame(invariant, what);
    }

    function mustNot(uint256 invariant, string memory what, address sender, address target, bytes memory data) internal {
        vm.prank(sender);
        (bool done,) = target.call(data);
        if (done) blame(invariant, what);
    }

    // People

    function operatorKey(uint256 i, uint256 generation) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode("operator", i, generation))) >> 1;
    }

    function requester() internal pure returns (address) {
        return vm.addr(REQUESTER_KEY);
    }

    function everybody() internal pure returns (uint256) {
        return PROVIDERS + BALLAST;
    }

    function stakeOf(uint256 i) internal view returns (uint256) {
        Provider memory its = registry.providerOf(owner(i));
        return uint256(its.free) + its.unbonding + its.locked;
    }

    /// What it must be by what went in and out.
    function stakeDue(uint256 i) internal view returns (uint256) {
        Account storage its = accounts[i];
        return its.deposited - its.withdrawn - its.slashed;
    }

    function signAs(uint256 by, address verifier, bytes memory message) internal view returns (bytes memory) {
        return signCompact(by, hashTyped(computeDomainSeparator(verifier), keccak256(message)));
    }

    function pick(uint256 seed, string memory what, uint256 count) internal pure returns (uint256) {
        return uint256(keccak256(abi.encode(seed, what))) % count;
    }

    /// Once in `odds`.
    function chance(uint256 seed, string memory what, uint256 odds) internal pure returns (bool) {
        return pick(seed, what, odds) == 0;
    }

    function _register(uint256 i) private {
        uint256 by = operatorKey(i, 0);
        address operator = vm.addr(by);
        keyOf[operator] = by;
        providerAt[owner(i)] = i + 1;
        uint256 stake = i < PROVIDERS ? 3 * STAKE + i * 1e9 + i : STAKE;
        _fund(i, stake);
        bytes memory data = abi.encodeCall(registry.register, (operator, TRAINER | VALIDATOR, stake, "", 0));
        if (must(3, "a provider cannot register", owner(i), address(registry), data)) accounts[i].deposited = stake;
    }

    function _fund(uint256 i, uint256 amount) internal {
        token.transfer(owner(i), amount);
        vm.prank(owner(i));
        token.approve(address(registry), type(uint256).max);
    }
}
