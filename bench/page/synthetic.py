"""A finished job of 1,000 trainers × 500 rounds, written straight into a coordinator's database.

Scores are random over a wide range, which compresses worse than real ones do.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, insert

from commonweal.adapters.chain import Block
from commonweal.adapters.deployment import Deployment
from commonweal.protocol.types import SCORE_INVALID, SCORE_UNAVAILABLE
from service import tables as t
from service.database import migrate, open_engine

JOB = 1
SEATS = 5
_TOKEN = 10**18
_STARTED = 1_760_000_000
_ROUND_SECONDS = 600
_ROWS_AT_ONCE = 50_000
_NOBODY = "0x" + "00" * 20


def write_history(
    url: str, deployment: Deployment, head: Block, *, trainers: int, rounds: int, seed: int = 0
) -> None:
    """`head`: the chain's, so that the coordinator goes on from there. The database must be new."""
    rng = np.random.default_rng(seed)
    scores = _draw_scores(rng, rounds, trainers)
    engine = open_engine(url)
    migrate(engine)
    with engine.begin() as connection:
        _write(connection, t.providers, _providers(rng, trainers))
        owners = [row["provider"] for row in _providers(np.random.default_rng(seed), trainers)]
        connection.execute(insert(t.jobs).values(_job(rounds, trainers)))
        _write(connection, t.members, _members(rng, owners, scores))
        _write(connection, t.rounds, _rounds(rng, rounds))
        _write(connection, t.updates, _updates(rng, scores))
        _write(connection, t.payments, _payments(scores))
        _write(connection, t.ballots, _ballots(rng, scores))
        _write(connection, t.faults, _faults(scores, owners))
        _write(connection, t.events, _events(rng, deployment.chain_id, scores))
        connection.execute(insert(t.cursors).values(_cursor(deployment, head)))
        connection.execute(insert(t.checkpoints).values(_checkpoint(head)))
    engine.dispose()


def database_url(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'coordinator.db'}"


def _write(connection: Connection, table: Any, rows: Iterator[dict[str, Any]]) -> None:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == _ROWS_AT_ONCE:
            connection.execute(insert(table), batch)
            batch = []
    if batch:
        connection.execute(insert(table), batch)


def _draw_scores(rng: np.random.Generator, rounds: int, trainers: int) -> NDArray[np.uint16]:
    """(rounds, trainers): nine in ten verified, the others rejected, invalid or unavailable."""
    scores = rng.integers(200, 6_000, size=(rounds, trainers)).astype(np.uint16)
    fate = rng.random((rounds, trainers))
    scores[fate > 0.90] = 0
    scores[fate > 0.98] = SCORE_INVALID
    scores[fate > 0.99] = SCORE_UNAVAILABLE
    return scores


def _providers(rng: np.random.Generator, trainers: int) -> Iterator[dict[str, Any]]:
    for _ in range(trainers):
        yield {
            "provider": "0x" + rng.bytes(20).hex(),
            "operator": "0x" + rng.bytes(20).hex(),
            "roles": 3,
            "endpoint": "",
            "free": 0,
            "locked": 100 * _TOKEN,
            "unbonding": 0,
            "withdrawable_at": 0,
            "missed_duties": 0,
            "jailed_until": 0,
            "slashed": 0,
            "registered_at": _STARTED,
        }


def _job(rounds: int, trainers: int) -> dict[str, Any]:
    windows = ("commit", "reveal", "ballot_commit", "ballot_reveal", "attest")
    parameters = {
        "spec_digest": "0x" + "01" * 32,
        "initial_model": "0x" + "02" * 32,
        "rounds": rounds,
        "price_per_round": str(1_000 * _TOKEN),
        "committee_size": SEATS,
        "max_trainers": trainers,
        **{f"{name}_window": 120 for name in windows},
    }
    return {
        "job": JOB,
        "requester": _NOBODY,
        "state": "completed",
        "spec_digest": b"\1" * 32,
        "parameters_version": 1,
        "parameters": parameters,
        "deposit": rounds * 1_000 * _TOKEN,
        "escrow": 0,
        "refunded": 0,
        "quantum": 10**15,
        "finalised_rounds": rounds,
        "failed_rounds": 0,
        "created_block": 1,
        "created_at": _STARTED,
    }


def _verified(scores: NDArray[np.uint16]) -> NDArray[np.bool_]:
    return (scores > 0) & (scores < SCORE_UNAVAILABLE)


