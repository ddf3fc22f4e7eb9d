"""The one door to a chain: JSON-RPC over HTTP, behind web3.py's `Eth`.

No proxies from the environment, the chain id fetched once, none of web3's middleware (its
validation alone costs two requests per call), no off-chain lookups on a contract's say-so.
"""

from __future__ import annotations

from typing import Any

import httpx
from web3 import Web3
from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

from commonweal.errors import Conflict, Unavailable


class ChainUnavailable(Unavailable):
    code = "chain-unavailable"


class ChainRefused(Unavailable):
    """The node answered with an error that is no revert."""

    code = "chain-refused"


class WrongChain(Conflict):
    code = "wrong-chain"


class HttpProvider(JSONBaseProvider):
    """Safe to share between threads."""

    global_ccip_read_enabled = False

    def __init__(self, rpc_url: str, timeout: float = 30.0) -> None:
        super().__init__(cache_allowed_requests=True)
        self.rpc_url = rpc_url
        self._client = httpx.Client(
            trust_env=False, timeout=timeout, headers={"Content-Type": "application/json"}
        )

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        body = self.encode_rpc_request(method, params)
        try:
            answer = self._client.post(self.rpc_url, content=body)
            answer.raise_for_status()
            return self.decode_rpc_response(answer.content)
        except (httpx.HTTPError, ValueError) as error:
            message = f"{self.rpc_url} did not answer {method}: {error}"
            raise ChainUnavailable(message, rpc_url=self.rpc_url, method=method) from error

    def close(self) -> None:
        self._client.close()


def connect(rpc_url: str, timeout: float = 30.0) -> Web3:
    return Web3(HttpProvider(rpc_url, timeout), middleware=[])
