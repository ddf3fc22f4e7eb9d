"""Reads of the chain, each pinned to a block that the caller names. Nothing is sent here.

Build one `ChainReader` per process or per thread as you like: it holds no state but small caches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from typing import Any, TypeVar, get_args

from web3 import Web3
from web3.exceptions import (
    BlockNotFound,
    ContractLogicError,
    TransactionIndexingInProgress,
    TransactionNotFound,
    Web3RPCError,
)
from web3.types import BlockData

from commonweal.adapters.codec import (
    ContractReverted,
    FunctionCodec,
    build,
    decode_log,
    decode_revert,
    event_topics,
    find_revert_data,
    function_codec,
)
from commonweal.adapters.deployment import CONTRACTS, Deployment
from commonweal.adapters.failover import open_provider
from commonweal.adapters.headers import encode_header
from commonweal.adapters.queries import Block, Log, Query, ask_block, ask_call, ask_logs, explain
from commonweal.adapters.rpc import ChainRefused, WrongChain, name_endpoint
from commonweal.adapters.structs import build_job, build_provider, build_round, decode_members
from commonweal.errors import NotFound
from commonweal.protocol.appeals import Case
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
    Member,
    ProtocolParameters,
    Provider,
    Round,
    Slash,
    Wei,
)

__all__ = ["Block", "BlockUnknown", "ChainReader", "ContractReverted"]

T = TypeVar("T")
_Call = tuple[str, str, Sequence[object]]  # contract, function, arguments

_MEMBERS_PAGE = 256
_AT_ONCE = 50  # requests in one exchange
_LISTENED = tuple(name for name in CONTRACTS if name not in ("CommonwealToken", "AccessManager"))
_JOB_EVENTS = frozenset(
    kind.__name__
    for kind in (*get_args(JobEvent), *get_args(RoundEvent), ModelRecorded, FaultProven)
) - {"FeeClaimed"}


class BlockUnknown(NotFound):
    code = "block-unknown"


class ChainReader:
    """`at` is a block number. Reads raise ContractReverted, ChainUnavailable, ChainRefused."""

    def __init__(
        self, rpc_url: str | Sequence[str], deployment: Deployment, *, timeout: float = 30.0
    ) -> None:
        """`rpc_url`: one endpoint, or several in order of preference."""
        self.rpc_url = rpc_url if isinstance(rpc_url, str) else rpc_url[0]
        self.deployment = deployment
        self._provider = open_provider(rpc_url, deployment.chain_id, timeout)
        self.web3 = Web3(self._provider, middleware=[])
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
        return self._require(self.fetch(ask_block("latest")), "latest")

    def fetch_head_and(self, number: int) -> tuple[Block, Block | None]:
        """The head, and then the block at `number`, None if there is none."""
        head, other = self.fetch_all([ask_block("latest"), ask_block(number)])
        return self._require(head, "latest"), other

    def fetch_block(self, number: int) -> Block:
        """Raises BlockUnknown."""
        return self._require(self.fetch(ask_block(number)), number)

    def fetch_header(self, number: int) -> bytes:
        """In RLP, as a draw takes it. Raises BlockUnknown, HeaderUnknown."""
        return encode_header(self._ask_for_block(number))

    def fetch_randao(self, number: int) -> bytes:
        """The random number that seeds a draw. Raises BlockUnknown."""
        return bytes(self._ask_for_block(number)["mixHash"])

    # Jobs and rounds

    def fetch_job(self, job: int, at: int) -> Job:
        return build_job(job, self.call("JobBoard", "jobOf", job, at=at))

    def fetch_job_count(self, at: int) -> int:
        return int(self.call("JobBoard", "jobCount", at=at))

    def fetch_round(self, job: int, at: int) -> Round:
        return self.fetch_rounds([job], at)[0]

    def fetch_rounds(self, jobs: Sequence[int], at: int) -> list[Round]:
        """The latest round of each."""
        views = self._call_all([("RoundLens", "roundOf", (job,)) for job in jobs], at)
        return [build_round(view) for view in views]

    def fetch_job_and_round(self, job: int, at: int) -> tuple[Job, Round]:
        calls = [("JobBoard", "jobOf", (job,)), ("RoundLens", "roundOf", (job,))]
        fields, view = self._call_all(calls, at)
        return build_job(job, fields), build_round(view)

    def fetch_membership(self, job: int, provider: Address, at: int) -> tuple[Job, int | None, int]:
        """The job, the provider's member index in it (None: never joined) and its nonce."""
        calls = [
            ("JobBoard", "jobOf", (job,)),
            ("JobBoard", "memberNonce", (job, provider)),
            ("JobBoard", "memberIndexOf", (job, provider)),
        ]
        fields, nonce, index = self._ask_calls(calls, at)
        return build_job(job, fields()), _none_if_reverted(index), nonce()

    def fetch_members(self, job: int, at: int) -> tuple[Member, ...]:
        """All indices ever handed out, ascending; `active` tells who is still in."""
        members: list[Member] = []
        while True:
            start = len(members)
            to, data = self.encode("JobBoard", "membersOf", job, start, _MEMBERS_PAGE)
            page = decode_members(self.simulate({"to": to, "data": data}, at), start)
            members += page
            if len(page) < _MEMBERS_PAGE:
                return tuple(members)

    def fetch_member_nonce(self, job: int, provider: Address, at: int) -> int:
        return int(self.call("JobBoard", "memberNonce", job, provider, at=at))

    def fetch_member_index(self, job: int, provider: Address, at: int) -> int | None:
        """None for a provider that never joined."""
        (take,) = self._ask_calls([("JobBoard", "memberIndexOf", (job, provider))], at)
        return _none_if_reverted(take)

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
        return build_provider(address, self.call(*_PROVIDER_OF, address, at=at))

    def fetch_provider_and_job_count(self, address: Address, at: int) -> tuple[Provider, int]:
        calls = [(*_PROVIDER_OF, (address,)), ("JobBoard", "jobCount", ())]
        fields, count = self._call_all(calls, at)
        return build_provider(address, fields), count

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
        return self._decode_logs(logs)

    def fetch_blocks_and_events(
        self, numbers: Sequence[int], from_block: int, to_block: int
    ) -> tuple[list[Block | None], list[ChainEvent]]:
        """The blocks at `numbers`, None where there is none, and then the events."""
        blocks = [ask_block(number) for number in numbers]
        query = self._ask_events(from_block, to_block, None)
        *found, logs = self.ask_all([*blocks, query])
        try:
            return [take() for take in found], self._decode_logs(logs())
        except ChainRefused:
            return [take() for take in found], self.fetch_events(from_block, to_block)

    # Any function

    def call(self, contract: str, function: str, *args: object, at: int | str) -> Any:
        """The return value: structs as dicts with snake_case keys. Raises ContractReverted."""
        return self._call_all([(contract, function, args)], at)[0]

    def simulate(self, transaction: Mapping[str, Any], at: int | str) -> bytes:
        """eth_call of a whole transaction, with integers and bytes as they are."""
        return self.fetch(ask_call(transaction, at))

    def fetch(self, query: Query[T]) -> T:
        (take,) = self.ask_all([query])
        found: T = take()
        return found

    def fetch_all(self, queries: Sequence[Query[Any]]) -> list[Any]:
        return [take() for take in self.ask_all(queries)]

    def ask_all(self, queries: Sequence[Query[Any]]) -> list[Callable[[], Any]]:
        """What gives each answer, or raises what is wrong with it."""
        """What gives each answer, or raises what is wrong with it.

        In one exchange, where the node takes several requests at once.
        """
        _ = self.chain_id
        found: list[Callable[[], Any]] = []
        for start in range(0, len(queries), _AT_ONCE):
            part = queries[start : start + _AT_ONCE]
            answers = self._provider.make_batch([(each.method, each.params) for each in part])
            pairs = zip(part, answers, strict=True)
            found += [partial(query.take, answer) for query, answer in pairs]
        return found

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
            raise explain((error.rpc_response or {}).get("error") or error.message) from error

    def _call_all(self, calls: Sequence[_Call], at: int | str) -> list[Any]:
        return [take() for take in self._ask_calls(calls, at)]

    def _ask_calls(self, calls: Sequence[_Call], at: int | str) -> list[Callable[[], Any]]:
        """What gives each return value, or raises ContractReverted."""
        encoded = [self.encode(contract, function, *args) for contract, function, args in calls]
        takes = self.ask_all([ask_call({"to": to, "data": data}, at) for to, data in encoded])
        codecs = [function_codec(contract, function) for contract, function, _ in calls]
        return [partial(_decode, *pair) for pair in zip(codecs, takes, strict=True)]

    def _require(self, block: Block | None, which: int | str) -> Block:
        if block is None:
            message = f"{name_endpoint(self.rpc_url)} has no block {which}"
            raise BlockUnknown(message, block=which)
        return block

    def _ask_for_block(self, which: int | str) -> BlockData:
        try:
            return self.ask(lambda: self.web3.eth.get_block(which))  # type: ignore[arg-type]
        except BlockNotFound as error:
            message = f"{name_endpoint(self.rpc_url)} has no block {which}"
            raise BlockUnknown(message, block=which) from error

    def _fetch_timestamp(self, number: int, _hash: bytes) -> int:
        return self.fetch_block(number).timestamp

    def _fetch_logs(self, from_block: int, to_block: int, job: int | None) -> list[Log]:
        if from_block > to_block:
            return []
        try:
            return self.fetch(self._ask_events(from_block, to_block, job))
        except ChainRefused:
            if from_block == to_block:
                raise
        middle = (from_block + to_block) // 2
        first = self._fetch_logs(from_block, middle, job)
        return first + self._fetch_logs(middle + 1, to_block, job)

    def _ask_events(self, from_block: int, to_block: int, job: int | None) -> Query[list[Log]]:
        topics: list[Any] = [
            [topic for name, topic in event_topics().items() if job is None or name in _JOB_EVENTS]
        ]
        if job is not None:
            topics.append(job.to_bytes(32))
        addresses = [self.deployment[name] for name in _LISTENED]
        return ask_logs(addresses, topics, from_block, to_block)

    def _decode_logs(self, logs: list[Log]) -> list[ChainEvent]:
        logs.sort(key=lambda log: log.at)
        events = (decode_log(log.topics, log.data, self._build_ref(log)) for log in logs)
        return [event for event in events if event is not None]

    def _build_ref(self, log: Log) -> EventRef:
        number, index = log.at
        stamp = log.timestamp  # a request less for each block, where nodes tell it
        if stamp is None:
            stamp = self._timestamp_of(number, log.block_hash)
        return EventRef(number, log.block_hash, log.tx_hash, index, stamp)


_CASE_CLOSED = 5
_PROVIDER_OF = ("ProviderRegistry", "providerOf")


def _decode(codec: FunctionCodec, take: Callable[[], bytes]) -> Any:
    return codec.decode(take())


def _none_if_reverted(take: Callable[[], T]) -> T | None:
    try:
        return take()
    except ContractReverted:
        return None


def _translate_call(error: ContractLogicError) -> ContractReverted | ChainRefused:
    data = find_revert_data(error.data)
    if data is not None:
        return decode_revert(data)
    # web3 takes every error that nests its message for a revert.
    if isinstance(error.data, dict) and "revert" not in str(error.data):
        return ChainRefused(f"the chain refused: {error.data.get('message')}")
    return ContractReverted()
