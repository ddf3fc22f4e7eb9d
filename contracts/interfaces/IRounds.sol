// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

enum Phase {
    None,          // no round in flight
    Commit,
    Reveal,
    BallotCommit,
    BallotReveal,
    Attest
}

enum FailureReason {
    TooFewCommitments,
    TooFewReveals,
    CommitteeTooSmall,
    TooFewBallots,
    NothingVerified,
    NoModelAgreed,
    Stopped,       // an earlier model was found wrong
    NotDrawn       // nobody brought the seed for days
}

uint16 constant SCORE_UNAVAILABLE = 65534;
uint16 constant SCORE_INVALID = 65535;

/// A round as it is stored: `Rounds` keeps these words in this order. `RoundLens` reads them for people and agents.
struct RoundWords {
    uint256 header;         // see RoundState.unpack
    uint256 terms;          // see RoundState.termsOf
    uint256 committee;      // see Committees; an older round's while the header names no seats
    bytes32[2] models;      // the parent and, once attested, the next; they swap places
    uint256[16] committed;  // bit per member; what counts, the header says
    uint256[16] revealed;
    uint256[16] idle;
}

/// Batches are byte strings of fixed-width big-endian records. A member is a uint16, a seat a uint8.
/// Signatures are 64 bytes each (r, vs: EIP-2098) over the EIP-712 domain
/// ("Commonweal", "1", chainId, this contract):
///   UpdateCommitment(uint256 job,uint256 round,bytes32 commitment)
///   BallotCommitment(uint256 job,uint256 round,bytes32 commitment)
///   ModelAttestation(uint256 job,uint256 round,bytes32 modelDigest)
interface IRounds {
    event RoundOpened(uint256 indexed job, uint256 indexed round, bytes32 parentModel, uint64 endsAt);
    event PhaseStarted(uint256 indexed job, uint256 indexed round, Phase phase, uint64 endsAt);
    /// `entries`: (uint16 member, bytes32 commitment) each; `batch` counts from 0 within the round.
    event UpdatesCommitted(uint256 indexed job, uint256 indexed round, uint256 indexed batch, bytes entries);
    event SeedBlockFixed(uint256 indexed job, uint256 indexed round, uint64 seedBlock);
    event CommitteeDrawn(uint256 indexed job, uint256 indexed round, bytes32 seed, uint16[] members);
    /// As given to revealUpdates.
    event UpdatesRevealed(uint256 indexed job, uint256 indexed round, uint256 indexed batch, bytes members, uint256 opened, bytes openings);
    event BallotsCommitted(uint256 indexed job, uint256 indexed round, bytes seats, bytes32[] commitments);
    /// As given to revealBallots, without the seals.
    event BallotsRevealed(uint256 indexed job, uint256 indexed round, bytes seats, bytes ballots, bytes salts);
    /// `scores`: uint16 per revealed update, members ascending. `shares`: uint16 bps per seat, of an equal part of the validators' pool.
    event RoundTallied(uint256 indexed job, uint256 indexed round, bytes scores, bytes shares);
    event ModelAttested(uint256 indexed job, uint256 indexed round, bytes32 indexed modelDigest, bytes seats);
    event RoundFinalised(uint256 indexed job, uint256 indexed round, bytes32 modelDigest, bytes32 verdictRoot);
    event RoundFailed(uint256 indexed job, uint256 indexed round, FailureReason reason);
    event AbsenceRecorded(uint256 indexed job, uint256 indexed round, uint16 seats);
    event UnrevealedRecorded(uint256 indexed job, uint256 indexed round, uint256[] bitmap);

