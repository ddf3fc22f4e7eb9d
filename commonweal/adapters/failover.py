"""Several endpoints of one chain behind one door: whichever answers, in the order they were named.

An endpoint that fails rests, longer each time. One that knows fewer blocks than another has shown
is passed over; one that has not got a block below its own head is taken for a liar and rests too.
What all endpoints agree on is believed: `weal verify` trusts them no further than this.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from web3 import Web3
from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from commonweal.adapters.rpc import (
    ChainUnavailable,
    HttpProvider,
    Request,
    WrongChain,
    name_endpoint,
)

log = structlog.get_logger(__name__)
_FIRST_REST, _LONGEST_REST = 1.0, 60.0
_BEHIND_REST = 0.5
_LAG = 2  # blocks that an honest node may be behind another
_LEAP = 1_000  # blocks: of two, one that claims to be this far ahead is not believed
_HEAD_SECONDS = 60.0  # as long as a head counts for the others
_MAY_BE_MISSED = ("eth_getTransactionByHash", "eth_getTransactionReceipt")
_UNKNOWN_BLOCK = ("header not found", "unknown block", "block not found", "missing trie node")


class AbsenceUnproven(ChainUnavailable):
    """Who answered has not got it; who did not answer may have."""


@dataclass(slots=True)
class Endpoint:
    provider: HttpProvider
    head: int = -1
    head_at: float = 0.0
    rests_until: float = 0.0
    failures: int = 0
    is_checked: bool = False  # its chain id

    @property
    def name(self) -> str:
        return name_endpoint(self.provider.rpc_url)


class FailoverProvider(JSONBaseProvider):
    """Safe to share between threads."""

    global_ccip_read_enabled = False

    def __init__(
        self,
        providers: Sequence[HttpProvider],
        chain_id: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`chain_id`: endpoints of another chain are never used."""
        super().__init__(cache_allowed_requests=True)
        self._endpoints = [Endpoint(provider) for provider in providers]
        self._chain_id = chain_id
        self._clock = clock
        self._lock = threading.Lock()

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Raises ChainUnavailable if no endpoint answers, WrongChain if none is on the chain.

        That a transaction is unknown, or not mined, is believed if every endpoint says so;
        AbsenceUnproven if only some could be asked.
        """
        errors: list[ChainUnavailable | WrongChain] = []
        behind: list[tuple[int, RPCResponse]] = []
        absent: list[RPCResponse] = []
        for endpoint in self._in_order():
            if absent and endpoint.rests_until > self._clock():  # not worth its timeout
                errors.append(ChainUnavailable(f"{endpoint.name} rests", endpoint=endpoint.name))
                continue
            try:
                self._check(endpoint, method, params)
                answer = endpoint.provider.make_request(method, params)
            except (ChainUnavailable, WrongChain) as error:
                self._rest(endpoint, error.message)
                errors.append(error)
                continue
            if self._is_behind(endpoint, method, params, answer):
                behind.append((endpoint.head, answer))
                continue
            endpoint.failures = 0
            if not _is_transaction_missing(method, answer):
                return answer
            absent.append(answer)
        if absent:
            if away := [each for each in errors if not isinstance(each, WrongChain)]:
                raise AbsenceUnproven(_join(away), method=method, endpoints=len(away))
            return absent[0]
        if behind:  # nobody knows more
            return max(behind, key=lambda each: each[0])[1]
        if all(isinstance(error, WrongChain) for error in errors):
            raise errors[0]
        raise ChainUnavailable(_join(errors), method=method, endpoints=len(errors))

    def make_batch(self, requests: Sequence[Request]) -> list[RPCResponse]:
        """One by one: each answer is weighed by itself, and may come from another endpoint."""
        return [self.make_request(RPCEndpoint(method), params) for method, params in requests]

    def close(self) -> None:
        for endpoint in self._endpoints:
            endpoint.provider.close()

    def _in_order(self) -> list[Endpoint]:
        """Those that rest come last, so that one of them is asked when all do."""
        now = self._clock()
        return sorted(self._endpoints, key=lambda each: max(0.0, each.rests_until - now))

    def _check(self, endpoint: Endpoint, method: RPCEndpoint, params: Any) -> None:
        if not endpoint.is_checked and self._chain_id is not None:
            answer = endpoint.provider.make_request(RPCEndpoint("eth_chainId"), [])
            have = _read_number(answer.get("result"))
            if have != self._chain_id:
                message = f"{endpoint.name} is on chain {have}, not on {self._chain_id}"
                raise WrongChain(message, have=have, need=self._chain_id)
            endpoint.is_checked = True
        if method == "eth_getLogs":
            self._check_covers(endpoint, _read_number(params[0].get("toBlock")))

    def _check_covers(self, endpoint: Endpoint, last: int) -> None:
        """Nodes answer a range that they have not got to the end with what they have of it."""
        if last <= endpoint.head:
            return
        answer = endpoint.provider.make_request(RPCEndpoint("eth_blockNumber"), [])
        self._note_head(endpoint, _read_number(answer.get("result")))
        if last > endpoint.head:
            message = f"{endpoint.name} has not got block {last} yet"
            raise ChainUnavailable(message, endpoint=endpoint.name, head=endpoint.head)

    def _is_behind(
        self, endpoint: Endpoint, method: RPCEndpoint, params: Any, answer: RPCResponse
    ) -> bool:
        if (head := _read_head(method, params, answer)) is not None:
            self._note_head(endpoint, head)
            if head < self._find_best_head() - _LAG:
                endpoint.rests_until = self._clock() + _BEHIND_REST
                return True
            return False
        if not _is_block_missing(method, answer):
            return False
        number = _read_number(params[0]) if method == "eth_getBlockByNumber" else -1
        if 0 <= number <= endpoint.head:
            self._rest(endpoint, f"{endpoint.name} has no block {number} below its own head")
        return True

    def _find_best_head(self) -> int:
        """The highest that one endpoint cannot have made up alone, if there are enough to tell.

        -1 if none counts: another thread may have put this one to rest meanwhile.
        """
        with self._lock:
            since = self._clock() - _HEAD_SECONDS
            fresh = (each for each in self._endpoints if each.head_at > since)
            heads = sorted(each.head for each in fresh if each.head >= 0)
        if len(heads) >= 3:
            return heads[-2]
        if len(heads) == 2 and heads[1] - heads[0] > _LEAP:
            return heads[0]
        return heads[-1] if heads else -1

    def _note_head(self, endpoint: Endpoint, head: int) -> None:
        with self._lock:
            endpoint.head, endpoint.head_at = head, self._clock()

    def _rest(self, endpoint: Endpoint, reason: str) -> None:
        """Twice as long as the last time."""
        with self._lock:
            seconds = min(_FIRST_REST * 2**endpoint.failures, _LONGEST_REST)
            endpoint.failures = min(endpoint.failures + 1, 16)
            endpoint.rests_until = self._clock() + seconds
            endpoint.head, endpoint.head_at = -1, 0.0
        log.warning("endpoint passed over", endpoint=endpoint.name, reason=reason, seconds=seconds)


def connect(
    rpc_urls: str | Sequence[str], chain_id: int | None = None, timeout: float = 30.0
) -> Web3:
    """See `open_provider`."""
    return Web3(open_provider(rpc_urls, chain_id, timeout), middleware=[])


def open_provider(
    rpc_urls: str | Sequence[str], chain_id: int | None = None, timeout: float = 30.0
) -> HttpProvider | FailoverProvider:
    """One endpoint, or several of the same chain in order of preference."""
    urls = [rpc_urls] if isinstance(rpc_urls, str) else list(rpc_urls)
    providers = [HttpProvider(url, timeout) for url in urls]
    return providers[0] if len(urls) == 1 else FailoverProvider(providers, chain_id)


def _read_head(method: RPCEndpoint, params: Any, answer: RPCResponse) -> int | None:
    """The height that an answer claims for its endpoint."""
    result: Any = answer.get("result")
    if method == "eth_blockNumber":
        return _read_number(result)
    if method == "eth_getBlockByNumber" and params[0] == "latest" and isinstance(result, dict):
        return _read_number(result.get("number"))
    return None


def _join(errors: Sequence[ChainUnavailable | WrongChain]) -> str:
    return "; ".join(error.message for error in errors)


def _is_transaction_missing(method: RPCEndpoint, answer: RPCResponse) -> bool:
    return method in _MAY_BE_MISSED and "error" not in answer and answer.get("result") is None


def _is_block_missing(method: RPCEndpoint, answer: RPCResponse) -> bool:
    if method == "eth_getBlockByNumber":
        return answer.get("result") is None
    error = str(answer.get("error") or "").lower()
    return any(words in error for words in _UNKNOWN_BLOCK)


def _read_number(value: Any) -> int:
    """-1 for what is no number, such as a tag."""
    try:
        return value if isinstance(value, int) else int(value, 16)
    except (TypeError, ValueError):
        return -1
