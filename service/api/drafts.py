"""A job file in, what a browser wallet has to sign out."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, cast

import anyio
import anyio.to_thread
from eth_utils.address import to_checksum_address
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from commonweal.answers import Answer
from commonweal.jobfile import MAX_BYTES, parse_job_file
from commonweal.learning.weights import encoded_size, require_model_size, shapes_of
from commonweal.protocol.messages import AddressText
from commonweal.protocol.types import Address
from service.api.access import SIGNED_IN
from service.api.common import ServicesDep
from service.api.errors import problems
from service.api.rates import Caller
from service.drafts import draft_job
from service.services import Services
from service.uploads import UploadQuota

router = APIRouter(prefix="/v1", tags=["jobs"])
MAX_MODEL_BYTES = 64 * 2**20  # it is made here: larger ones are made by `weal job submit`
MOST_AT_ONCE = 2  # each takes up to five times its model's size


class DraftForm(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    requester: AddressText
    job_file: Annotated[str, Field(max_length=MAX_BYTES, description="as in job.yaml")]


class Documents(Answer):
    """EIP-712, as `eth_signTypedData_v4` takes them."""

    offer: dict[str, Any]
    permit: dict[str, Any]


class Draft(Answer):
    offer: Annotated[
        dict[str, Any],
        Field(description="for `POST /v1/jobs`, once `signature` and `permit` are added"),
    ]
    documents: Documents


@router.post(
    "/drafts",
    summary="Make an offer ready to be signed",
    responses=problems(400, 413, 422, 503, 507),
    dependencies=SIGNED_IN,
)
async def post_draft(services: ServicesDep, request: Request, form: DraftForm) -> Draft:
    """The job's specification and first model are stored here, as if they had been uploaded; all
    that is signed follows from the job file, the chain's time and a nonce. Models above 64 MiB are
    refused: offer these with `weal job submit`."""
    limiter = cast(anyio.CapacityLimiter, request.app.state.drafting)
    # Whoever waits for the limiter holds no thread.
    return await anyio.to_thread.run_sync(
        partial(_make_draft, services, request, form), limiter=limiter
    )


def _make_draft(services: Services, request: Request, form: DraftForm) -> Draft:
    job_file = parse_job_file(form.job_file.encode())
    require_model_size(job_file.spec.model, MAX_MODEL_BYTES)
    size = encoded_size(shapes_of(job_file.spec.model), "F32")
    quota = cast(UploadQuota, request.app.state.quota)
    quota.spend(cast(Caller, request.state.caller).identity, size)
    requester = Address(to_checksum_address(form.requester))
    draft = draft_job(services.reader, services.content, requester, job_file)
    documents = Documents(offer=draft.offer_document, permit=draft.permit_document)
    return Draft(offer=draft.offer, documents=documents)
