// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

enum JobState {
    None,
    Recruiting,
    Running,
    Cancelling, // the round in flight is the last
    Completed,
    Cancelled,
    Exhausted   // too many failed rounds
}

struct JobParameters {
    bytes32 specDigest;          // JobSpec manifest
    bytes32 initialModel;        // ModelManifest digest
    uint32 rounds;               // finalised rounds wanted
    uint128 pricePerRound;       // wei
    uint16 validatorShareBps;    // of pricePerRound
    uint16 coordinatorShareBps;
    address coordinator;         // 0 = whoever finalises
    uint16 minTrainers;
    uint16 maxTrainers;
    uint8 committeeSize;         // odd, 1 to 15
    uint128 minStake;            // wei each member locks at the least; 1e9 or more, so that every validator can be drawn
    uint32 commitWindow;         // seconds
    uint32 revealWindow;
    uint32 ballotCommitWindow;
    uint32 ballotRevealWindow;
    uint32 attestWindow;
    uint64 recruitUntil;         // start earlier only when maxTrainers have joined
    uint16 maxFailedRounds;
    bytes32 allowlistRoot;       // 0 = open to every provider
}

struct Job {
    address requester;
    JobState state;
    uint32 parametersVersion;
    uint32 finalisedRounds;
    uint16 failedRounds;
    uint16 members;              // indices handed out
    uint16 activeTrainers;
    uint16 activeValidators;
    uint256 escrow;              // wei not yet credited, paid or refunded
    uint256 quantum;             // wei per payment unit
    JobParameters parameters;
}

struct Member {
    address provider;
    address operator;
    uint8 roles;
    bool active;
    uint128 stake;               // wei locked for this job; once inactive, what was locked last
    uint256 credit;              // wei earned and not yet claimed
}

struct Permit {
    uint256 value;
    uint256 deadline;
    uint8 v;
    bytes32 r;
    bytes32 s;
}

interface IJobBoard {
    event JobCreated(uint256 indexed job, address indexed requester, bytes32 indexed specDigest, uint256 escrow, uint256 quantum, uint256 parametersVersion, JobParameters parameters);
    event JobStateChanged(uint256 indexed job, JobState state);
    event MemberJoined(uint256 indexed job, uint256 indexed member, address indexed provider, address operator, uint8 roles, uint256 stake);
    event MemberLeft(uint256 indexed job, uint256 indexed member, address indexed provider, uint256 stake);
    event MemberOperatorRefreshed(uint256 indexed job, uint256 indexed member, address operator);
    event RosterSealed(uint256 indexed job, uint256 indexed page, uint256 members, address pointer);
    /// `payments`: (uint16 member, uint32 units) packed, members ascending; wei = units * quantum.
    event RoundSettled(uint256 indexed job, uint256 indexed round, bytes payments, address feeRecipient, uint256 fee, uint256 spent);
    event RewardClaimed(uint256 indexed job, address indexed provider, uint256 amount);
    event FeeClaimed(address indexed recipient, uint256 amount);
    event EscrowRefunded(uint256 indexed job, address indexed requester, uint256 amount);

    error JobUnknown(uint256 job);
    error JobParameterInvalid(string field, uint256 value, uint256 limit);
    error EscrowTooLow(uint256 have, uint256 need);
    error JobStateWrong(uint256 job, JobState state);
    error NotRequester(address caller, address requester);
    error NotRounds(address caller);
    error SignatureExpired(uint256 deadline);
    error SignatureWrong(address recovered, address expected);
    error OfferUsed(address requester, uint256 nonce);
    error JobFull(uint256 job, uint256 limit);
    error MemberExists(uint256 job, address provider);
    error MemberUnknown(uint256 job, address provider);
    error MemberEngaged(uint256 job, uint256 member);
    error NotOnAllowlist(uint256 job, address provider);
    error RolesNotHeld(address provider, uint8 asked, uint8 held);
    error MemberStakeTooLow(uint256 have, uint256 need);
    error MemberStakeTooHigh(uint256 have, uint256 limit);
    error DrawPending(uint256 job);
    error StillAppealable(uint256 job, uint256 until, uint256 openCases);
    error RosterPageEmpty(uint256 job, uint256 page);
    error NothingToClaim(address account);
    error NothingToRefund(uint256 job);

