// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

uint8 constant TRAINER = 1;
uint8 constant VALIDATOR = 2;

/// A provider is known by its owner's address.
struct Provider {
    address operator;        // hot key: signs protocol messages, can never move money
    uint8 roles;             // TRAINER | VALIDATOR
    uint8 missedDuties;      // in a row
    uint64 jailedUntil;      // 0 = not jailed; otherwise the second from which `unjail` works
    uint128 free;            // wei
    uint128 locked;          // wei, in jobs
    uint128 unbonding;       // wei, still slashable
    uint64 withdrawableAt;   // when `unbonding` may leave
}

/// A slash that is held back for the appeal window.
struct Slash {
    address provider;
    uint128 amount;      // taken from the provider, wei
    uint128 bounty;      // part of `amount` for `prover`
    address prover;      // 0 = nobody gets a bounty
    address treasury;
    uint64 settleableAt;
    bool settled;
}

interface IProviderRegistry {
    event ProviderRegistered(address indexed provider, address indexed operator, uint8 roles);
    event ProviderAnnounced(address indexed provider, string endpoint, bytes32 capabilities);
    event OperatorReplaced(address indexed provider, address indexed previous, address indexed operator);
    event RolesChanged(address indexed provider, uint8 roles);
    event StakeAdded(address indexed provider, uint256 amount);
    event StakeLocked(address indexed provider, uint256 amount);
    event StakeUnlocked(address indexed provider, uint256 amount);
    event UnbondingStarted(address indexed provider, uint256 amount, uint64 withdrawableAt);
    event StakeWithdrawn(address indexed provider, uint256 amount);
    event StakeSlashed(
        uint256 indexed slash, address indexed provider, uint256 amount, uint256 bounty, address prover, uint64 settleableAt
    );
    event SlashFrozen(uint256 indexed slash);
    event SlashUnfrozen(uint256 indexed slash);
    event SlashReturned(uint256 indexed slash, address indexed provider, uint256 amount);
    event StakeMoved(address indexed payer, address indexed payee, uint256 amount);
    event StakeHeld(address indexed provider, uint256 holds);
    event StakeFreed(address indexed provider, uint256 holds);
    event SlashSettled(uint256 indexed slash, uint256 toTreasury, uint256 bounty);
    event DutyMissed(address indexed provider, uint8 inARow);
    event MissedDutiesCleared(address indexed provider);
    event ProviderJailed(address indexed provider, uint64 until);
    event ProviderUnjailed(address indexed provider);

    error NotAuthorised(address caller);
    error ProviderUnknown(address provider);
    error AlreadyRegistered(address provider);
    error OperatorTaken(address operator, address provider);
    error OperatorZero();
    error RolesInvalid(uint8 roles);
    error StakeTooLow(address provider, uint256 have, uint256 need);
    error ProviderIsJailed(address provider, uint64 until);
    error ProviderNotJailed(address provider);
    error NotYet(uint256 now_, uint256 from);
    error NothingToWithdraw(address provider);
    error TokenAmountMismatch(uint256 received, uint256 expected);
    error StakeIsHeld(address provider, uint256 holds);
    error SlashUnknown(uint256 slash);
    error SlashAlreadySettled(uint256 slash);

    // Owner
    function register(address operator, uint8 roles, uint256 amount, string calldata endpoint, bytes32 capabilities) external;
    function addStake(uint256 amount) external;
    function setOperator(address operator) external;
    function setRoles(uint8 roles) external;
    function unbond(uint256 amount) external;
    function withdraw() external returns (uint256 amount);
    function unjail() external;
    // Owner or operator
    function announce(address provider, string calldata endpoint, bytes32 capabilities) external;
    // Anybody
    function settleSlash(uint256 slash) external;
    // JobBoard
    function lock(address provider, uint256 amount) external;
    function unlock(address provider, uint256 amount) external;
    // Faults
    function slash(address provider, uint256 amount, address prover, uint256 parametersVersion) external returns (uint256 slashId);
    function recordMissedDuty(address provider, uint256 parametersVersion) external;
    function clearMissedDuties(address provider) external;
    // Appeals
    function freezeSlash(uint256 slash) external;
    function unfreezeSlash(uint256 slash) external;
    function returnSlash(uint256 slash) external;
    function slashFor(address provider, uint256 amount, address injured, uint256 damage, uint256 parametersVersion) external returns (uint256 paid);
    function moveStake(address payer, address payee, uint256 amount) external;
    function holdStake(address provider) external;
    function freeStake(address provider) external;
    function pardon(address provider) external;

    function providerOf(address provider) external view returns (Provider memory);
    function providerOfOperator(address operator) external view returns (address); // operators past and present, 0 if none
    function operatorRetiredAt(address operator) external view returns (uint64); // 0 for one in use
    function slashOf(uint256 slash) external view returns (Slash memory);
    function slashCount() external view returns (uint256);
    function holdsOn(address provider) external view returns (uint256); // open appeals that may cost its stake
}