def _members(
    rng: np.random.Generator, owners: list[str], scores: NDArray[np.uint16]
) -> Iterator[dict[str, Any]]:
    earned = _verified(scores).sum(axis=0)
    for member, owner in enumerate(owners):
        yield {
            "job": JOB,
            "member": member,
            "provider": owner,
            "operator": "0x" + rng.bytes(20).hex(),
            "roles": 3,
            "stake": 100 * _TOKEN,
            "active": True,
            "earned": int(earned[member]) * _TOKEN,
        }


def _rounds(rng: np.random.Generator, rounds: int) -> Iterator[dict[str, Any]]:
    parent = b"\2" * 32
    for round_ in range(1, rounds + 1):
        model = rng.bytes(32)
        yield {
            "job": JOB,
            "round": round_,
            "state": "finalised",
            "phase": "none",
            "ends_at": _opened(round_ + 1),
            "parent_model": parent,
            "model": model,
            "verdict_root": rng.bytes(32),
            "seed": rng.bytes(32),
            "committee": list(range(SEATS)),
            "fee": 0,
            "spent": 1_000 * _TOKEN,
            "unrevealed": [],
            "absent": [],
            "opened_at": _opened(round_),
            "closed_at": _opened(round_ + 1) - 5,
        }
        parent = model


def _updates(rng: np.random.Generator, scores: NDArray[np.uint16]) -> Iterator[dict[str, Any]]:
    for (index, member), score in np.ndenumerate(scores):
        yield {
            **_slot(index),
            "member": member,
            "batch": member // 100,
            "commitment": rng.bytes(32),
            "digest": rng.bytes(32),
            "score": int(score),
        }


def _payments(scores: NDArray[np.uint16]) -> Iterator[dict[str, Any]]:
    for index, member in np.argwhere(_verified(scores)):
        yield {**_slot(int(index)), "member": int(member), "amount": _TOKEN}


def _ballots(rng: np.random.Generator, scores: NDArray[np.uint16]) -> Iterator[dict[str, Any]]:
    for index in range(len(scores)):
        for seat in range(SEATS):
            yield {
                **_slot(index),
                "seat": seat,
                "member": seat,
                "commitment": rng.bytes(32),
                "ballot": scores[index].astype(">u2").tobytes(),
                "share_bps": 10_000,
                "attested": rng.bytes(32),
            }


def _faults(scores: NDArray[np.uint16], owners: list[str]) -> Iterator[dict[str, Any]]:
    """Proven already: a keeper would prove them on the real chain, which knows nothing of them."""
    for index, member in np.argwhere(scores >= SCORE_UNAVAILABLE):
        is_invalid = scores[index, member] == SCORE_INVALID
        yield {
            **_slot(int(index)),
            "member": int(member),
            "fault": "invalid-update" if is_invalid else "unavailable-update",
            "provider": owners[int(member)],
            "slash": 0,
        }


def _events(
    rng: np.random.Generator, chain_id: int, scores: NDArray[np.uint16]
) -> Iterator[dict[str, Any]]:
    for index, row in enumerate(scores):
        packed = "0x" + row.astype(">u2").tobytes().hex()
        told: list[tuple[str, dict[str, Any]]] = [
            ("RoundOpened", {"parent_model": "0x" + rng.bytes(32).hex()}),
            ("RoundTallied", {"scores": packed, "shares": "0x"}),
            ("RoundFinalised", {"model_digest": "0x" + rng.bytes(32).hex()}),
        ]
        for log_index, (name, data) in enumerate(told):
            yield {
                "chain_id": chain_id,
                "block_number": 0,
                "block_hash": bytes(32),
                "tx_hash": (index + 1).to_bytes(32),
                "log_index": log_index,
                "timestamp": _opened(index + 1) + 60 * log_index,
                "name": name,
                **_slot(index),
                "data": {**_slot(index), **data},
            }


def _slot(index: int) -> dict[str, int]:
    return {"job": JOB, "round": index + 1}


def _opened(round_: int) -> int:
    return _STARTED + _ROUND_SECONDS * round_


def _cursor(deployment: Deployment, head: Block) -> dict[str, Any]:
    place = {"chain_id": deployment.chain_id, "rounds": deployment["Rounds"], "rewinds": 0}
    return {**place, **_checkpoint(head)}


def _checkpoint(head: Block) -> dict[str, Any]:
    named = {"block_number": head.number, "block_hash": head.hash}
    return {**named, "timestamp": head.timestamp}
