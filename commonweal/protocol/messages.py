"""What travels from agent to relay: self-contained signed messages and openings, as JSON.

The relay checks them, batches them and sends them on; it can drop one, but never change one.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Salt = Annotated[str, Field(pattern=r"^0x[0-9a-f]{32}$", examples=["0x" + "5a" * 16])]
Hex32 = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$", examples=["0x" + "ab" * 32])]
Signature = Annotated[str, Field(pattern=r"^0x[0-9a-f]{128}$", description="64 bytes, EIP-2098")]
AddressText = Annotated[str, Field(pattern=r"^0x[0-9a-fA-F]{40}$")]
Number = Annotated[int, Field(ge=1, lt=2**63)]  # of a job or round: fits every database
UintText = Annotated[int, Field(ge=0, lt=2**256)]
MemberIndex = Annotated[int, Field(ge=0, le=65_535)]
Seat = Annotated[int, Field(ge=0, le=14)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    job: Number


class JoinMessage(_Message):
    kind: Literal["join"] = "join"
    provider: AddressText
    roles: Annotated[int, Field(ge=1, le=3)]
    stake: UintText
    deadline: UintText
    allowlist_proof: Annotated[tuple[Hex32, ...], Field(max_length=32)] = ()
    signature: Signature


class LeaveMessage(_Message):
    kind: Literal["leave"] = "leave"
    provider: AddressText
    deadline: UintText
    signature: Signature


class _RoundMessage(_Message):
    round: Number


class UpdateCommitmentMessage(_RoundMessage):
    kind: Literal["update-commitment"] = "update-commitment"
    member: MemberIndex
    commitment: Hex32
    signature: Signature


class UpdateRevealMessage(_RoundMessage):
    kind: Literal["update-reveal"] = "update-reveal"
    member: MemberIndex
    digest: Hex32
    salt: Salt


class BallotCommitmentMessage(_RoundMessage):
    kind: Literal["ballot-commitment"] = "ballot-commitment"
    seat: Seat
    commitment: Hex32
    signature: Signature


class BallotRevealMessage(_RoundMessage):
    kind: Literal["ballot-reveal"] = "ballot-reveal"
    seat: Seat
    scores: Annotated[tuple[Annotated[int, Field(ge=0, le=65_535)], ...], Field(max_length=4096)]
    salt: Salt


class ModelAttestationMessage(_RoundMessage):
    kind: Literal["model-attestation"] = "model-attestation"
    seat: Seat
    model_digest: Hex32
    signature: Signature


RoundMessage = (
    UpdateCommitmentMessage
    | UpdateRevealMessage
    | BallotCommitmentMessage
    | BallotRevealMessage
    | ModelAttestationMessage
)
Message = Annotated[JoinMessage | LeaveMessage | RoundMessage, Field(discriminator="kind")]
