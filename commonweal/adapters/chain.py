"""Reads of the chain, each pinned to a block that the caller names. Nothing is sent here.

Build one `ChainReader` per process or per thread as you like: it holds no state but small caches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeVar, get_args

from web3.exceptions import (
    BlockNotFound,
    ContractLogicError,
    TransactionIndexingInProgress,
    TransactionNotFound,
    Web3RPCError,
)
from web3.types import BlockData, FilterParams, LogReceipt, TxParams

from commonweal.adapters.codec import (
    ContractReverted,
    build,
    decode_log,
    decode_revert,
    event_topics,
    find_revert_data,
    function_codec,
)
from commonweal.adapters.deployment import CONTRACTS, Deployment
from commonweal.adapters.failover import connect
from commonweal.adapters.headers import encode_header
from commonweal.adapters.rpc import ChainRefused, WrongChain, name_endpoint
from commonweal.errors import NotFound
from commonweal.protocol.appeals import Case
from commonweal.protocol.bitmaps import unpack_bitmap
from commonweal.protocol.events import (
    ChainEvent,
    EventRef,
    FaultProven,
    JobEvent,
    ModelRecorded,
    RoundEvent,
)
from commonweal.protocol.types import (
    Address,
    Digest,
    Fault,
    Job,
    JobParameters,
    JobState,
    Member,
    Phase,
    ProtocolParameters,
    Provider,
    Role,
    Round,
    Slash,
    Wei,
)

__all__ = ["Block", "BlockUnknown", "ChainReader", "ContractReverted"]

T = TypeVar("T")

_MEMBERS_PAGE = 256
_ANY_LOGS = b"\xff"  # where a chain tells no bloom filter, a block may have logs
_LISTENED = tuple(name for name in CONTRACTS if name not in ("CommonwealToken", "AccessManager"))
_JOB_EVENTS = frozenset(
    kind.__name__
    for kind in (*get_args(JobEvent), *get_args(RoundEvent), ModelRecorded, FaultProven)
) - {"FeeClaimed"}


class BlockUnknown(NotFound):
    code = "block-unknown"


@dataclass(frozen=True, slots=True)
class Block:
    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int  # seconds
    has_logs: bool = True  # False: certainly none of any contract


class ChainReader:
    """`at` is a block number. Reads raise ContractReverted, ChainUnavailable, ChainRefused."""

    def __init__(
        self, rpc_url: str | Sequence[str], deployment: Deployment, *, timeout: float = 30.0
    ) -> None:
        """`rpc_url`: one endpoint, or several in order of preference."""
        self.rpc_url = rpc_url if isinstance(rpc_url, str) else rpc_url[0]
        self.deployment = deployment
        self.web3 = connect(rpc_url, deployment.chain_id, timeout)
        self._timestamp_of = lru_cache(maxsize=4096)(self._fetch_timestamp)

    @cached_property
    def chain_id(self) -> int:
        """Raises WrongChain if the node is not on the deployment's chain."""
        have, need = self.web3.eth.chain_id, self.deployment.chain_id
        if have != need:
            name = name_endpoint(self.rpc_url)
            message = f"{name} is on chain {have}, the contracts are on chain {need}"
            raise WrongChain(message, have=have, need=need)
        return have

    # Blocks

    def fetch_head(self) -> Block:
        return self._fetch_block("latest")

    def fetch_block(self, number: int) -> Block:
        """Raises BlockUnknown."""
        return self._fetch_block(number)

    def fetch_header(self, number: int) -> bytes:
        """In RLP, as a draw takes it. Raises BlockUnknown, HeaderUnknown."""
        return encode_header(self._ask_for_block(number))

    def fetch_randao(self, number: int) -> bytes:
        """The random number that seeds a draw. Raises BlockUnknown."""
        return bytes(self._ask_for_block(number)["mixHash"])

    # Jobs and rounds

    def fetch_job(self, job: int, at: int) -> Job:
        fields = self.call("JobBoard", "jobOf", job, at=at)
        parameters = build(JobParameters, fields.pop("parameters"))
        state = JobState(fields.pop("state"))
        return Job(job=job, state=state, parameters=parameters, **fields)

    def fetch_job_count(self, at: int) -> int:
        return int(self.call("JobBoard", "jobCount", at=at))

    def fetch_round(self, job: int, at: int) -> Round:
        view = self.call("RoundLens", "roundOf", job, at=at)
        return Round(
            **{name: view[name] for name in _ROUND_FIELDS},
            phase=Phase(view["phase"]),
            ballots_committed=unpack_bitmap([view["ballots_committed"]]),
            ballots_revealed=unpack_bitmap([view["ballots_revealed"]]),
            attested=unpack_bitmap([view["attested"]]),
            committed=unpack_bitmap(view["committed_bitmap"]),
            revealed=unpack_bitmap(view["revealed_bitmap"]),
        )

    def fetch_members(self, job: int, at: int) -> tuple[Member, ...]:
        """All indices ever handed out, ascending; `active` tells who is still in."""
        members: list[Member] = []
        while True:
            start = len(members)
            page = self.call("JobBoard", "membersOf", job, start, _MEMBERS_PAGE, at=at)
            members += [_build_member(start + i, fields) for i, fields in enumerate(page)]
            if len(page) < _MEMBERS_PAGE:
                return tuple(members)

    def fetch_member_nonce(self, job: int, provider: Address, at: int) -> int:
        return int(self.call("JobBoard", "memberNonce", job, provider, at=at))

    def fetch_member_index(self, job: int, provider: Address, at: int) -> int | None:
        """None for a provider that never joined."""
        try:
            return int(self.call("JobBoard", "memberIndexOf", job, provider, at=at))
        except ContractReverted:
            return None

    def fetch_model(self, job: int, round_: int, at: int) -> Digest:
        return Digest(self.call("ModelLedger", "modelOf", job, round_, at=at))

    def fetch_verdict_root(self, job: int, round_: int, at: int) -> bytes:
        return bytes(self.call("ModelLedger", "verdictRootOf", job, round_, at=at))

    def is_overturned(self, job: int, round_: int, at: int) -> bool:
        """Whether an appeal against the round's model has been closed and found it wrong."""
        appeal = self.call("Appeals", "appealOfModel", job, round_, at=at)
        if appeal == 0:
            return False
        case = self.call("Appeals", "caseOf", appeal, at=at)
        return bool(case["overturned"] and case["stage"] == _CASE_CLOSED)

    # Providers and money

    def fetch_provider(self, address: Address, at: int) -> Provider:
        fields = self.call("ProviderRegistry", "providerOf", address, at=at)
        return Provider(provider=address, roles=Role(fields.pop("roles")), **fields)

    def fetch_provider_of_operator(self, address: Address, at: int) -> Address | None:
        provider = self.call("ProviderRegistry", "providerOfOperator", address, at=at)
        return None if int(provider, 16) == 0 else Address(provider)

    def fetch_slash(self, slash: int, at: int) -> Slash:
        return build(Slash, self.call("ProviderRegistry", "slashOf", slash, at=at))

    def fetch_parameters(self, version: int, at: int) -> ProtocolParameters:
        return build(ProtocolParameters, self.call("Parameters", "parametersAt", version, at=at))

    def fetch_balance(self, holder: Address, at: int) -> Wei:
        return Wei(self.call("CommonwealToken", "balanceOf", holder, at=at))

    def fetch_fees(self, recipient: Address, at: int) -> Wei:
        return Wei(self.call("JobBoard", "feesOf", recipient, at=at))

    # Appeals

    def fetch_case(self, appeal: int, at: int) -> Case:
        """Stage NONE if there is no such appeal."""
        return build(Case, self.call("Appeals", "caseOf", appeal, at=at))

    def fetch_jury(self, appeal: int, level: int, at: int) -> tuple[int, ...]:
        """Members by seat; empty before the draw."""
        return tuple(self.call("Appeals", "juryOf", appeal, level, at=at))

    def fetch_appeal_count(self, at: int) -> int:
        return int(self.call("Appeals", "appealCount", at=at))

    def fetch_fault(self, slash: int, at: int) -> tuple[int, int, int, Fault]:
        """(job, round, member, fault); job 0 for a slash that proves no fault."""
        job, round_, member, fault = self.call("Faults", "faultOf", slash, at=at)
        return job, round_, member, Fault(fault)

    # Events

    def fetch_events(
        self, from_block: int, to_block: int, job: int | None = None
    ) -> list[ChainEvent]:
        """The protocol's events of both blocks and all between, in chain order.

        With `job`, only those that name it. Ranges that the node refuses are asked for in halves.
        """
        logs = self._fetch_logs(from_block, to_block, job)
        logs.sort(key=lambda log: (log["blockNumber"], log["logIndex"]))
        events = (decode_log(log["topics"], log["data"], self._build_ref(log)) for log in logs)
        return [event for event in events if event is not None]

    # Any function

    def call(self, contract: str, function: str, *args: object, at: int | str) -> Any:
        """The return value: structs as dicts with snake_case keys. Raises ContractReverted."""
        to, data = self.encode(contract, function, *args)
        answer = self.simulate({"to": to, "data": data}, at)
        return function_codec(contract, function).decode(answer)

    def simulate(self, transaction: TxParams, at: int | str) -> bytes:
        """eth_call of a whole transaction."""
        return bytes(self.ask(lambda: self.web3.eth.call(transaction, at)))  # type: ignore[arg-type]

    def encode(self, contract: str, function: str, *args: object) -> tuple[Address, bytes]:
        """(to, data) of a transaction. Raises InvalidCall if the arguments do not fit the ABI."""
        return self.deployment[contract], function_codec(contract, function).encode(args)

    def ask(self, request: Callable[[], T]) -> T:
        """Run one request; a revert becomes ContractReverted, another refusal ChainRefused.

        What is merely not there stays web3's BlockNotFound or TransactionNotFound.
        """
        try:
            _ = self.chain_id
            return request()
        except (BlockNotFound, TransactionNotFound):
            raise
        except TransactionIndexingInProgress as error:
            raise TransactionNotFound(str(error)) from error
        except ContractLogicError as error:
            raise _translate_call(error) from error
        except Web3RPCError as error:
            raise _translate(error) from error

    def _fetch_block(self, which: int | str) -> Block:
        block = self._ask_for_block(which)
        return Block(
            block["number"],
            bytes(block["hash"]),
            bytes(block["parentHash"]),
            block["timestamp"],
            any(block.get("logsBloom", _ANY_LOGS)),
        )

    def _ask_for_block(self, which: int | str) -> BlockData:
        try:
            return self.ask(lambda: self.web3.eth.get_block(which))  # type: ignore[arg-type]
        except BlockNotFound as error:
            message = f"{name_endpoint(self.rpc_url)} has no block {which}"
            raise BlockUnknown(message, block=which) from error

    def _fetch_timestamp(self, number: int, _hash: bytes) -> int:
        return self.fetch_block(number).timestamp

    def _fetch_logs(self, from_block: int, to_block: int, job: int | None) -> list[LogReceipt]:
        if from_block > to_block:
            return []
        try:
            query = self._compute_filter(from_block, to_block, job)
            return list(self.ask(lambda: self.web3.eth.get_logs(query)))
        except ChainRefused:
            if from_block == to_block:
                raise
        middle = (from_block + to_block) // 2
        first = self._fetch_logs(from_block, middle, job)
        return first + self._fetch_logs(middle + 1, to_block, job)

    def _compute_filter(self, from_block: int, to_block: int, job: int | None) -> FilterParams:
        topics: list[Any] = [
            [topic for name, topic in event_topics().items() if job is None or name in _JOB_EVENTS]
        ]
        if job is not None:
            topics.append(job.to_bytes(32))
        return {
            "address": [self.deployment[name] for name in _LISTENED],  # type: ignore[typeddict-item]
            "fromBlock": from_block,
            "toBlock": to_block,
            "topics": topics,
        }

    def _build_ref(self, log: LogReceipt) -> EventRef:
        number, hash_ = log["blockNumber"], bytes(log["blockHash"])
        told: Any = log.get("blockTimestamp")  # a request less for each block, where nodes tell it
        stamp = self._timestamp_of(number, hash_) if told is None else int(str(told), 0)
        return EventRef(number, hash_, bytes(log["transactionHash"]), log["logIndex"], stamp)


_CASE_CLOSED = 5
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


def _build_member(index: int, fields: dict[str, Any]) -> Member:
    return Member(member=index, roles=Role(fields.pop("roles")), **fields)


def _translate_call(error: ContractLogicError) -> ContractReverted | ChainRefused:
    data = find_revert_data(error.data)
    if data is not None:
        return decode_revert(data)
    # web3 takes every error that nests its message for a revert.
    if isinstance(error.data, dict) and "revert" not in str(error.data):
        return ChainRefused(f"the chain refused: {error.data.get('message')}")
    return ContractReverted()


def _translate(error: Web3RPCError) -> ContractReverted | ChainRefused:
    detail = (error.rpc_response or {}).get("error")
    data = find_revert_data(detail)
    if data is not None:
        return decode_revert(data)
    if "revert" in str(error):
        return ContractReverted()
    reason = detail.get("message") if isinstance(detail, dict) else None
    return ChainRefused(f"the chain refused: {reason or error.message}")
