"""The contracts' structs, as a codec decodes them, as the protocol's dataclasses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from commonweal.adapters.codec import build, function_codec
from commonweal.protocol.bitmaps import unpack_bitmap
from commonweal.protocol.types import (
    Address,
    Job,
    JobParameters,
    JobState,
    Member,
    Phase,
    Provider,
    Role,
    Round,
)

_ROUND_FIELDS: Sequence[str] = (
    "job",
    "round",
    "ends_at",
    "seed_block",
    "expected",
    "commits",
    "reveals",
    "batches",
    "committee_size",
    "committee",
    "parent_model",
    "agreed_model",
)


def build_job(job: int, fields: dict[str, Any]) -> Job:
    parameters = build(JobParameters, fields.pop("parameters"))
    state = JobState(fields.pop("state"))
    return Job(job=job, state=state, parameters=parameters, **fields)


def build_round(view: dict[str, Any]) -> Round:
    return Round(
        **{name: view[name] for name in _ROUND_FIELDS},
        phase=Phase(view["phase"]),
        ballots_committed=unpack_bitmap([view["ballots_committed"]]),
        ballots_revealed=unpack_bitmap([view["ballots_revealed"]]),
        attested=unpack_bitmap([view["attested"]]),
        committed=unpack_bitmap(view["committed_bitmap"]),
        revealed=unpack_bitmap(view["revealed_bitmap"]),
    )


def build_provider(address: Address, fields: dict[str, Any]) -> Provider:
    return Provider(provider=address, roles=Role(fields.pop("roles")), **fields)


@lru_cache(maxsize=64)
def decode_members(answer: bytes, start: int) -> tuple[Member, ...]:
    """What `membersOf` returned from index `start` on; kept, since it seldom changes."""
    page = function_codec("JobBoard", "membersOf").decode(answer)
    return tuple(_build_member(start + at, fields) for at, fields in enumerate(page))


def _build_member(index: int, fields: dict[str, Any]) -> Member:
    return Member(member=index, roles=Role(fields.pop("roles")), **fields)
