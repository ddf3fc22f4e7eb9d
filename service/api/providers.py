"""Providers, their stake and what they earned."""

from __future__ import annotations

from collections import defaultdict

from fastapi import APIRouter
from sqlalchemy import RowMapping

from commonweal import answers as s
from service.api.common import Cursor, Limit, ServicesDep, cid_or_none, parse_address
from service.api.errors import problems
from service.eventjson import roles_of

router = APIRouter(prefix="/v1/providers", tags=["providers"])


@router.get("", summary="All providers, by address", responses=problems(400, 422, 503))
def list_providers(
    services: ServicesDep, limit: Limit = 50, cursor: Cursor = None
) -> s.Page[s.Provider]:
    after = None if cursor is None else parse_address(cursor)
    rows = services.repository.fetch_providers(after, limit)
    next_ = rows[-1]["provider"] if len(rows) == limit else None
    return s.Page(items=[_show(row) for row in rows], next=next_)


@router.get("/{address}", summary="One provider", responses=problems(400, 404, 503))
def get_provider(services: ServicesDep, address: str) -> s.Provider:
    """`address` is the owner's."""
    return _show(services.repository.fetch_provider(parse_address(address)))


@router.get("/{address}/rewards", summary="Earned and claimed", responses=problems(400, 404, 503))
def get_rewards(services: ServicesDep, address: str) -> s.Rewards:
    """Per job, with every slash. Claim with `JobBoard.claim(provider, jobs)`; anybody may call it,
    the money goes to the owner."""
    owner = parse_address(address)
    repository = services.repository
    repository.fetch_provider(owner)
    claimed: defaultdict[int, int] = defaultdict(int)
    for claim in repository.fetch_claims(owner):
        claimed[claim["job"]] += claim["amount"]
    members = repository.fetch_memberships(owner)
    earned = sum(row["earned"] for row in members)
    return s.Rewards(
        provider=owner,
        earned=earned,
        claimed=sum(claimed.values()),
        claimable=earned - sum(claimed.values()),
        jobs=[_show_job(row, claimed[row["job"]]) for row in members],
        slashes=[_show_slash(row) for row in repository.fetch_slashes(owner)],
    )


def _show(row: RowMapping) -> s.Provider:
    values = {name: row[name] for name in s.Provider.model_fields}
    values |= {"roles": roles_of(row["roles"]), "capabilities": cid_or_none(row["capabilities"])}
    return s.Provider(**values)


def _show_job(row: RowMapping, claimed: int) -> s.JobReward:
    return s.JobReward(job=row["job"], member=row["member"], earned=row["earned"], claimed=claimed)


def _show_slash(row: RowMapping) -> s.Slash:
    return s.Slash(
        slash=row["slash"],
        amount=row["amount"],
        bounty=row["bounty"],
        prover=row["prover"],
        settleable_at=row["settleable_at"],
        settled=row["settled"],
    )