    // Requester
    function createJob(JobParameters calldata parameters, uint256 escrow) external returns (uint256 job);
    /// Anybody may carry a requester's signed offer: EIP-712 `JobOffer(address requester,bytes32 parametersHash,uint256 escrow,uint256 nonce,uint256 deadline)`,
    /// parametersHash = keccak256(abi.encode(parameters)); each (requester, nonce) works once.
    function createJobFor(address requester, JobParameters calldata parameters, uint256 escrow, uint256 nonce, uint256 deadline, bytes calldata signature, Permit calldata permit) external returns (uint256 job);
    function cancel(uint256 job) external;
    function refund(uint256 job) external returns (uint256 amount); // anybody; the money goes to the requester

    // Members. EIP-712 `JobJoin(uint256 job,address provider,uint8 roles,uint256 stake,uint256 nonce,uint256 deadline)` and
    // `JobLeave(uint256 job,address provider,uint256 nonce,uint256 deadline)`, signed by the operator; nonce = `memberNonce(job, provider)`.
    function joinJob(uint256 job, address provider, uint8 roles, uint256 stake, uint256 deadline, bytes32[] calldata allowlistProof, bytes calldata signature) external returns (uint256 member);
    function leaveJob(uint256 job, address provider, uint256 deadline, bytes calldata signature) external;
    function release(uint256 job, address[] calldata providers) external;  // unlock their stake, once nothing of the job can be appealed
    function eject(uint256 job, address provider) external;                 // a jailed provider
    function refreshOperator(uint256 job, address provider) external;       // after setOperator
    function sealRoster(uint256 job, uint256 page) external;                // cache 128 operators as code: cheaper batches

    // Pull payments, always to the provider's owner / the fee's recipient
    function claim(address provider, uint256[] calldata jobs) external returns (uint256 amount);
    function claimFees(address recipient) external returns (uint256 amount);

    // Rounds
    function markRunning(uint256 job) external;
    function settleRound(uint256 job, uint256 round, bytes calldata payments, address feeRecipient, uint256 fee) external;
    function recordFailedRound(uint256 job) external;
    function stopJob(uint256 job) external returns (bool running); // the round in flight is the last; false if the job is over
    function endRound(uint256 job) external returns (bool more); // settles the job's state between rounds

    // Views
    function jobCount() external view returns (uint256);
    function jobOf(uint256 job) external view returns (Job memory);
    function memberOf(uint256 job, uint256 member) external view returns (Member memory);
    function memberIndexOf(uint256 job, address provider) external view returns (uint256 member); // reverts MemberUnknown
    function membersOf(uint256 job, uint256 from, uint256 count) external view returns (Member[] memory);
    function memberNonce(uint256 job, address provider) external view returns (uint256);
    function feesOf(address recipient) external view returns (uint256);
    /// `members`: uint16 each, packed. Returns the operators in the same order, zero for a member who is not active.
    function operatorsOf(uint256 job, bytes calldata members) external view returns (address[] memory);
    /// Where the operators of the members `128 page` to `128 page + 127` are cached: `pointer` is a page of CodePages, zero
    /// if none was sealed. `operatorsOf` answers for a member whose bit (`member & 127`) is set in `stale`, whose entry is
    /// zero, or who is beyond the page's end; for all others the entry is the same.
    function rosterPageOf(uint256 job, uint256 page) external view returns (address pointer, uint256 stale);
    /// Active members with the trainer role, bit per member, 256 to a word. A job hands out at most 2048 member indices (8 words).
    function trainersOf(uint256 job) external view returns (uint256[] memory bitmap);
    /// Stake-weighted draw without replacement among active validators. Returns fewer than `size` if there are fewer.
    function drawCommittee(uint256 job, uint256 size, bytes32 seed) external view returns (uint16[] memory members);
    /// The same without the `excluded`.
    function drawJury(uint256 job, uint256 size, bytes32 seed, uint16[] calldata excluded) external view returns (uint16[] memory members);
    function isReady(uint256 job) external view returns (bool); // recruited enough to start
}
