// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

enum Stage {
    None,
    Drawing,  // waits for the block that seeds the jury's draw
    Commit,   // the jury's votes, sealed
    Reveal,
    Decided,  // may be appealed once more until `endsAt`
    Closed
}

/// One slash, or one finalised model, that somebody does not accept. `level` 1 or 2.
struct Case {
    uint64 job;
    uint64 round;
    uint64 slash;          // 0: the case is about the round's model
    uint16 member;         // who was slashed
    Stage stage;
    uint8 level;
    bool firstOverturned;  // what the first jury found
    bool overturned;       // what stands
    uint64 endsAt;         // of the stage, seconds
    uint64 seedBlock;
    uint128 bond;          // of level 1, wei; level 2 costs twice as much
    address first;         // appellant of level 1: holds that the slash or model is wrong
    address second;        // appellant of level 2: holds that the first jury is wrong
    uint256 committee;     // whose work it is about: see Committees; from bit 240 on, the seats that attested
    uint16 reveals;        // updates revealed in the round
    uint64 committed;      // bit per seat of the present jury
    uint64 revealed;
    uint64 overturning;    // seats that voted to overturn
}

/// What the verdict root of a finalised round commits to beside its verdicts: root = pair(treeRoot, leaf) with
/// leaf = keccak256(abi.encodePacked(committee, finalisedAt, reveals)), the pair sorted as in the tree.
struct Settlement {
    uint256 committee;     // see Committees; from bit 240 on, the seats that attested the model
    uint40 finalisedAt;    // seconds
    uint16 reveals;
    bytes32 treeRoot;      // over the verdicts
}

/// Second and third instance. A jury is drawn from the job's validators like a committee, but is larger (2n + 1, then
/// 4n + 3) and has none of those who decided before, nor the one accused or an appellant. Votes are sealed and signed by operators:
///   AppealVote(uint256 appeal,uint256 level,bytes32 commitment), commitment = keccak256(abi.encode(
///   chainId, this contract, appeal, level, member, bytes32(vote), bytes16 salt)), vote 1 to overturn, 0 to uphold.
interface IAppeals {
    event AppealOpened(uint256 indexed appeal, uint256 indexed job, uint256 indexed round, uint256 slash, uint256 level, address appellant, uint256 bond, uint64 seedBlock);
    event SeedBlockMoved(uint256 indexed appeal, uint64 seedBlock);
    event JuryDrawn(uint256 indexed appeal, uint256 level, bytes32 seed, uint16[] members, uint64 endsAt);
    event VotesCommitted(uint256 indexed appeal, uint256 level, bytes seats, bytes32[] commitments);
    event VotesOpen(uint256 indexed appeal, uint256 level, uint64 endsAt);
    event VoteRevealed(uint256 indexed appeal, uint256 level, uint256 seat, bool overturn, bytes16 salt);
    /// `valid`: a jury of full size was drawn, and more than half of it voted. Otherwise nothing has changed.
    event AppealDecided(uint256 indexed appeal, uint256 level, bool valid, bool overturned, uint64 endsAt);
    event AppealClosed(uint256 indexed appeal, bool overturned);
    event BondAwarded(uint256 indexed appeal, address indexed to, uint256 amount);
    event OwedPaid(address indexed to, uint256 amount);

    error AppealUnknown(uint256 appeal);
    error StageWrong(uint256 appeal, Stage stage, Stage expected);
    error StageOver(uint256 appeal, uint64 endedAt, uint256 now_);
    error StageNotOver(uint256 appeal, uint64 endsAt, uint256 now_);
    error AlreadyAppealed(uint256 appeal);
    error NotAppealable(uint256 slash);
    error AppealTooLate(uint256 endedAt, uint256 now_);
    error SettlementWrong(bytes32 have, bytes32 expected);
    error DrawDue(uint64 seedBlock);
    error SeedPending(uint64 seedBlock, uint256 blockNumber);
    error VoteAlreadyCommitted(uint256 seat);
    error VoteNotCommitted(uint256 seat);
    error VoteWrong(uint256 seat);
    error NothingOwed(address account);

    /// Within the appeal window of a slash. `settlement` counts for an invalid update only.
    function appealSlash(uint256 slash, Settlement calldata settlement) external returns (uint256 appeal);
    /// Within the appeal window from the round's finalisation on.
    function appealModel(uint256 job, uint256 round, Settlement calldata settlement) external returns (uint256 appeal);
    /// Once, within the appeal window of the first jury's decision, for twice the bond.
    function appealAgain(uint256 appeal) external;
    /// Fixes a new block if the seed's is out of reach; moves on a stage that is over. Anybody.
    function advance(uint256 appeal) external;
    /// Draws the jury after the seed block. `header`: that block's header in RLP. Anybody.
    function draw(uint256 appeal, bytes calldata header) external;
    function commitVotes(uint256 appeal, bytes calldata seats, bytes32[] calldata commitments, bytes calldata signatures) external;
    function revealVote(uint256 appeal, uint256 seat, bool overturn, bytes16 salt) external;
    /// Pays an appellant what its bonds have become.
    function takeOwed(address account) external returns (uint256 amount);

    function caseOf(uint256 appeal) external view returns (Case memory);
    function juryOf(uint256 appeal, uint256 level) external view returns (uint16[] memory members);
    function appealCount() external view returns (uint256);
    function owedTo(address account) external view returns (uint256);
    function openCasesOf(uint256 job) external view returns (uint256);
    function isDrawPending(uint256 job) external view returns (bool);
}
