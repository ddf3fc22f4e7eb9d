// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IJobBoard} from "./interfaces/IJobBoard.sol";
import {IModelLedger} from "./interfaces/IModelLedger.sol";
import {IParameters} from "./interfaces/IParameters.sol";
import {IRounds, Phase} from "./interfaces/IRounds.sol";
import {CompactSignatures} from "./libraries/CompactSignatures.sol";
import {Header, RoundState, Terms} from "./libraries/RoundState.sol";

/// What is kept about rounds, and the checks that open every call.
/// DANGER: a job's slots are used again in every round and are never cleared (a zeroed slot costs four times as much to fill
/// as a used one). A slot's content counts only as far as the header says so: bitmap words by `freshCommitted` and
/// `freshRevealed`, batches by `batches`, the reveals hash by `reveals`, the committee by `seats`, the
/// ballots hash by `ballotsCommitted`, a seat's attestation by its bit.
abstract contract RoundStore is IRounds {
    uint256 internal constant MAX_BATCH = 256;
    uint256 internal constant WORDS_SHOWN = 53; // the length of RoundWords

    struct InFlight {
        // As RoundWords has them.
        uint256 header;
        Terms terms;
        uint256 committee;
        bytes32[2] models;
        uint256[16] committed;
        uint256[16] revealed;
        uint256[16] idle;
        // Not shown.
        uint256 prices; // see RoundState.pricesOf
        address coordinator;
        bytes32 revealsHash;
        bytes32 tallyHash;
        bytes32 ballotsHash; // running hash of the sealed ballots
        bytes32[15] attestations; // model by seat
        mapping(uint256 batch => bytes32) batches; // keccak256(entries)
    }

    IJobBoard public immutable board;
    IModelLedger public immutable ledger;
    IParameters public immutable parameters;
    address public immutable appeals;
    uint256 private immutable _chainId;
    bytes32 private immutable _domainAtHome;

    mapping(uint256 job => InFlight) internal _rounds;
    /// The committee (see Committees) of a round in which a seat missed its duty; from bit 240 on, a bit for each that did.
    mapping(uint256 job => mapping(uint256 round => uint256)) internal _absences;
    mapping(uint256 job => mapping(uint256 round => mapping(uint256 word => uint256))) internal _unrevealed;

    constructor(IJobBoard board_, IModelLedger ledger_, IParameters parameters_, address appeals_) {
        board = board_;
        ledger = ledger_;
        parameters = parameters_;
        appeals = appeals_;
        _chainId = block.chainid;
        _domainAtHome = CompactSignatures.domainOf(address(this));
    }

    /// After a fork of the chain its signatures must not count on both sides.
    function _domain() internal view returns (bytes32) {
        return block.chainid == _chainId ? _domainAtHome : CompactSignatures.domainOf(address(this));
    }

    function _load(uint256 job) internal view returns (Header memory) {
        return RoundState.unpack(_rounds[job].header);
    }

    function _save(uint256 job, Header memory header) internal {
        _rounds[job].header = RoundState.pack(header);
    }

    /// The round's header, if `round` is the one in flight and in `phase`.
    function _enter(uint256 job, uint256 round, Phase phase) internal view returns (Header memory header) {
        header = _load(job);
        if (header.round != round || round == 0) revert RoundWrong(job, round, header.round);
        if (header.phase != phase) revert PhaseWrong(job, header.phase, phase);
    }

    /// The same, for a message that is refused after the phase's deadline even if nobody has moved the phase on.
    function _enterInTime(uint256 job, uint256 round, Phase phase) internal view returns (Header memory header) {
        header = _enter(job, round, phase);
        if (_isOver(header)) revert PhaseOver(job, uint64(header.endsAt), block.timestamp);
    }

    /// As the board's view, but its answer is taken as it lies in memory: decoding a hundred addresses costs 20,000 gas.
    function _operatorsOf(uint256 job, bytes memory members) internal view returns (address[] memory operators) {
        (bool answered, bytes memory answer) = address(board).staticcall(abi.encodeCall(IJobBoard.operatorsOf, (job, members)));
        assert(answered);
        assembly ("memory-safe") {
            operators := add(answer, 0x40) // behind the answer's length and the array's offset
        }
    }

    function _isOver(Header memory header) internal view returns (bool) {
        return block.timestamp >= header.endsAt;
    }

    function _requireSize(uint256 size) internal pure {
        if (size == 0) revert BatchEmpty();
        if (size > MAX_BATCH) revert BatchTooLarge(size, MAX_BATCH);
    }

    function _requireEqual(uint256 a, uint256 b) internal pure {
        if (a != b) revert LengthsDiffer(a, b);
    }

    function _committedWord(uint256 job, Header memory header, uint256 word) internal view returns (uint256) {
        return (header.freshCommitted >> word) & 1 == 0 ? 0 : _rounds[job].committed[word];
    }

    function _revealedWord(uint256 job, Header memory header, uint256 word) internal view returns (uint256) {
        return (header.freshRevealed >> word) & 1 == 0 ? 0 : _rounds[job].revealed[word];
    }

    function _storeCommitted(uint256 job, Header memory header, uint256 word, uint256 bits) internal {
        _rounds[job].committed[word] = bits;
        header.freshCommitted |= 1 << word;
    }

    function _storeRevealed(uint256 job, Header memory header, uint256 word, uint256 bits) internal {
        _rounds[job].revealed[word] = bits;
        header.freshRevealed |= 1 << word;
    }

    function _idleWord(uint256 job, Header memory header, uint256 word) internal view returns (uint256) {
        return header.idles ? _rounds[job].idle[word] : 0;
    }

    function _parentModel(uint256 job, Header memory header) internal view returns (bytes32) {
        return _rounds[job].models[header.parent];
    }
}
