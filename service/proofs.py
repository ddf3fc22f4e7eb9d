"""Merkle proofs of a finalised round's verdicts, from the rows of its tables."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import RowMapping

from commonweal.protocol.merkle import (
    compute_proofs,
    compute_settlement_leaf,
    compute_verdict_leaf,
)


def prove_verdicts(
    round_: RowMapping, ballots: Sequence[RowMapping], updates: Sequence[RowMapping]
) -> dict[int, tuple[bytes, ...]]:
    """By member, for the updates that have a verdict: siblings up to the round's verdict root."""
    judged = [row for row in updates if row["score"] is not None]
    leaves = [compute_verdict_leaf(r["member"], bytes(r["digest"]), r["score"]) for r in judged]
    settlement = _compute_settlement(round_, ballots, len(judged))
    paths = compute_proofs(leaves)
    return {row["member"]: (*path, settlement) for row, path in zip(judged, paths, strict=True)}


def _compute_settlement(round_: RowMapping, ballots: Sequence[RowMapping], reveals: int) -> bytes:
    model = bytes(round_["model"])
    attesters = [row["seat"] for row in ballots if bytes(row["attested"] or b"") == model]
    return compute_settlement_leaf(round_["committee"], attesters, round_["closed_at"], reveals)
