"""The one door to a chain: JSON-RPC over HTTP, behind web3.py's `Eth`.

No proxies from the environment, the chain id fetched once, none of web3's middleware (its
validation alone costs two requests per call), no off-chain lookups on a contract's say-so.
"""

from __future__ import annotations

import logging
import re
from typing import Any
from urllib.parse import urlsplit

import urllib3
from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from commonweal.errors import Conflict, Unavailable

# Its warnings name the path of what it tries again, where hosted endpoints carry their key.
logging.getLogger("urllib3").setLevel(logging.ERROR)


class ChainUnavailable(Unavailable):
    code = "chain-unavailable"


class ChainRefused(Unavailable):
    """The node answered with an error that is no revert."""

    code = "chain-refused"


class WrongChain(Conflict):
    code = "wrong-chain"


# Not the same as a query that is too big, which some nodes give the same number: -32005.
_RATE_LIMIT = re.compile(r"(?i)rate.?limit|too many requests|request limit|compute units")


class HttpProvider(JSONBaseProvider):
    """Safe to share between threads."""

    global_ccip_read_enabled = False

    def __init__(self, rpc_url: str, timeout: float = 30.0) -> None:
        super().__init__(cache_allowed_requests=True)
        self.rpc_url = rpc_url
        self._pool = urllib3.PoolManager(
            maxsize=8,
            timeout=timeout,
            # Once more after a broken connection: every request here may be made twice.
            retries=urllib3.Retry(2, read=1, other=0, redirect=0, status=0, allowed_methods=None),
            headers={"Content-Type": "application/json"},
        )

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        body = self.encode_rpc_request(method, params)
        try:
            return self._decode(self._pool.request("POST", self.rpc_url, body=body))
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            name, reason = name_endpoint(self.rpc_url), getattr(error, "reason", error)
            message = f"{name} did not answer {method}: {reason}"
            raise ChainUnavailable(message, endpoint=name, method=method) from error

    def close(self) -> None:
        self._pool.clear()

    def _decode(self, answer: urllib3.BaseHTTPResponse) -> RPCResponse:
        """Some nodes send JSON-RPC errors with a status of 400 and above."""
        try:
            decoded = self.decode_rpc_response(answer.data)
        except ValueError as error:
            raise ValueError(f"status {answer.status}, no JSON") from error
        if not isinstance(decoded, dict) or not decoded.keys() & {"result", "error"}:
            raise ValueError(f"status {answer.status}, no JSON-RPC")
        refusal = decoded.get("error")
        if answer.status == 429 or (refusal and _RATE_LIMIT.search(str(refusal))):
            raise ValueError("it takes no more requests for now")
        return decoded


def name_endpoint(rpc_url: str) -> str:
    """Without user and path, where hosted endpoints carry their key: errors travel far."""
    parts = urlsplit(rpc_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
