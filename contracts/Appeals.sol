// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Case, Settlement, Stage} from "./interfaces/IAppeals.sol";
import {Fault, IFaults} from "./interfaces/IFaults.sol";
import {IJobBoard, Job, Member} from "./interfaces/IJobBoard.sol";
import {IModelLedger} from "./interfaces/IModelLedger.sol";
import {IParameters, ProtocolParameters} from "./interfaces/IParameters.sol";
import {IProviderRegistry, Slash} from "./interfaces/IProviderRegistry.sol";
import {IRounds} from "./interfaces/IRounds.sol";
import {Juries} from "./Juries.sol";
import {Bitmaps} from "./libraries/Bitmaps.sol";
import {Committees} from "./libraries/Committees.sol";
import {TokenTransfer} from "./libraries/TokenTransfer.sol";
import {VerdictTree} from "./libraries/VerdictTree.sol";

/// Slashes and models on trial. What a case is about stays frozen while it is open: the slash, and the stake of those whose
/// work is in question.
/// DANGER: nobody who decides may gain. Jurors are paid nothing; a lost bond goes to the other side and to the treasury.
contract Appeals is Juries, ReentrancyGuardTransient {
    using TokenTransfer for IERC20;

    uint256 private constant BPS = 10_000;

    IERC20 public immutable token;
    IProviderRegistry public immutable registry;
    IRounds public immutable rounds;
    IModelLedger public immutable ledger;
    IFaults public immutable faults;

    mapping(uint256 slash => uint256 appeal) public appealOfSlash;
    mapping(uint256 job => mapping(uint256 round => uint256 appeal)) public appealOfModel;
    mapping(uint256 job => uint256) public openCasesOf;
    mapping(address account => uint256) public owedTo;

    constructor(
        IERC20 token_,
        IProviderRegistry registry_,
        IJobBoard board_,
        IRounds rounds_,
        IModelLedger ledger_,
        IFaults faults_,
        IParameters parameters_
    ) Juries(board_, parameters_) {
        token = token_;
        registry = registry_;
        rounds = rounds_;
        ledger = ledger_;
        faults = faults_;
    }

    function appealSlash(uint256 slash, Settlement calldata settlement) external nonReentrant returns (uint256 appeal) {
        if (appealOfSlash[slash] != 0) revert AlreadyAppealed(appealOfSlash[slash]);
        (uint256 job, uint256 round, uint256 member, Fault fault) = faults.faultOf(slash);
        if (job == 0) revert NotAppealable(slash);
        uint256 settleableAt = registry.slashOf(slash).settleableAt;
        if (block.timestamp >= settleableAt) revert AppealTooLate(settleableAt, block.timestamp);
        Case memory its;
        (its.job, its.round, its.slash, its.member) = (uint64(job), uint64(round), uint64(slash), uint16(member));
        if (fault == Fault.InvalidUpdate) _fillIn(its, settlement);
        else if (fault == Fault.Absent) its.committee = _absentCommittee(job, round);
        registry.freezeSlash(slash);
        appealOfSlash[slash] = appeal = _open(its);
    }

    function appealModel(uint256 job, uint256 round, Settlement calldata settlement) external nonReentrant returns (uint256 appeal) {
        if (appealOfModel[job][round] != 0) revert AlreadyAppealed(appealOfModel[job][round]);
        Case memory its;
        (its.job, its.round) = (uint64(job), uint64(round));
        _fillIn(its, settlement);
        uint256 endedAt = settlement.finalisedAt + _rulesOf(job).appealWindow;
        if (block.timestamp >= endedAt) revert AppealTooLate(endedAt, block.timestamp);
        appealOfModel[job][round] = appeal = _open(its);
    }

    function appealAgain(uint256 appeal) external nonReentrant {
        Case storage its = _known(appeal);
        if (its.stage != Stage.Decided) revert StageWrong(appeal, its.stage, Stage.Decided);
        if (block.timestamp >= its.endsAt) revert StageOver(appeal, its.endsAt, block.timestamp);
        its.second = msg.sender;
        _awaitSeed(appeal, its);
        token.pull(msg.sender, 2 * uint256(its.bond));
    }

    function advance(uint256 appeal) external nonReentrant {
        Case storage its = _known(appeal);
        if (its.stage == Stage.Closed) revert StageWrong(appeal, its.stage, Stage.Decided);
        if (its.stage != Stage.Decided) return _advanceJury(appeal, its);
        if (block.timestamp < its.endsAt) revert StageNotOver(appeal, its.endsAt, block.timestamp);
        _close(appeal, its, true);
    }

    function draw(uint256 appeal, bytes calldata header) external nonReentrant {
        _drawJury(appeal, _known(appeal), header);
    }

    function takeOwed(address account) external nonReentrant returns (uint256 amount) {
        amount = owedTo[account];
        if (amount == 0) revert NothingOwed(account);
        owedTo[account] = 0;
        emit OwedPaid(account, amount);
        token.push(account, amount);
    }

    /// The round's settlement, proven against its verdict root.
    function _fillIn(Case memory its, Settlement calldata settlement) private view {
        bytes32 leaf = VerdictTree.settlementOf(settlement.committee, settlement.finalisedAt, settlement.reveals);
        bytes32 root = VerdictTree.pair(settlement.treeRoot, leaf);
        bytes32 expected = ledger.verdictRootOf(its.job, its.round);
        if (root != expected || expected == 0) revert SettlementWrong(root, expected);
        its.committee = settlement.committee;
        its.reveals = settlement.reveals;
    }

    function _absentCommittee(uint256 job, uint256 round) private view returns (uint256) {
        (uint16[] memory members,) = rounds.absencesOf(job, round);
        return Committees.pack(members);
    }

    /// The bond: what the job asks of a member as stake.
    function _open(Case memory its) private returns (uint256 appeal) {
        appeal = ++appealCount;
        its.first = msg.sender;
        its.bond = board.jobOf(its.job).parameters.minStake;
        _cases[appeal] = its;
        ++openCasesOf[its.job];
        _holdCommittee(its, true);
        _awaitSeed(appeal, _cases[appeal]);
        token.pull(msg.sender, its.bond);
    }

    /// Whoever decided the first time could have to pay for it, so nobody of them withdraws meanwhile.
    function _holdCommittee(Case memory its, bool held) private {
        uint16[] memory members = Committees.unpack(its.committee);
        for (uint256 i = 0; i < members.length; ++i) {
            address provider = board.memberOf(its.job, members[i]).provider;
            if (held) registry.holdStake(provider);
            else registry.freeStake(provider);
        }
    }

    function _decide(uint256 appeal, Case storage its, bool valid, bool overturned) internal override {
        its.endsAt = uint64(block.timestamp) + _rulesOf(its.job).appealWindow;
        if (valid) its.overturned = overturned;
        if (its.level == 1) its.firstOverturned = its.overturned;
        emit AppealDecided(appeal, its.level, valid, its.overturned, its.endsAt);
        if (valid && its.level == 1) its.stage = Stage.Decided;
        else _close(appeal, its, valid);
    }

    /// `valid`: the last jury's decision counts. Otherwise its appellant gets the bond back, and what stood before stands.
    function _close(uint256 appeal, Case storage its, bool valid) private {
        its.stage = Stage.Closed;
        --openCasesOf[its.job];
        emit AppealClosed(appeal, its.overturned);
        _holdCommittee(its, false);
        _settleBonds(appeal, its, valid);
        if (its.slash == 0) {
            if (its.overturned) _overturnModel(its);
        } else if (its.overturned) {
            _overturnSlash(its);
        } else {
            registry.unfreezeSlash(its.slash);
        }
    }

    /// The first appellant holds that the slash or model is wrong; the second, that the first jury is.
    function _settleBonds(uint256 appeal, Case storage its, bool valid) private {
        bool overturned = its.overturned;
        address defender = its.slash == 0 ? address(0) : registry.slashOf(its.slash).prover;
        if (its.level == 1) {
            return overturned || !valid ? _award(appeal, its.first, its.bond) : _forfeit(appeal, its, its.bond, defender);
        }
        // A second jury that decided the other way proves the second appellant right.
        bool changed = its.firstOverturned != overturned;
        uint256 second = 2 * uint256(its.bond);
        if (changed || !valid) _award(appeal, its.second, second);
        else _forfeit(appeal, its, second, overturned ? its.first : defender);
        if (overturned) _award(appeal, its.first, its.bond);
        else _forfeit(appeal, its, its.bond, changed ? its.second : defender);
    }

    /// Half to the winner, half to the treasury; all of it, if nobody who may gain has won.
    function _forfeit(uint256 appeal, Case storage its, uint256 bond, address winner) private {
        uint256 half = winner == address(0) ? 0 : bond / 2;
        if (half != 0) _award(appeal, winner, half);
        _award(appeal, _rulesOf(its.job).treasury, bond - half);
    }

    function _award(uint256 appeal, address to, uint256 amount) private {
        owedTo[to] += amount;
        emit BondAwarded(appeal, to, amount);
    }

    /// The provider gets back what was taken and, for an update that was not paid, an equal part of the trainers' pool
    /// among all updates revealed in the round, from the stakes of the committee that misjudged it.
    function _overturnSlash(Case storage its) private {
        registry.returnSlash(its.slash);
        uint16[] memory members = Committees.unpack(its.committee);
        address provider = board.memberOf(its.job, its.member).provider;
        if (its.reveals == 0) return registry.pardon(provider);
        uint256 part = _missingPay(its) / members.length;
        for (uint256 i = 0; i < members.length; ++i) {
            registry.moveStake(board.memberOf(its.job, members[i]).provider, provider, part);
        }
    }

    function _missingPay(Case storage its) private view returns (uint256) {
        Job memory job = board.jobOf(its.job);
        uint256 price = job.parameters.pricePerRound;
        uint256 pool = price - price * job.parameters.validatorShareBps / BPS - price * job.parameters.coordinatorShareBps / BPS;
        uint256 parts = its.reveals > job.parameters.minTrainers ? its.reveals : job.parameters.minTrainers;
        return pool / parts;
    }

    /// Its attesters are slashed, and the requester is paid from that for the rounds finalised on it; the job stops, and
    /// its escrow is refunded.
    function _overturnModel(Case storage its) private {
        Job memory job = board.jobOf(its.job);
        uint256 since = rounds.lastRoundOf(its.job) + 1 - its.round;
        uint256 damage = job.parameters.pricePerRound * (since < job.finalisedRounds ? since : job.finalisedRounds);
        uint256 bps = parameters.parametersAt(job.parametersVersion).invalidSlashBps;
        uint16[] memory members = Committees.unpack(its.committee);
        for (uint256 seat = 0; seat < members.length; ++seat) {
            if (!Bitmaps.has(its.committee >> 240, seat)) continue;
            Member memory attester = board.memberOf(its.job, members[seat]);
            uint256 amount = attester.stake * bps / BPS;
            damage -= registry.slashFor(attester.provider, amount, job.requester, damage, job.parametersVersion);
        }
        rounds.stop(its.job);
    }

    function _rulesOf(uint256 job) private view returns (ProtocolParameters memory) {
        return parameters.parametersAt(board.jobOf(job).parametersVersion);
    }
}