    error RoundWrong(uint256 job, uint256 round, uint256 current);
    error PhaseWrong(uint256 job, Phase phase, Phase expected);
    error PhaseOver(uint256 job, uint64 endedAt, uint256 now_);
    error NothingToAdvance(uint256 job, Phase phase, uint64 endsAt);
    error JobNotReady(uint256 job);
    error LengthsDiffer(uint256 a, uint256 b);
    error BatchEmpty();
    error BatchTooLarge(uint256 have, uint256 limit);
    error MemberSignatureWrong(uint256 member, address recovered);
    error NotTrainer(uint256 member);
    error MembersUnsorted(uint256 previous, uint256 member);
    error AlreadyCommitted(uint256 member);
    error AlreadyRevealed(uint256 member);
    error BatchWrong(uint256 batch, bytes32 have, bytes32 expected);
    error SeatUnknown(uint256 seat);
    error SeatSignatureWrong(uint256 seat, address recovered);
    error BallotAlreadyCommitted(uint256 seat);
    error BallotNotCommitted(uint256 seat);
    error BallotWrong(uint256 seat);
    error AlreadyAttested(uint256 seat);
    error DrawDue(uint64 seedBlock);
    error AlreadyDrawn(uint256 job, uint256 round);
    error SeedPending(uint64 seedBlock, uint256 blockNumber);
    error SealsWrong(bytes32 have, bytes32 expected);
    error TallyWrong(bytes32 have, bytes32 expected);
    error RevealsWrong(bytes32 have, bytes32 expected);
    error NotAppeals(address caller);
    error NoModelYet(uint256 job, uint256 round);

    /// Start a ready job, re-arm a seed that is out of reach, close a phase that is complete or over. Anybody.
    function advance(uint256 job) external;
    /// Draws the committee after the seed block. `header`: that block's header in RLP. Anybody.
    function draw(uint256 job, bytes calldata header) external;
    /// At most 256 members. `members` strictly ascending.
    function commitUpdates(uint256 job, uint256 round, bytes calldata members, bytes32[] calldata commitments, bytes calldata signatures) external;
    /// `members`: all members of the commitment batch, in its order. In `openings`, in the same order: (bytes32 digest,
    /// bytes16 salt) if the entry's bit in `opened` is set, else its bytes32 commitment again.
    function revealUpdates(uint256 job, uint256 round, uint256 batch, bytes calldata members, uint256 opened, bytes calldata openings) external;
    function commitBallots(uint256 job, uint256 round, bytes calldata seats, bytes32[] calldata commitments, bytes calldata signatures) external;
    /// By seat: `ballots`, a uint16 score per revealed update, members ascending; `salts`, 16 bytes each. `seals`: per commitBallots call in chain
    /// order, its (uint8 seat, bytes32 commitment) records. Records the openings given. When they cover every committed seat — or, after the deadline, every revealed one — it tallies at once.
    /// Ballots revealed earlier are given again by whoever completes the set.
    function revealBallots(uint256 job, uint256 round, bytes calldata seats, bytes calldata ballots, bytes calldata salts, bytes[] calldata seals) external;
    function attest(uint256 job, uint256 round, bytes32 modelDigest, bytes calldata seats, bytes calldata signatures) external;
    /// `reveals`: per revealUpdates call in chain order, its newly opened (uint16 member, bytes32 digest) records. Pays, records, opens the next round.
    function finalise(uint256 job, uint256 round, bytes[] calldata reveals, bytes calldata scores, bytes calldata shares) external;

    /// Ends the job's round in flight, and with it the job.
    function stop(uint256 job) external;

    function wordsOf(uint256 job) external view returns (RoundWords memory);
    /// The number of the job's last round so far; 0 before the first.
    function lastRoundOf(uint256 job) external view returns (uint256);
    function isDrawPending(uint256 job) external view returns (bool);
    function isEngaged(uint256 job, uint256 member) external view returns (bool);
    /// The seats that missed a duty in a past round, and its members by seat; nothing if none did.
    function absencesOf(uint256 job, uint256 round) external view returns (uint16[] memory members, uint16 absent);
    function isUnrevealed(uint256 job, uint256 round, uint256 member) external view returns (bool);
}
