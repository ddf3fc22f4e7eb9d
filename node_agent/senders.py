"""Getting a message on chain: through a coordinator, or by the node's own transaction.

Senders are called again with the same message until the chain shows it; they keep no promise in
memory that a restart would need.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import httpx
import structlog

from commonweal.adapters import http
from commonweal.adapters.chain import ChainReader, ContractReverted
from commonweal.adapters.transactions import TransactionSender
from commonweal.protocol import batches
from commonweal.protocol.batches import ContractCall, RoundRecord
from commonweal.protocol.messages import (
    BallotCommitmentMessage,
    BallotRevealMessage,
    JoinMessage,
    LeaveMessage,
    Message,
    ModelAttestationMessage,
    UpdateCommitmentMessage,
    UpdateRevealMessage,
)
from commonweal.protocol.types import Address
from node_agent.chainlog import ChainLog
from node_agent.errors import MessageRefused, NoCoordinator

log = structlog.get_logger(__name__)
_MIN_GAS_WEI = 10**15
_REPOST_SECONDS = 2.0
_MINING_SECONDS = 20.0
_RELAY_SECONDS, _ANSWER_BYTES = 5.0, 64 * 2**10
# Whoever's message happens to complete a phase also pays for closing it, drawing or tallying. Who
# that is can change between an estimate and the block, so these are limits, not estimates.
_GAS_LIMITS = {
    "commitUpdates": 600_000,
    "revealUpdates": 1_500_000,
    "commitBallots": 600_000,
    "revealBallots": 4_000_000,
    "attest": 600_000,
    "advance": 1_500_000,
}
# A vote may be the one that closes a case, with all that follows for a committee of fifteen.
_APPEAL_GAS_LIMITS = {"commitVotes": 1_000_000, "revealVote": 4_000_000, "advance": 4_000_000}
_TALLY_GAS = 600  # per byte of a ballot: the dearest scores to count
_MAX_GAS = 16_000_000
_DONE_ALREADY = frozenset(
    {
        "AlreadyCommitted",
        "AlreadyRevealed",
        "BallotAlreadyCommitted",
        "AlreadyAttested",
        "MemberExists",
    }
)


def compute_gas_limit(call: ContractCall) -> int | None:
    """A bound for what `call` may have to do, None where an estimate will do."""
    limits = _APPEAL_GAS_LIMITS if call.contract == "Appeals" else _GAS_LIMITS
    limit = limits.get(call.function)
    if limit is None or call.function != "revealBallots":
        return limit
    ballots: bytes = call.args[3]  # type: ignore[assignment]
    return min(limit + _TALLY_GAS * len(ballots), _MAX_GAS)


@dataclass(frozen=True, slots=True)
class Sending:
    """A message, the block that the decision to send it was taken at, and how long there is."""

    message: Message
    at: int
    seconds_left: float

    @property
    def key(self) -> str:
        message = self.message
        if isinstance(message, JoinMessage | LeaveMessage):
            return f"{message.kind}:{message.job}:{message.deadline}"
        return f"{message.kind}:{message.job}:{message.round}"


class MessageSender(Protocol):
    def submit(self, sending: Sending) -> None:
        """Do the next thing that brings the message on chain. Never waits long; call again."""


def compute_calls(
    message: Message, record: Callable[[int, int], RoundRecord]
) -> list[ContractCall]:
    """The transactions that carry one message alone."""
    match message:
        case UpdateCommitmentMessage():
            return batches.commit_updates([message])
        case UpdateRevealMessage():
            return batches.reveal_updates([message], record(message.job, message.round))
        case BallotCommitmentMessage():
            return [batches.commit_ballots([message])]
        case BallotRevealMessage():
            found = record(message.job, message.round)
            return [batches.reveal_ballots([message], found, repeat=True)]
        case ModelAttestationMessage():
            return batches.attest_model([message])
        case JoinMessage():
            return [batches.join_job(message)]
        case LeaveMessage():
            return [batches.leave_job(message)]


class DirectSender:
    """The node's own transactions, paid with the operator's gas."""

    def __init__(
        self, reader: ChainReader, operator: Address, chain_log: ChainLog, sender: TransactionSender
    ) -> None:
        self._reader = reader
        self._operator = operator
        self._log = chain_log
        self._sender = sender
        self._attempts: dict[str, int] = {}

    def has_gas(self) -> bool:
        return self._reader.ask(lambda: self._fetch_gas()) >= _MIN_GAS_WEI

    def submit(self, sending: Sending) -> None:
        record = partial(self._log.record, at=sending.at)
        self.carry(sending.key, compute_calls(sending.message, record))

    def carry(self, key: str, calls: Sequence[ContractCall]) -> None:
        """Raises ContractReverted; what somebody else has done already is no error."""
        attempt = self._attempts.get(key, 0)
        for place, call in enumerate(calls):
            self._send(f"{key}:{attempt}:{place}", call)
        # Asked again, it was mined and undone: the same intent would only return the old receipt.
        self._attempts[key] = attempt + 1

    def _send(self, intent: str, call: ContractCall) -> None:
        gas = compute_gas_limit(call)
        try:
            self._sender.send(
                intent, call.contract, call.function, *call.args, gas=gas, timeout=_MINING_SECONDS
            )
        except ContractReverted as error:
            if error.name not in _DONE_ALREADY:
                raise
            log.info("not needed any more", intent=intent, revert=error.name)

    def _fetch_gas(self) -> int:
        return int(self._reader.web3.eth.get_balance(self._operator))  # type: ignore[arg-type]


@dataclass(slots=True)
class _Posting:
    since: float
    url: str | None = None
    id: str = ""
    asked_at: float = 0.0
    refusals: dict[str, str] = field(default_factory=dict)  # reason by coordinator


class RelaySender:
    """Posts to the first coordinator that answers; goes direct when that does not help in time."""

    def __init__(
        self,
        coordinators: Sequence[str],
        client: httpx.Client,
        fallback: DirectSender,
        *,
        patience: float,
        take_receipt: Callable[[str, Message, Any], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`take_receipt`: of (coordinator, message, its answer); False if there is none in it."""
        self._take_receipt = take_receipt
        self._coordinators = tuple(url.rstrip("/") for url in coordinators)
        self._client = client
        self._fallback = fallback
        self._patience = patience
        self._clock = clock
        self._postings: dict[str, _Posting] = {}

    def submit(self, sending: Sending) -> None:
        posting = self._postings.setdefault(sending.key, _Posting(self._clock()))
        if posting.url is not None:
            self._follow(posting)
        if posting.url is None:
            self._post(sending.message, posting)
        waited = self._clock() - posting.since
        left = sending.seconds_left
        if posting.url is None or waited > min(self._patience, (left + waited) / 2):
            self._go_direct(sending, posting)

    def _post(self, message: Message, posting: _Posting) -> None:
        body = message.model_dump(mode="json")
        for url in self._coordinators:
            try:
                response = self._ask("POST", f"{url}/v1/messages", json=body)
            except httpx.HTTPError as error:
                posting.refusals[url] = type(error).__name__
                continue
            if response.status_code == httpx.codes.ACCEPTED:
                # Whoever promises nothing may drop it unseen: that is no relay.
                if not self._take_receipt(url, message, _read_object(response)):
                    posting.refusals[url] = "no-receipt"
                    continue
                posting.url, posting.id = url, _read_id(response)
                posting.asked_at = self._clock()
                return
            posting.refusals[url] = _read_reason(response)

    def _ask(self, method: str, url: str, **options: Any) -> httpx.Response:
        """A coordinator is nobody to wait for: a phase may be over meanwhile."""
        seconds, most = _RELAY_SECONDS, _ANSWER_BYTES
        return http.request(self._client, method, url, seconds=seconds, most_bytes=most, **options)

    def _follow(self, posting: _Posting) -> None:
        """Forget a posting that its coordinator dropped, so that it is posted again."""
        if self._clock() - posting.asked_at < _REPOST_SECONDS:
            return
        posting.asked_at = self._clock()
        url = posting.url or ""
        try:
            response = self._ask("GET", f"{url}/v1/messages/{posting.id}")
            state = _read(response, "state")
        except httpx.HTTPError as error:
            response, state = None, type(error).__name__
        if state in ("accepted", "sent"):
            return
        posting.refusals[url] = _read_reason(response) if response is not None else state
        posting.url = None

    def _go_direct(self, sending: Sending, posting: _Posting) -> None:
        if self._fallback.has_gas():
            log.info("sending without a coordinator", key=sending.key, refusals=posting.refusals)
            posting.since = self._clock()
            self._fallback.submit(sending)
        elif posting.url is None:
            raise self._explain(sending, posting)

    def _explain(self, sending: Sending, posting: _Posting) -> MessageRefused | NoCoordinator:
        text = "; ".join(f"{url}: {reason}" for url, reason in posting.refusals.items())
        if any(not reason.endswith(("Error", "Timeout")) for reason in posting.refusals.values()):
            return MessageRefused(f"no coordinator takes {sending.key}: {text}", key=sending.key)
        return NoCoordinator(f"no coordinator answers: {text or 'none is configured'}")


def _read_id(response: httpx.Response) -> str:
    return _read(response, "id")


def _read_reason(response: httpx.Response) -> str:
    for name in ("reason", "code", "detail", "state"):
        if text := _read(response, name):
            return text
    return f"HTTP {response.status_code}"


def _read(response: httpx.Response, name: str) -> str:
    """A text field of the answer's object; empty if it has none."""
    value = _read_object(response).get(name)
    return "" if value is None else str(value)


def _read_object(response: httpx.Response) -> dict[str, Any]:
    """The answer's object, or the first of its list; empty if it has none."""
    try:
        document = response.json()
    except ValueError:
        return {}
    if isinstance(document, list) and document:
        document = document[0]
    return document if isinstance(document, dict) else {}
