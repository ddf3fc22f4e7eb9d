"""A job offered by a signature: its form as JSON, its check, and the call that carries it."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

from eth_utils.address import to_checksum_address
from pydantic import BaseModel, ConfigDict, Field

from commonweal.adapters.chain import ChainReader
from commonweal.protocol.batches import ContractCall
from commonweal.protocol.messages import AddressText, Hex32, Signature, UintText
from commonweal.protocol.signing import compute_parameters_hash, hash_job_offer, recover_compact
from commonweal.protocol.types import Address, Bps, Digest, JobParameters, Wei
from service.checks import SignatureExpired, SignatureWrong
from service.eventjson import from_hex

Uint128 = Annotated[int, Field(ge=0, lt=2**128)]
Uint64 = Annotated[int, Field(ge=0, lt=2**64)]
Uint32 = Annotated[int, Field(ge=0, lt=2**32)]
Uint16 = Annotated[int, Field(ge=0, lt=2**16)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ParametersForm(_Form):
    """Field for field the contract's JobParameters. Money in wei, windows in seconds."""

    spec_digest: Hex32
    initial_model: Hex32
    rounds: Uint32
    price_per_round: Uint128
    validator_share_bps: Uint16
    coordinator_share_bps: Uint16
    coordinator: AddressText
    min_trainers: Uint16
    max_trainers: Uint16
    committee_size: Annotated[int, Field(ge=0, lt=2**8)]
    min_stake: Uint128
    commit_window: Uint32
    reveal_window: Uint32
    ballot_commit_window: Uint32
    ballot_reveal_window: Uint32
    attest_window: Uint32
    recruit_until: Uint64
    max_failed_rounds: Uint16
    allowlist_root: Hex32

    def to_parameters(self) -> JobParameters:
        values = self.model_dump()
        for name in ("spec_digest", "initial_model", "allowlist_root"):
            values[name] = Digest(from_hex(values[name]))
        for name in ("validator_share_bps", "coordinator_share_bps"):
            values[name] = Bps(values[name])
        values["coordinator"] = Address(to_checksum_address(self.coordinator))
        return JobParameters(**values)


class PermitForm(_Form):
    """ERC-2612 allowance for the escrow; all zero if the board has been approved before."""

    value: UintText = 0
    deadline: UintText = 0
    v: Annotated[int, Field(ge=0, lt=2**8)] = 0
    r: Hex32 = "0x" + "00" * 32
    s: Hex32 = "0x" + "00" * 32


class OfferForm(_Form):
    requester: AddressText
    parameters: ParametersForm
    escrow: UintText
    nonce: UintText
    deadline: UintText
    signature: Signature
    permit: PermitForm = PermitForm()

    @property
    def offer_id(self) -> str:
        """One offer per requester and nonce, as on chain."""
        slot = f"{self.requester.lower()}:{self.nonce}"
        return hashlib.sha256(slot.encode()).hexdigest()

    @property
    def terms(self) -> tuple[Address, JobParameters, Wei]:
        """What the chain shows of it: a job says whose it is, but not of which nonce."""
        requester = Address(to_checksum_address(self.requester))
        return requester, self.parameters.to_parameters(), Wei(self.escrow)


def offer_call(body: dict[str, Any]) -> ContractCall:
    form = OfferForm.model_validate(body)
    permit = form.permit
    parameters = form.parameters.to_parameters()
    values = tuple(getattr(parameters, name) for name in JobParameters.__slots__)
    args = (
        to_checksum_address(form.requester),
        values,
        form.escrow,
        form.nonce,
        form.deadline,
        from_hex(form.signature),
        (permit.value, permit.deadline, permit.v, from_hex(permit.r), from_hex(permit.s)),
    )
    return ContractCall("JobBoard", "createJobFor", args)


def check_offer(reader: ChainReader, form: OfferForm, *, now: int, at: int) -> None:
    """Raises SignatureExpired, SignatureWrong, or ContractReverted with what the board says."""
    if form.deadline <= now:
        text = f"the offer was good until {form.deadline}"
        raise SignatureExpired(text, deadline=form.deadline, now=now)
    requester = Address(to_checksum_address(form.requester))
    digest = hash_job_offer(
        reader.deployment.board_domain,
        requester,
        compute_parameters_hash(form.parameters.to_parameters()),
        Wei(form.escrow),
        form.nonce,
        form.deadline,
    )
    recovered = recover_compact(digest, from_hex(form.signature))
    if recovered != requester:
        text = f"the signature is by {recovered}, not by {requester}"
        raise SignatureWrong(text, recovered=recovered, expected=requester)
    call = offer_call(form.model_dump(mode="json"))
    reader.call(call.contract, call.function, *call.args, at=at)


def is_offer_used(reader: ChainReader, form: OfferForm) -> bool:
    requester = to_checksum_address(form.requester)
    used: bool = reader.call("JobBoard", "isOfferUsed", requester, form.nonce, at="latest")
    return used


def to_kebab_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()
