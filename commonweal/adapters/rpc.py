"""The one door to a chain: JSON-RPC over HTTP, behind web3.py's `Eth` and `queries`.

No proxies from the environment, the chain id fetched once, none of web3's middleware (its
validation alone costs two requests per call), no off-chain lookups on a contract's say-so.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import urllib3
from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from commonweal.errors import Conflict, Unavailable

# Its warnings name the path of what it tries again, where hosted endpoints carry their key.
logging.getLogger("urllib3").setLevel(logging.ERROR)

_MOST_BYTES = 256 * 2**20  # of an answer; a range of a hundred thousand events has half of it


class ChainUnavailable(Unavailable):
    code = "chain-unavailable"


class ChainRefused(Unavailable):
    """The node answered with an error that is no revert."""

    code = "chain-refused"


class WrongChain(Conflict):
    code = "wrong-chain"


# Not the same as a query that is too big, which some nodes give the same number: -32005.
_RATE_LIMIT = re.compile(r"(?i)rate.?limit|too many requests|request limit|compute units")
_TOO_MANY, _FULL = 429, "it takes no more requests for now"


Request = tuple[str, Sequence[Any]]  # method and parameters, as JSON has them


class HttpProvider(JSONBaseProvider):
    """Safe to share between threads."""

    global_ccip_read_enabled = False

    def __init__(self, rpc_url: str, timeout: float = 30.0) -> None:
        super().__init__(cache_allowed_requests=True)
        self.rpc_url = rpc_url
        self._takes_batches = True
        self._pool = urllib3.PoolManager(
            maxsize=8,
            timeout=timeout,
            # Once more after a broken connection: every request here may be made twice.
            retries=urllib3.Retry(2, read=1, other=0, redirect=0, status=0, allowed_methods=None),
            headers={"Content-Type": "application/json"},
        )

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        answer = self._exchange(method, self.encode_rpc_request(method, params))
        return self._check(method, answer)

    def make_batch(self, requests: Sequence[Request]) -> list[RPCResponse]:
        """The answers in the order of the requests, in one exchange if the node takes several."""
        if len(requests) == 1 or not self._takes_batches:
            return [self._make_one(*request) for request in requests]
        numbered = [_write(at, *request) for at, request in enumerate(requests)]
        method = requests[0][0]
        answers = self._exchange(method, json.dumps(numbered).encode())
        if not isinstance(answers, list):
            self._takes_batches = False
            return self.make_batch(requests)
        named = [each for each in answers if isinstance(each, dict)]
        found = {each["id"]: each for each in named if isinstance(each.get("id"), int)}
        return [self._check(method, found.get(at)) for at in range(len(requests))]

    def close(self) -> None:
        self._pool.clear()

    def _make_one(self, method: str, params: Sequence[Any]) -> RPCResponse:
        body = json.dumps(_write(0, method, params)).encode()
        return self._check(method, self._exchange(method, body))

    def _exchange(self, method: str, body: bytes) -> Any:
        """Some nodes send JSON-RPC errors with a status of 400 and above."""
        try:
            status, answer = self._post(body)
        except urllib3.exceptions.LocationValueError as error:  # whose text is the URL
            raise self._fail(method, "its URL cannot be used") from error
        except urllib3.exceptions.HTTPError as error:
            raise self._fail(method, getattr(error, "reason", error)) from error
        if status == _TOO_MANY:
            raise self._fail(method, _FULL)
        if len(answer) > _MOST_BYTES:
            raise self._fail(method, f"more than {_MOST_BYTES} bytes came")
        try:
            return json.loads(answer)
        except ValueError as error:
            raise self._fail(method, f"status {status}, no JSON") from error

    def _post(self, body: bytes) -> tuple[int, bytes]:
        """Status and what was sent with it, no more of it than is needed to see that it is long."""
        answer = self._pool.request("POST", self.rpc_url, body=body, preload_content=False)
        try:
            data = answer.read(_MOST_BYTES + 1)
        except BaseException:
            answer.close()
            raise
        if len(data) > _MOST_BYTES:
            answer.close()
        answer.release_conn()
        return answer.status, data

    def _check(self, method: str, answer: Any) -> RPCResponse:
        if not isinstance(answer, dict) or not answer.keys() & {"result", "error"}:
            raise self._fail(method, "no JSON-RPC")
        refusal = answer.get("error")
        if refusal and _RATE_LIMIT.search(str(refusal)):
            raise self._fail(method, _FULL)
        return answer  # type: ignore[return-value]

    def _fail(self, method: str, reason: object) -> ChainUnavailable:
        name = name_endpoint(self.rpc_url)
        message = f"{name} did not answer {method}: {reason}"
        return ChainUnavailable(message, endpoint=name, method=method)


def _write(id_: int, method: str, params: Sequence[Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "method": method, "params": params}


def name_endpoint(rpc_url: str) -> str:
    """Without user and path, where hosted endpoints carry their key: errors travel far."""
    parts = urlsplit(rpc_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
