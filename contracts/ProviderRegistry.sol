// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {IParameters, ProtocolParameters} from "./interfaces/IParameters.sol";
import {IProviderRegistry, Provider, Slash, TRAINER, VALIDATOR} from "./interfaces/IProviderRegistry.sol";
import {TokenTransfer} from "./libraries/TokenTransfer.sol";

/// Stake can be lost: free, unbonding and locked stake alike are slashable until they have left this contract.
/// The operator key cannot move money, but what it signs can cost stake.
contract ProviderRegistry is IProviderRegistry, ReentrancyGuardTransient {
    using SafeCast for uint256;
    using TokenTransfer for IERC20;

    uint256 private constant BPS = 10_000;

    IERC20 public immutable token;
    IParameters public immutable parameters;
    address public immutable board;
    address public immutable faults;
    address public immutable appeals;

    uint256 public slashCount;
    mapping(address operator => uint64) public operatorRetiredAt;
    mapping(address provider => uint256) public holdsOn;
    mapping(address provider => Provider) private _providers;
    mapping(address operator => address provider) private _providersOfOperators;
    mapping(uint256 slash => Slash) private _slashes;

    modifier onlyBoard() {
        if (msg.sender != board) revert NotAuthorised(msg.sender);
        _;
    }

    modifier onlyFaults() {
        if (msg.sender != faults) revert NotAuthorised(msg.sender);
        _;
    }

    modifier onlyAppeals() {
        if (msg.sender != appeals) revert NotAuthorised(msg.sender);
        _;
    }

    constructor(IERC20 token_, IParameters parameters_, address board_, address faults_, address appeals_) {
        token = token_;
        parameters = parameters_;
        board = board_;
        faults = faults_;
        appeals = appeals_;
    }

    /// The caller becomes the owner, for ever. The operator key is not asked: name one that only you hold, since
    /// whatever it signed or signs can slash this stake.
    function register(address operator, uint8 roles, uint256 amount, string calldata endpoint, bytes32 capabilities)
        external
        nonReentrant
    {
        parameters.requireEntryOpen();
        Provider storage provider = _providers[msg.sender];
        if (provider.operator != address(0)) revert AlreadyRegistered(msg.sender);
        _checkRoles(roles);
        _reserveOperator(operator, msg.sender);
        provider.operator = operator;
        provider.roles = roles;
        emit ProviderRegistered(msg.sender, operator, roles);
        emit ProviderAnnounced(msg.sender, endpoint, capabilities);
        if (amount != 0) _addStake(provider, amount);
    }

    function addStake(uint256 amount) external nonReentrant {
        _addStake(_known(msg.sender), amount);
    }

    /// The previous operator stays reserved for this provider and accountable until the unbonding period is over: what it
    /// signed can still slash. Jobs keep the operator they know until `JobBoard.refreshOperator`.
    function setOperator(address operator) external {
        Provider storage provider = _known(msg.sender);
        _reserveOperator(operator, msg.sender);
        address previous = provider.operator;
        provider.operator = operator;
        operatorRetiredAt[previous] = uint64(block.timestamp);
        operatorRetiredAt[operator] = 0;
        emit OperatorReplaced(msg.sender, previous, operator);
    }

    /// For jobs joined from now on; the roles held in a job stay.
    function setRoles(uint8 roles) external {
        Provider storage provider = _known(msg.sender);
        _checkRoles(roles);
        provider.roles = roles;
        emit RolesChanged(msg.sender, roles);
    }

    /// Starts the clock anew for everything that is unbonding, and all of it stays slashable until withdrawn.
    function unbond(uint256 amount) external {
        Provider storage provider = _known(msg.sender);
        uint128 free = provider.free;
        if (amount > free) revert StakeTooLow(msg.sender, free, amount);
        uint64 withdrawableAt =
            uint64(block.timestamp) + parameters.parametersAt(parameters.currentVersion()).unbondingPeriod;
        provider.free = free - uint128(amount);
        provider.unbonding += uint128(amount);
        provider.withdrawableAt = withdrawableAt;
        emit UnbondingStarted(msg.sender, amount, withdrawableAt);
    }

    function withdraw() external nonReentrant returns (uint256 amount) {
        Provider storage provider = _known(msg.sender);
        amount = provider.unbonding;
        if (amount == 0) revert NothingToWithdraw(msg.sender);
        if (block.timestamp < provider.withdrawableAt) revert NotYet(block.timestamp, provider.withdrawableAt);
        if (holdsOn[msg.sender] != 0) revert StakeIsHeld(msg.sender, holdsOn[msg.sender]);
        provider.unbonding = 0;
        provider.withdrawableAt = 0;
        emit StakeWithdrawn(msg.sender, amount);
        token.push(msg.sender, amount);
    }

    function unjail() external {
        Provider storage provider = _known(msg.sender);
        uint64 until = provider.jailedUntil;
        if (until == 0) revert ProviderNotJailed(msg.sender);
        if (block.timestamp < until) revert NotYet(block.timestamp, until);
        provider.jailedUntil = 0;
        emit ProviderUnjailed(msg.sender);
        _clearMissedDuties(provider, msg.sender);
    }

    function announce(address provider, string calldata endpoint, bytes32 capabilities) external {
        if (msg.sender != provider && msg.sender != _known(provider).operator) revert NotAuthorised(msg.sender);
        _known(provider);
        emit ProviderAnnounced(provider, endpoint, capabilities);
    }

    /// Pays out a slash once its appeal window is over. A prover whom the token refuses leaves its bounty to the treasury.
    function settleSlash(uint256 slashId) external nonReentrant {
        Slash storage held = _slashes[slashId];
        if (held.provider == address(0)) revert SlashUnknown(slashId);
        if (held.settled) revert SlashAlreadySettled(slashId);
        if (block.timestamp < held.settleableAt) revert NotYet(block.timestamp, held.settleableAt);
        held.settled = true;
        uint256 bounty = token.tryPush(held.prover, held.bounty) ? held.bounty : 0;
        uint256 toTreasury = held.amount - bounty;
        emit SlashSettled(slashId, toTreasury, bounty);
        token.push(held.treasury, toTreasury);
    }

    function lock(address provider, uint256 amount) external onlyBoard {
        Provider storage known = _known(provider);
        if (known.jailedUntil != 0) revert ProviderIsJailed(provider, known.jailedUntil);
        uint128 free = known.free;
        if (amount > free) revert StakeTooLow(provider, free, amount);
        known.free = free - uint128(amount);
        known.locked += uint128(amount);
        emit StakeLocked(provider, amount);
    }

    /// Frees less than `amount` if slashes have eaten into the locked stake.
    function unlock(address provider, uint256 amount) external onlyBoard {
        Provider storage known = _known(provider);
        uint128 freed = uint128(Math.min(amount, known.locked));
        known.locked -= freed;
        known.free += freed;
        emit StakeUnlocked(provider, freed);
    }

    /// Takes what there is, up to `amount`: free stake first, then unbonding, then locked.
    function slash(address provider, uint256 amount, address prover, uint256 parametersVersion)
        external
        onlyFaults
        returns (uint256 slashId)
    {
        ProtocolParameters memory rules = parameters.parametersAt(parametersVersion);
        uint128 taken = _takeStake(_known(provider), amount);
        uint128 bounty = prover == address(0)
            ? 0
            : uint128(Math.min(uint256(taken) * rules.bountyBps / BPS, rules.bountyCap));
        uint64 settleableAt = uint64(block.timestamp) + rules.appealWindow;
        return _recordSlash(Slash(provider, taken, bounty, prover, rules.treasury, settleableAt, false));
    }

    /// A slash that appeals have decided on, so it waits for nothing. Up to `damage` of it is for the `injured`.
    function slashFor(address provider, uint256 amount, address injured, uint256 damage, uint256 parametersVersion)
        external
        onlyAppeals
        returns (uint256 paid)
    {
        uint128 taken = _takeStake(_known(provider), amount);
        paid = Math.min(taken, damage);
        address treasury = parameters.parametersAt(parametersVersion).treasury;
        _recordSlash(Slash(provider, taken, uint128(paid), injured, treasury, uint64(block.timestamp), false));
    }

    /// Until an appeal has been decided.
    function freezeSlash(uint256 slashId) external onlyAppeals {
        if (_slashes[slashId].settled) revert SlashAlreadySettled(slashId);
        _slashes[slashId].settleableAt = type(uint64).max;
        emit SlashFrozen(slashId);
    }

    function unfreezeSlash(uint256 slashId) external onlyAppeals {
        _slashes[slashId].settleableAt = uint64(block.timestamp);
        emit SlashUnfrozen(slashId);
    }

    function returnSlash(uint256 slashId) external onlyAppeals {
        Slash storage held = _slashes[slashId];
        if (held.settled) revert SlashAlreadySettled(slashId);
        held.settled = true;
        _known(held.provider).free += held.amount;
        emit SlashReturned(slashId, held.provider, held.amount);
    }

    /// Takes what there is, as a slash does.
    function moveStake(address payer, address payee, uint256 amount) external onlyAppeals {
        uint128 taken = _takeStake(_known(payer), amount);
        _known(payee).free += taken;
        emit StakeMoved(payer, payee, taken);
    }

    /// Nothing of it can be withdrawn until every hold is freed.
    function holdStake(address provider) external onlyAppeals {
        emit StakeHeld(provider, ++holdsOn[provider]);
    }

    function freeStake(address provider) external onlyAppeals {
        emit StakeFreed(provider, --holdsOn[provider]);
    }

    function pardon(address provider) external onlyAppeals {
        Provider storage known = _known(provider);
        if (known.jailedUntil != 0) {
            known.jailedUntil = 0;
            emit ProviderUnjailed(provider);
        }
        _clearMissedDuties(known, provider);
    }

    function recordMissedDuty(address provider, uint256 parametersVersion) external onlyFaults {
        ProtocolParameters memory rules = parameters.parametersAt(parametersVersion);
        Provider storage known = _known(provider);
        uint8 inARow = known.missedDuties;
        if (inARow < type(uint8).max) known.missedDuties = ++inARow;
        emit DutyMissed(provider, inARow);
        if (inARow < rules.maxMissedDuties || known.jailedUntil != 0) return;
        uint64 until = uint64(block.timestamp) + rules.unjailDelay;
        known.jailedUntil = until;
        emit ProviderJailed(provider, until);
    }

    /// Does not unjail.
    function clearMissedDuties(address provider) external onlyFaults {
        _clearMissedDuties(_known(provider), provider);
    }

    /// All zero if nobody registered under this address.
    function providerOf(address provider) external view returns (Provider memory) {
        return _providers[provider];
    }

    function providerOfOperator(address operator) external view returns (address) {
        return _providersOfOperators[operator];
    }

    function slashOf(uint256 slashId) external view returns (Slash memory) {
        return _slashes[slashId];
    }

    function _known(address provider) private view returns (Provider storage known) {
        known = _providers[provider];
        if (known.operator == address(0)) revert ProviderUnknown(provider);
    }

    function _checkRoles(uint8 roles) private pure {
        if (roles == 0 || roles > (TRAINER | VALIDATOR)) revert RolesInvalid(roles);
    }

    // Never freed: a signature must for ever point at one provider, or replacing the key would wash off a fault.
    function _reserveOperator(address operator, address provider) private {
        if (operator == address(0)) revert OperatorZero();
        address holder = _providersOfOperators[operator];
        if (holder == provider) return;
        if (holder != address(0)) revert OperatorTaken(operator, holder);
        _providersOfOperators[operator] = provider;
    }

    function _addStake(Provider storage provider, uint256 amount) private {
        provider.free += amount.toUint128();
        emit StakeAdded(msg.sender, amount);
        token.pull(msg.sender, amount);
    }

    function _recordSlash(Slash memory held) private returns (uint256 slashId) {
        slashId = ++slashCount;
        _slashes[slashId] = held;
        emit StakeSlashed(slashId, held.provider, held.amount, held.bounty, held.prover, held.settleableAt);
    }

    function _takeStake(Provider storage provider, uint256 amount) private returns (uint128 taken) {
        uint128 fromFree = uint128(Math.min(amount, provider.free));
        uint128 fromUnbonding = uint128(Math.min(amount - fromFree, provider.unbonding));
        uint128 fromLocked = uint128(Math.min(amount - fromFree - fromUnbonding, provider.locked));
        provider.free -= fromFree;
        provider.unbonding -= fromUnbonding;
        provider.locked -= fromLocked;
        return fromFree + fromUnbonding + fromLocked;
    }

    function _clearMissedDuties(Provider storage known, address provider) private {
        if (known.missedDuties == 0) return;
        known.missedDuties = 0;
        emit MissedDutiesCleared(provider);
    }
}
