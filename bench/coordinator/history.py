"""The logs of long jobs as a node would give them, made up event by event.

Every round is finalised, its messages relayed in two batches a phase; a block carries one
transaction. Sizes are real, signatures and commitments are random bytes: no contract sees them.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from eth_abi.abi import encode
from eth_utils.abi import collapse_if_tuple
from eth_utils.address import to_checksum_address

from commonweal.adapters.codec import event_topics, to_snake_case
from commonweal.adapters.deployment import CONTRACTS, Deployment, load_abi
from commonweal.protocol import events as ev
from commonweal.protocol.commitments import SALT_BYTES, pack_entries, pack_members, pack_scores
from commonweal.protocol.types import (
    Address,
    Bps,
    Digest,
    JobParameters,
    JobState,
    Phase,
    Role,
    Wei,
)

BATCHES = 2
SEATS = 5
ROUNDS_OF_A_JOB = 500
BLOCK_SECONDS = 2
_STARTED = 1_760_000_000
_TOKEN = 10**18
_NOWHERE = ev.EventRef(0, b"", b"", 0, 0)  # where it stands is told by its block

Events = list[ev.ChainEvent]


@dataclass(frozen=True, slots=True)
class History:
    """`blocks[n]`: the logs of block n as JSON, without the brackets around them."""

    blocks: list[str]
    events: int
    rows: int  # that an indexer derives from them, the events' own not counted


def block_hash(number: int) -> str:
    return "0x" + hashlib.sha256(b"block %d" % number).hexdigest()


def timestamp_of(number: int) -> int:
    return _STARTED + BLOCK_SECONDS * number


def write_history(deployment: Deployment, trainers: int, events: int, seed: int = 0) -> History:
    """At least `events` of them: rounds are not cut short."""
    chance, blocks, count, job, rows = random.Random(seed), [""], 0, 0, trainers
    told = _register(chance, trainers)
    while count < events:
        job, rows = job + 1, rows + 1 + trainers
        told += _found(chance, job, trainers)
        for round_ in range(1, ROUNDS_OF_A_JOB + 1):
            told += _play(chance, job, round_, trainers)
            rows += 1 + 2 * trainers + SEATS
            for block in told:
                blocks.append(_encode_block(deployment, len(blocks), block))
                count += len(block)
            told = []
            if count >= events:
                break
    return History(blocks, count, rows)


def _register(chance: random.Random, trainers: int) -> list[Events]:
    blocks: list[Events] = []
    for member in range(trainers):
        owner, stake = address_of("owner", member), Wei(10**6 * _TOKEN)
        blocks.append(
            [
                ev.ProviderRegistered(_NOWHERE, owner, address_of("operator", member), Role(3)),
                ev.ProviderAnnounced(_NOWHERE, owner, "http://example.org", _word(chance)),
                ev.StakeAdded(_NOWHERE, owner, stake),
            ]
        )
    return blocks


def _found(chance: random.Random, job: int, trainers: int) -> list[Events]:
    parameters = _parameters(chance, trainers)
    escrow, requester = Wei(ROUNDS_OF_A_JOB * 1000 * _TOKEN), address_of("requester", job)
    created = ev.JobCreated(
        _NOWHERE, job, requester, parameters.spec_digest, escrow, Wei(10**12), 1, parameters
    )
    blocks: list[Events] = [[created]]
    for member in range(trainers):
        owner, stake = address_of("owner", member), Wei(100 * _TOKEN)
        keys = (owner, address_of("operator", member))
        blocks.append(
            [
                ev.StakeLocked(_NOWHERE, owner, stake),
                ev.MemberJoined(_NOWHERE, job, member, *keys, Role(3), stake),
            ]
        )
    return [*blocks, [ev.JobStateChanged(_NOWHERE, job, JobState.RUNNING)]]


def _play(chance: random.Random, job: int, round_: int, trainers: int) -> list[Events]:
    """A transaction each, as the relay sends them."""
    at: tuple[Any, int, int] = (_NOWHERE, job, round_)
    opened = ev.RoundOpened(*at, _word(chance), _STARTED)
    return [
        [opened],
        *_commit_and_reveal(chance, at, trainers),
        *_judge(chance, at, trainers),
        _close(chance, at, trainers),
    ]


def _commit_and_reveal(
    chance: random.Random, at: tuple[Any, int, int], trainers: int
) -> list[Events]:
    commits: list[Events] = []
    reveals: list[Events] = []
    for batch in range(BATCHES):
        members = range(trainers)[batch::BATCHES]
        entries = pack_entries([(member, _word(chance)) for member in members])
        openings = b"".join(_word(chance) + chance.randbytes(SALT_BYTES) for _ in members)
        packed, opened = pack_members(members), (1 << len(members)) - 1
        commits.append([ev.UpdatesCommitted(*at, batch, entries)])
        reveals.append([ev.UpdatesRevealed(*at, batch, packed, opened, openings)])
    commits[-1] += [
        ev.PhaseStarted(*at, Phase.REVEAL, _STARTED),
        ev.SeedBlockFixed(*at, _STARTED),
    ]
    seats = tuple(chance.sample(range(trainers), SEATS))
    reveals[0].insert(0, ev.CommitteeDrawn(*at, _word(chance), seats))
    reveals[-1].append(ev.PhaseStarted(*at, Phase.BALLOT_COMMIT, _STARTED))
    return [*commits, *reveals]


def _judge(chance: random.Random, at: tuple[Any, int, int], trainers: int) -> list[Events]:
    scores = pack_scores([chance.randrange(1, 60_000) for _ in range(trainers)])
    commits: list[Events] = []
    reveals: list[Events] = []
    for batch in range(BATCHES):
        seats = bytes(range(SEATS)[batch::BATCHES])
        sealed = tuple(_word(chance) for _ in seats)
        salts = chance.randbytes(SALT_BYTES * len(seats))
        commits.append([ev.BallotsCommitted(*at, seats, sealed)])
        reveals.append([ev.BallotsRevealed(*at, seats, scores * len(seats), salts)])
    commits[-1].append(ev.PhaseStarted(*at, Phase.BALLOT_REVEAL, _STARTED))
    shares = pack_scores([10_000] * SEATS)
    reveals[-1] += [
        ev.RoundTallied(*at, scores, shares),
        ev.PhaseStarted(*at, Phase.ATTEST, _STARTED),
    ]
    return [*commits, *reveals]


def _close(chance: random.Random, at: tuple[Any, int, int], trainers: int) -> Events:
    model, root = _word(chance), _word(chance)
    payments = b"".join(
        member.to_bytes(2) + chance.randrange(1, 10**6).to_bytes(4) for member in range(trainers)
    )
    settled = ev.RoundSettled(
        *at, payments, address_of("coordinator", 0), Wei(_TOKEN), Wei(900 * _TOKEN)
    )
    return [
        ev.ModelAttested(*at, model, bytes(range(SEATS))),
        ev.ModelRecorded(*at, model, root),
        ev.RoundFinalised(*at, model, root),
        settled,
    ]


def _parameters(chance: random.Random, trainers: int) -> JobParameters:
    return JobParameters(
        spec_digest=_word(chance),
        initial_model=_word(chance),
        rounds=ROUNDS_OF_A_JOB,
        price_per_round=Wei(1000 * _TOKEN),
        validator_share_bps=Bps(2000),
        coordinator_share_bps=Bps(100),
        coordinator=address_of("coordinator", 0),
        min_trainers=2,
        max_trainers=trainers,
        committee_size=SEATS,
        min_stake=Wei(100 * _TOKEN),
        commit_window=60,
        reveal_window=60,
        ballot_commit_window=60,
        ballot_reveal_window=60,
        attest_window=60,
        recruit_until=_STARTED,
        max_failed_rounds=3,
        allowlist_root=Digest(bytes(32)),
    )


def address_of(name: str, number: int) -> Address:
    return Address(to_checksum_address(hashlib.sha256(f"{name} {number}".encode()).digest()[:20]))


def _word(chance: random.Random) -> Digest:
    return Digest(chance.randbytes(32))


# Encoding: the reverse of `adapters.codec.decode_log`, which only a chain needs otherwise.


def _encode_block(deployment: Deployment, number: int, events: Events) -> str:
    place = {
        "blockNumber": hex(number),
        "blockHash": block_hash(number),
        "blockTimestamp": hex(timestamp_of(number)),
        "transactionHash": "0x" + hashlib.sha256(b"transaction %d" % number).hexdigest(),
        "transactionIndex": "0x0",
        "removed": False,
    }
    logs = [
        json.dumps({**place, "logIndex": hex(index), **_encode(deployment, event)})
        for index, event in enumerate(events)
    ]
    return ",".join(logs)


def _encode(deployment: Deployment, event: ev.ChainEvent) -> dict[str, Any]:
    name = type(event).__name__
    contract, abi = _find_abi(name)
    values = {entry["name"]: getattr(event, to_snake_case(entry["name"])) for entry in abi}
    indexed = [entry for entry in abi if entry["indexed"]]
    plain = [entry for entry in abi if not entry["indexed"]]
    topics = [event_topics()[name]]
    topics += [encode([entry["type"]], [values[entry["name"]]]) for entry in indexed]
    types = [collapse_if_tuple(dict(entry)) for entry in plain]
    data = encode(types, [_flatten(values[entry["name"]]) for entry in plain])
    return {
        "address": deployment[contract],
        "topics": ["0x" + topic.hex() for topic in topics],
        "data": "0x" + data.hex(),
    }


def _flatten(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return tuple(_flatten(getattr(value, field.name)) for field in fields(value))
    return value


def _find_abi(name: str) -> tuple[str, list[Mapping[str, Any]]]:
    return next(_abis_of(name))


def _abis_of(name: str) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    for contract in CONTRACTS:
        for abi in load_abi(contract):
            if abi["type"] == "event" and abi["name"] == name:
                yield contract, abi["inputs"]
