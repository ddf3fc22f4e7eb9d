"""Signing in by signature, for whoever wants to write: uploads of content, and offers of jobs."""

from __future__ import annotations

from typing import Annotated

from eth_utils.address import to_checksum_address
from fastapi import APIRouter, status
from pydantic import BaseModel, ConfigDict, Field

from commonweal import answers as s
from commonweal.protocol.messages import AddressText, Signature
from commonweal.protocol.types import Address
from service.api.common import ServicesDep
from service.api.errors import problems
from service.eventjson import from_hex
from service.sessions import LONGEST_TOKEN, SignIn

router = APIRouter(prefix="/v1/sessions", tags=["access"])


class SignInForm(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Annotated[
        str,
        Field(pattern=r"^[!-~]{1,253}$", description="as dialled", examples=["127.0.0.1:8750"]),
    ]
    account: AddressText
    nonce: Annotated[str, Field(pattern=r"^[!-~]+$", max_length=LONGEST_TOKEN)]
    signature: Signature


@router.post("/challenge", summary="Ask for something to sign", responses=problems(400, 413))
def make_challenge(services: ServicesDep) -> s.Challenge:
    """Good for two minutes, once. Nothing is kept of it."""
    challenge = services.sessions.make_challenge()
    domain = services.reader.deployment.rounds_domain
    return s.Challenge(
        nonce=challenge.nonce,
        coordinator=challenge.coordinator,
        expires_at=challenge.expires_at,
        chain_id=domain.chain_id,
        contract=domain.contract,
    )


@router.post(
    "",
    summary="Sign in",
    status_code=status.HTTP_201_CREATED,
    responses=problems(400, 403, 413, 422, 503),
)
def open_session(services: ServicesDep, form: SignInForm) -> s.Session:
    """`signature` is EIP-712 (EIP-2098 compact), by the account, over `SignIn(string host,address
    coordinator,address account,string nonce,uint256 expiresAt)` in the domain ("Commonweal", "1",
    chain id, Rounds). Fill in the host that *you* dialled: a coordinator that passes your signature
    on to another then gets nowhere. The account must be a provider's owner or operator, the
    requester of a job, or hold tokens. Send the token as `Authorization: Bearer …`."""
    session = services.sessions.open(
        SignIn(
            host=form.host,
            account=Address(to_checksum_address(form.account)),
            nonce=form.nonce,
            signature=from_hex(form.signature),
        )
    )
    return s.Session(token=session.token, identity=session.identity, seconds=session.seconds)
