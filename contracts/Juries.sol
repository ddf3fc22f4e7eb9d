// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Case, IAppeals, Stage} from "./interfaces/IAppeals.sol";
import {IJobBoard, JobParameters} from "./interfaces/IJobBoard.sol";
import {IParameters} from "./interfaces/IParameters.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {Bitmaps} from "./libraries/Bitmaps.sol";
import {Commitments} from "./libraries/Commitments.sol";
import {Committees} from "./libraries/Committees.sol";
import {CompactSignatures} from "./libraries/CompactSignatures.sol";
import {Headers} from "./libraries/Headers.sol";
import {Packed} from "./libraries/Packed.sol";

/// How a case is decided: the draw of a jury, sealed votes, their opening, the count.
/// DANGER: as with committees, no caller may choose the block that seeds a draw, and the board lets nobody join or leave
/// between the choice of that block and the draw.
abstract contract Juries is IAppeals {
    uint256 private constant UNDRAWN_FOR = 7 days; // then the appeal is void
    bytes32 private constant APPEAL_VOTE = keccak256("AppealVote(uint256 appeal,uint256 level,bytes32 commitment)");

    IJobBoard public immutable board;
    IParameters public immutable parameters;

    uint256 public appealCount;
    mapping(uint256 appeal => Case) internal _cases;
    mapping(uint256 appeal => mapping(uint256 level => uint16[])) private _juries;
    mapping(uint256 appeal => mapping(uint256 level => mapping(uint256 seat => bytes32))) private _votes;
    mapping(uint256 job => uint256) private _pendingDraws;

    constructor(IJobBoard board_, IParameters parameters_) {
        board = board_;
        parameters = parameters_;
    }

    function commitVotes(uint256 appeal, bytes calldata seats, bytes32[] calldata commitments, bytes calldata signatures) external {
        Case storage its = _inTime(appeal, Stage.Commit);
        if (seats.length == 0) revert IRounds.BatchEmpty();
        if (seats.length != commitments.length) revert IRounds.LengthsDiffer(seats.length, commitments.length);
        if (signatures.length != 64 * seats.length) revert IRounds.LengthsDiffer(signatures.length, 64 * seats.length);
        for (uint256 i = 0; i < seats.length; ++i) {
            uint256 seat = uint8(seats[i]);
            uint256 member = _memberOn(appeal, its.level, seat);
            if (Bitmaps.has(its.committed, seat)) revert VoteAlreadyCommitted(seat);
            its.committed |= uint64(1 << seat);
            _requireSigned(appeal, its, seat, member, commitments[i], signatures[64 * i:64 * (i + 1)]);
            _votes[appeal][its.level][seat] = commitments[i];
        }
        emit VotesCommitted(appeal, its.level, seats, commitments);
        if (Bitmaps.count(its.committed) == _juries[appeal][its.level].length) _openVotes(appeal, its);
    }

    /// Needs no signature: the opening is the proof.
    function revealVote(uint256 appeal, uint256 seat, bool overturn, bytes16 salt) external {
        Case storage its = _inTime(appeal, Stage.Reveal);
        uint256 member = _memberOn(appeal, its.level, seat);
        if (!Bitmaps.has(its.committed, seat)) revert VoteNotCommitted(seat);
        bytes32 vote = bytes32(uint256(overturn ? 1 : 0));
        bytes32 commitment = Commitments.compute(Commitments.prepare(appeal, its.level), member, vote, salt);
        if (Bitmaps.has(its.revealed, seat) || commitment != _votes[appeal][its.level][seat]) revert VoteWrong(seat);
        its.revealed |= uint64(1 << seat);
        if (overturn) its.overturning |= uint64(1 << seat);
        emit VoteRevealed(appeal, its.level, seat, overturn, salt);
        if (its.revealed == its.committed) _count(appeal, its);
    }

    function caseOf(uint256 appeal) external view returns (Case memory) {
        return _cases[appeal];
    }

    function juryOf(uint256 appeal, uint256 level) external view returns (uint16[] memory members) {
        return _juries[appeal][level];
    }

    function isDrawPending(uint256 job) external view returns (bool) {
        return _pendingDraws[job] != 0;
    }

    function _awaitSeed(uint256 appeal, Case storage its) internal {
        ++its.level;
        its.stage = Stage.Drawing;
        its.seedBlock = uint64(block.number + Headers.SEED_DELAY);
        its.endsAt = uint64(block.timestamp + UNDRAWN_FOR);
        (its.committed, its.revealed, its.overturning) = (0, 0, 0);
        ++_pendingDraws[its.job];
        address appellant = its.level == 1 ? its.first : its.second;
        uint256 bond = its.bond * its.level;
        emit AppealOpened(appeal, its.job, its.round, its.slash, its.level, appellant, bond, its.seedBlock);
    }

    function _advanceJury(uint256 appeal, Case storage its) internal {
        if (its.stage == Stage.Drawing) return _advanceDrawing(appeal, its);
        if (block.timestamp < its.endsAt) revert StageNotOver(appeal, its.endsAt, block.timestamp);
        if (its.stage == Stage.Commit) _openVotes(appeal, its);
        else _count(appeal, its);
    }

    /// What follows from a decision. `valid`: a full jury was drawn, and more than half of it voted.
    function _decide(uint256 appeal, Case storage its, bool valid, bool overturned) internal virtual;

    /// A jury that nobody draws for days keeps neither bond nor stake. The hash of the seed block is out of reach after 256
    /// blocks; then a new one is fixed, its seed as unknown as the first.
    function _advanceDrawing(uint256 appeal, Case storage its) private {
        if (block.timestamp >= its.endsAt) {
            --_pendingDraws[its.job];
            return _decide(appeal, its, false, false);
        }
        if (block.number <= its.seedBlock) revert SeedPending(its.seedBlock, block.number);
        if (blockhash(its.seedBlock) != 0) revert DrawDue(its.seedBlock);
        its.seedBlock = uint64(block.number + Headers.SEED_DELAY);
        emit SeedBlockMoved(appeal, its.seedBlock);
    }

    function _drawJury(uint256 appeal, Case storage its, bytes calldata header) internal {
        if (its.stage != Stage.Drawing) revert StageWrong(appeal, its.stage, Stage.Drawing);
        if (block.number <= its.seedBlock) revert SeedPending(its.seedBlock, block.number);
        --_pendingDraws[its.job];
        bytes32 randao = Headers.randaoOf(header, its.seedBlock);
        bytes32 seed = keccak256(abi.encode(randao, address(this), appeal, its.level));
        JobParameters memory terms = board.jobOf(its.job).parameters;
        uint256 size = (uint256(terms.committeeSize) + 1) * 2 ** its.level - 1; // 2n + 1, then 4n + 3
        uint16[] memory members = board.drawJury(its.job, size, seed, _excluded(appeal, its));
        _juries[appeal][its.level] = members;
        its.endsAt = uint64(block.timestamp) + terms.ballotCommitWindow;
        emit JuryDrawn(appeal, its.level, seed, members, its.endsAt);
        its.stage = Stage.Commit;
        if (members.length < size) _decide(appeal, its, false, false);
    }

    /// Whoever decided before, is accused, or appeals.
    function _excluded(uint256 appeal, Case storage its) private view returns (uint16[] memory list) {
        uint16[] memory before = Committees.unpack(its.committee);
        uint16[] memory jury = _juries[appeal][1];
        list = new uint16[](before.length + jury.length + 3);
        uint256 size;
        for (uint256 i = 0; i < before.length; ++i) list[size++] = before[i];
        for (uint256 i = 0; i < jury.length; ++i) list[size++] = jury[i];
        if (its.slash != 0) list[size++] = its.member;
        size = _appendMember(list, size, its.job, its.first);
        size = _appendMember(list, size, its.job, its.second);
        assembly ("memory-safe") {
            mstore(list, size)
        }
    }

    function _appendMember(uint16[] memory list, uint256 size, uint256 job, address provider) private view returns (uint256) {
        try board.memberIndexOf(job, provider) returns (uint256 member) {
            list[size++] = uint16(member);
        } catch {}
        return size;
    }

    function _openVotes(uint256 appeal, Case storage its) private {
        its.stage = Stage.Reveal;
        its.endsAt = uint64(block.timestamp) + board.jobOf(its.job).parameters.ballotRevealWindow;
        emit VotesOpen(appeal, its.level, its.endsAt);
        if (its.committed == 0) _count(appeal, its);
    }

    /// A tie upholds.
    function _count(uint256 appeal, Case storage its) private {
        uint256 votes = Bitmaps.count(its.revealed);
        bool valid = 2 * votes > _juries[appeal][its.level].length;
        _decide(appeal, its, valid, 2 * Bitmaps.count(its.overturning) > votes);
    }

    function _inTime(uint256 appeal, Stage stage) private view returns (Case storage its) {
        its = _known(appeal);
        if (its.stage != stage) revert StageWrong(appeal, its.stage, stage);
        if (block.timestamp >= its.endsAt) revert StageOver(appeal, its.endsAt, block.timestamp);
    }

    function _known(uint256 appeal) internal view returns (Case storage its) {
        its = _cases[appeal];
        if (its.stage == Stage.None) revert AppealUnknown(appeal);
    }

    function _memberOn(uint256 appeal, uint256 level, uint256 seat) private view returns (uint256) {
        uint16[] storage jury = _juries[appeal][level];
        if (seat >= jury.length) revert IRounds.SeatUnknown(seat);
        return jury[seat];
    }

    function _requireSigned(uint256 appeal, Case storage its, uint256 seat, uint256 member, bytes32 commitment, bytes calldata signature)
        private
        view
    {
        (bytes32 r, bytes32 vs) = Packed.pairAt(signature, 0);
        bytes32 domain = CompactSignatures.domainOf(address(this));
        address signer = CompactSignatures.recover(CompactSignatures.digestOf(domain, APPEAL_VOTE, appeal, its.level, commitment), r, vs);
        address operator = board.operatorsOf(its.job, abi.encodePacked(uint16(member)))[0];
        if (signer == address(0) || signer != operator) revert IRounds.SeatSignatureWrong(seat, signer);
    }
}
