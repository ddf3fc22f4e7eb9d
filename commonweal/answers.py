"""What a coordinator answers, for those who give the answers and those who read them.

Money is an integer of wei, and a decimal string in JSON; digests are 0x-hex, times are seconds.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema

T = TypeVar("T")
# JSON readers would round a number of wei, so it travels as a string.
Wei = Annotated[int, PlainSerializer(str, when_used="json"), WithJsonSchema({"type": "string"})]
WeiText = Annotated[Wei, Field(description="wei, decimal", examples=["2500000000000000000"])]
Hex = Annotated[str, Field(description="32 bytes, hex", examples=["0x" + "ab" * 32])]
Cid = Annotated[
    str,
    Field(
        description="CIDv1",
        examples=["bafyreigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"],
    ),
]
AddressText = Annotated[str, Field(examples=["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"])]
Final = Annotated[
    bool, Field(description="false: so recent that a reorganisation of the chain may undo it")
]
Seconds = Annotated[int, Field(description="Unix time", examples=[1_790_000_000])]
RoleName = Literal["trainer", "validator"]


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Page(Answer, Generic[T]):
    items: list[T]
    next: Annotated[
        str | None, Field(description="`cursor` of the next page; null on the last one")
    ] = None


class Health(Answer):
    status: Annotated[Literal["ok", "degraded"], Field(description="degraded: see `error`")]
    error: Annotated[str | None, Field(description="code of what keeps the chain away")]
    leads: Annotated[bool, Field(description="false: another one on this database sends")]
    head: Annotated[int | None, Field(description="the chain's latest block", examples=[120])]
    indexed_block: Annotated[int, Field(description="-1 before the first", examples=[120])]
    lag: Annotated[int | None, Field(description="blocks", examples=[0])]
    final_block: Annotated[int | None, Field(description="deep enough to be trusted")]
    relay_queue: Annotated[
        int | None,
        Field(description="messages accepted and not mined; null: unknown", examples=[0]),
    ]
    sender: AddressText
    sender_balance: Annotated[Wei | None, Field(description="gas money, wei; null: unknown")]


class Readiness(Answer):
    leads: bool
    lag: Annotated[int, Field(description="blocks", examples=[0])]


class Network(Answer):
    chain_id: Annotated[int, Field(examples=[31337])]
    deployed_block: int
    contracts: Annotated[dict[str, str], Field(description="address by contract name")]


class Job(Answer):
    job: Annotated[int, Field(examples=[1])]
    requester: AddressText
    state: Annotated[
        Literal["recruiting", "running", "cancelling", "completed", "cancelled", "exhausted"],
        Field(examples=["running"]),
    ]
    spec: Annotated[str, Field(description="CID of the job-spec manifest")]
    initial_model: Annotated[str, Field(description="CID of the first model's manifest")]
    parameters: Annotated[dict[str, Any], Field(description="as the contract's JobParameters")]
    parameters_version: int
    deposit: WeiText
    escrow: Annotated[Wei, Field(description="what is left of it, wei")]
    refunded: WeiText
    quantum: Annotated[Wei, Field(description="wei per payment unit")]
    finalised_rounds: int
    failed_rounds: int
    members: Annotated[int, Field(description="indices ever handed out")]
    created_at: Seconds
    final: Final


class Member(Answer):
    member: Annotated[int, Field(description="index within the job", examples=[0])]
    provider: AddressText
    operator: AddressText
    roles: list[RoleName]
    stake: Annotated[Wei, Field(description="locked for this job, wei")]
    active: bool
    earned: Annotated[Wei, Field(description="credited in this job so far, wei")]


class Round(Answer):
    job: int
    round: Annotated[int, Field(examples=[3])]
    state: Literal["open", "finalised", "failed"]
    phase: Literal["none", "commit", "reveal", "ballot-commit", "ballot-reveal", "attest"]
    ends_at: Annotated[int, Field(description="deadline of the phase, Unix time")]
    parent_model: Cid
    model: Annotated[str | None, Field(description="CID of the round's model, once final")]
    verdict_root: Hex | None
    seed: Annotated[str | None, Field(description="seed of the committee's draw")]
    committee: Annotated[list[int], Field(description="members by seat")]
    failure: Annotated[str | None, Field(examples=["too-few-commitments"])]
    spent: WeiText
    fee: WeiText
    fee_recipient: AddressText | None
    unrevealed: Annotated[list[int], Field(description="members who committed and did not reveal")]
    absent: Annotated[list[int], Field(description="seats that missed their duty")]
    opened_at: Seconds
    closed_at: int | None
    final: Final


class Ballot(Answer):
    seat: int
    member: int
    commitment: Hex | None
    scores: Annotated[list[int] | None, Field(description="per revealed update, members ascending")]
    share_bps: Annotated[int | None, Field(description="of an equal part of the validators' pool")]
    attested: Annotated[str | None, Field(description="digest of the model the seat attested")]


class RoundWithBallots(Round):
    ballots: list[Ballot]


class Update(Answer):
    member: int
    trainer: AddressText
    commitment: Hex
    digest: Annotated[str | None, Field(description="null before the reveal")]
    cid: Annotated[str | None, Field(description="of the update's manifest")]
    score: Annotated[int | None, Field(description="null before the tally")]
    verdict: Annotated[
        Literal["rejected", "verified", "unavailable", "invalid"] | None,
        Field(examples=["verified"]),
    ]
    proof: Annotated[
        list[str] | None,
        Field(description="siblings from the leaf to the verdict root, once the round is final"),
    ]


class Model(Answer):
    round: int
    digest: Hex
    cid: Cid
    parent: Cid
    verdict_root: Hex
    final: Final


class Payment(Answer):
    round: int
    member: int
    provider: AddressText
    amount: WeiText
    final: Final


class ClaimedMetric(Answer):
    low: float
    median: float
    high: float
    updates: Annotated[int, Field(description="how many manifests this is of")]


class ClaimedRound(Answer):
    round: int
    metrics: dict[str, ClaimedMetric]


class Claims(Answer):
    """What trainers say of their own training on their own data. Nobody checks these figures."""

    job: int
    items: list[ClaimedRound]


class Provider(Answer):
    provider: Annotated[str, Field(description="the owner's address")]
    operator: AddressText
    roles: list[RoleName]
    endpoint: Annotated[str, Field(description="as announced; nobody vouches for it")]
    capabilities: Annotated[str | None, Field(description="CID of the manifest")]
    free: WeiText
    locked: WeiText
    unbonding: WeiText
    withdrawable_at: int
    missed_duties: Annotated[int, Field(description="in a row")]
    jailed_until: Annotated[int, Field(description="0: not jailed")]
    slashed: Annotated[Wei, Field(description="taken from it so far, wei")]
    registered_at: Seconds


class JobReward(Answer):
    job: int
    member: int
    earned: WeiText
    claimed: WeiText


class Slash(Answer):
    slash: int
    amount: WeiText
    bounty: WeiText
    prover: AddressText
    settleable_at: Seconds
    settled: bool


class Rewards(Answer):
    provider: AddressText
    earned: WeiText
    claimed: WeiText
    claimable: WeiText
    jobs: list[JobReward]
    slashes: list[Slash]


class Receipt(Answer):
    """EIP-712 `RelayReceipt(bytes32 message,uint256 receivedAt)` in the domain of Rounds."""

    coordinator: AddressText
    received_at: Annotated[int, Field(description="milliseconds")]
    signature: Annotated[str, Field(description="64 bytes, EIP-2098, over `id` and `received_at`")]


class MessageState(Answer):
    id: Annotated[str, Field(examples=["9b" * 32])]
    state: Annotated[
        Literal["accepted", "sent", "mined", "refused"],
        Field(description="refused: `reason` says why; a message may be handed in again"),
    ]
    tx: Annotated[str | None, Field(description="null if somebody else brought it")] = None
    block: int | None = None
    reason: str | None = None
    receipt: Receipt


class OfferState(Answer):
    id: str
    state: Literal["accepted", "sent", "mined", "refused"]
    intent: Annotated[str, Field(description="what the relay's outbox calls it")]
    tx: str | None = None
    job: Annotated[int | None, Field(description="the job's number, once mined")] = None
    reason: Annotated[str | None, Field(examples=["escrow-too-low"])] = None


class Challenge(Answer):
    nonce: str
    coordinator: Annotated[AddressText, Field(description="whose receipts are signed so, too")]
    expires_at: Seconds
    chain_id: Annotated[int, Field(examples=[31337])]
    contract: Annotated[AddressText, Field(description="Rounds; take it from your own file")]


class Session(Answer):
    token: str
    identity: Annotated[AddressText, Field(description="a provider's owner, or the account")]
    seconds: Annotated[int, Field(description="how long it is good for", examples=[3600])]
