"""Rounds of a job, with their ballots, updates, verdicts and Merkle proofs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter
from sqlalchemy import RowMapping

from commonweal import answers as s
from commonweal.protocol.commitments import unpack_scores
from commonweal.protocol.types import Verdict
from service.api.common import (
    Cursor,
    JobNumber,
    Limit,
    RoundNumber,
    ServicesDep,
    cid_of,
    cid_or_none,
    hex_or_none,
    parse_cursor,
)
from service.api.errors import problems
from service.eventjson import name_of, to_hex
from service.services import Services

router = APIRouter(prefix="/v1/jobs/{job}/rounds", tags=["rounds"])


@router.get("", summary="All rounds, also failed ones", responses=problems(400, 404, 422, 503))
def list_rounds(
    services: ServicesDep, job: JobNumber, limit: Limit = 200, cursor: Cursor = None
) -> s.Page[s.Round]:
    services.repository.fetch_job(job)
    rows = services.repository.fetch_rounds(job, parse_cursor(cursor), limit)
    next_ = str(rows[-1]["round"]) if len(rows) == limit else None
    return s.Page(items=[s.Round(**_round_fields(services, row)) for row in rows], next=next_)


@router.get("/{round}", summary="One round and its ballots", responses=problems(404, 422, 503))
def get_round(services: ServicesDep, job: JobNumber, round: RoundNumber) -> s.RoundWithBallots:
    row = services.repository.fetch_round(job, round)
    ballots = [_show_ballot(each) for each in services.repository.fetch_ballots(job, round)]
    return s.RoundWithBallots(**_round_fields(services, row), ballots=ballots)


@router.get("/{round}/updates", summary="Updates and verdicts", responses=problems(404, 422, 503))
def list_updates(services: ServicesDep, job: JobNumber, round: RoundNumber) -> s.Page[s.Update]:
    """Every committed update, members ascending, on one page. With `member`, `digest`, `score` and
    `proof`, anybody checks a verdict against the ledger: `ModelLedger.isVerdict`."""
    is_over = services.repository.fetch_round(job, round)["state"] == "finalised"
    rows = services.repository.fetch_updates(job, round)
    proofs = services.repository.prove_verdicts(job, round) if is_over else {}
    return s.Page(items=[_show_update(row, proofs.get(row["member"])) for row in rows])


def _round_fields(services: Services, row: RowMapping) -> dict[str, Any]:
    plain = ("job", "round", "state", "phase", "ends_at", "committee", "failure", "fee_recipient")
    lists = ("unrevealed", "absent", "opened_at", "closed_at")
    return {name: row[name] for name in (*plain, *lists)} | {
        "parent_model": cid_of(row["parent_model"]),
        "model": cid_or_none(row["model"]),
        "verdict_root": hex_or_none(row["verdict_root"]),
        "seed": hex_or_none(row["seed"]),
        "spent": row["spent"],
        "fee": row["fee"],
        "final": services.is_final(row["changed_at"]),
    }


def _show_ballot(row: RowMapping) -> s.Ballot:
    ballot = row["ballot"]
    return s.Ballot(
        seat=row["seat"],
        member=row["member"],
        commitment=hex_or_none(row["commitment"]),
        scores=None if ballot is None else [int(score) for score in unpack_scores(bytes(ballot))],
        share_bps=row["share_bps"],
        attested=hex_or_none(row["attested"]),
    )


def _show_update(row: RowMapping, proof: Sequence[bytes] | None) -> s.Update:
    score = row["score"]
    return s.Update(
        member=row["member"],
        trainer=row["trainer"],
        commitment=to_hex(row["commitment"]),
        digest=hex_or_none(row["digest"]),
        cid=cid_or_none(row["digest"]),
        score=score,
        verdict=None if score is None else name_of(Verdict.of(score)),  # type: ignore[arg-type]
        proof=None if proof is None else [to_hex(node) for node in proof],
    )
