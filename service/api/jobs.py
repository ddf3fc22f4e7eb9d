"""Jobs, their members, models and payments, and the offers that make jobs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, status
from sqlalchemy import RowMapping

from commonweal import answers as s
from service.api.access import SIGNED_IN
from service.api.common import (
    Cursor,
    InvalidCursor,
    JobNumber,
    Limit,
    RowId,
    ServicesDep,
    cid_of,
    hex_or_none,
    parse_cursor,
)
from service.api.errors import problems
from service.eventjson import from_hex, roles_of, to_hex
from service.mailbox import PostedOffer
from service.offers import OfferForm, check_offer
from service.services import Services

router = APIRouter(prefix="/v1", tags=["jobs"])
_HOUR = 3_600.0
StateName = Literal["recruiting", "running", "cancelling", "completed", "cancelled", "exhausted"]


@router.get("/jobs", summary="All jobs, newest first", responses=problems(400, 422, 503))
def list_jobs(
    services: ServicesDep,
    state: Annotated[StateName | None, Query(description="only these")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> s.Page[s.Job]:
    rows = services.repository.fetch_jobs(state, parse_cursor(cursor), limit)
    next_ = str(rows[-1]["job"]) if len(rows) == limit else None
    return s.Page(items=[_show_job(services, row) for row in rows], next=next_)


@router.get("/jobs/{job}", summary="One job", responses=problems(404, 422, 503))
def get_job(services: ServicesDep, job: JobNumber) -> s.Job:
    return _show_job(services, services.repository.fetch_job(job))


@router.get("/jobs/{job}/members", summary="Who takes part", responses=problems(400, 404, 422, 503))
def list_members(
    services: ServicesDep, job: JobNumber, limit: Limit = 200, cursor: Cursor = None
) -> s.Page[s.Member]:
    services.repository.fetch_job(job)
    rows = services.repository.fetch_members(job, parse_cursor(cursor), limit)
    next_ = str(rows[-1]["member"]) if len(rows) == limit else None
    return s.Page(items=[_show_member(row) for row in rows], next=next_)


@router.get(
    "/jobs/{job}/models", summary="One per final round", responses=problems(400, 404, 422, 503)
)
def list_models(
    services: ServicesDep, job: JobNumber, limit: Limit = 200, cursor: Cursor = None
) -> s.Page[s.Model]:
    services.repository.fetch_job(job)
    rows = services.repository.fetch_models(job, parse_cursor(cursor), limit)
    next_ = str(rows[-1]["round"]) if len(rows) == limit else None
    return s.Page(items=[_show_model(services, row) for row in rows], next=next_)


@router.get(
    "/jobs/{job}/payments", summary="Who was paid what", responses=problems(400, 404, 422, 503)
)
def list_payments(
    services: ServicesDep, job: JobNumber, limit: Limit = 200, cursor: Cursor = None
) -> s.Page[s.Payment]:
    """Credits, by round and member; they are claimed from the chain, by or for the owner."""
    services.repository.fetch_job(job)
    rows = services.repository.fetch_payments(job, _parse_pair(cursor), limit)
    next_ = f"{rows[-1]['round']}.{rows[-1]['member']}" if len(rows) == limit else None
    return s.Page(items=[_show_payment(services, row) for row in rows], next=next_)


@router.post(
    "/jobs",
    summary="Hand in a signed offer",
    status_code=status.HTTP_202_ACCEPTED,
    responses=problems(400, 409, 413, 422, 503),
    dependencies=SIGNED_IN,
)
def post_offer(services: ServicesDep, offer: OfferForm) -> s.OfferState:
    """The requester signs `JobOffer` (EIP-712, bound to JobBoard) and, unless the board is approved
    already, an ERC-2612 permit for the escrow. The coordinator pays the gas and can change nothing.
    It is played through before it is accepted: what the contracts would refuse is refused here."""
    head = services.reader.fetch_head()
    now = max(services.views.now(), head.timestamp)
    known = services.mailbox.find_offer(offer.offer_id)
    if known is not None and known.state != "refused":
        return _show_offer(known)
    services.policy.check_share(offer.parameters.to_parameters())
    recent = services.mailbox.count_offers(offer.requester, _HOUR)
    services.policy.check_offers(offer.requester, recent)
    check_offer(services.reader, offer, now=now, at=head.number)
    body = offer.model_dump(mode="json")
    posted = services.mailbox.post_offer(offer.offer_id, offer.requester, body)
    services.engine.wake()
    return _show_offer(posted)


@router.get("/offers/{offer}", summary="What became of an offer", responses=problems(404, 422, 503))
def get_offer(services: ServicesDep, offer: RowId) -> s.OfferState:
    return _show_offer(services.mailbox.fetch_offer(offer))


def _show_job(services: Services, row: RowMapping) -> s.Job:
    parameters: dict[str, Any] = row["parameters"]
    return s.Job(
        job=row["job"],
        requester=row["requester"],
        state=row["state"],
        spec=cid_of(row["spec_digest"]),
        initial_model=cid_of(from_hex(parameters["initial_model"])),
        parameters=parameters,
        parameters_version=row["parameters_version"],
        deposit=row["deposit"],
        escrow=row["escrow"],
        refunded=row["refunded"],
        quantum=row["quantum"],
        finalised_rounds=row["finalised_rounds"],
        failed_rounds=row["failed_rounds"],
        members=services.repository.count_members(row["job"]),
        created_at=row["created_at"],
        final=services.is_final(row["changed_at"]),
    )


def _show_member(row: RowMapping) -> s.Member:
    return s.Member(
        member=row["member"],
        provider=row["provider"],
        operator=row["operator"],
        roles=roles_of(row["roles"]),  # type: ignore[arg-type]
        stake=row["stake"],
        active=row["active"],
        earned=row["earned"],
    )


def _show_model(services: Services, row: RowMapping) -> s.Model:
    return s.Model(
        round=row["round"],
        digest=to_hex(row["model"]),
        cid=cid_of(row["model"]),
        parent=cid_of(row["parent_model"]),
        verdict_root=to_hex(row["verdict_root"]),
        final=services.is_final(row["changed_at"]),
    )


def _show_payment(services: Services, row: RowMapping) -> s.Payment:
    return s.Payment(
        round=row["round"],
        member=row["member"],
        provider=row["provider"],
        amount=row["amount"],
        final=services.is_final(row["changed_at"]),
    )


def _show_offer(offer: PostedOffer) -> s.OfferState:
    return s.OfferState(
        id=offer.id,
        state=offer.state,  # type: ignore[arg-type]
        intent=f"offer:{offer.id}",
        tx=hex_or_none(offer.tx),
        job=offer.job,
        reason=offer.reason,
    )


def _parse_pair(cursor: str | None) -> tuple[int, int] | None:
    """`round.member`."""
    if cursor is None:
        return None
    first, dot, second = cursor.partition(".")
    left, right = parse_cursor(first), parse_cursor(second or "?") if dot else None
    if left is None or right is None:
        raise InvalidCursor("a cursor is the `next` of an earlier page", cursor=cursor)
    return left, right
