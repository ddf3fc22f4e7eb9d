"""Errors of the chain's endpoint reach logs and HTTP clients: no key may be in them."""

from __future__ import annotations

import pytest
from web3.types import RPCEndpoint

from commonweal.adapters.rpc import ChainUnavailable, HttpProvider, name_endpoint


def test_an_endpoint_that_does_not_answer_keeps_its_key_to_itself() -> None:
    provider = HttpProvider("http://user:hush@127.0.0.1:9/v3/hush?key=hush", timeout=2)
    with pytest.raises(ChainUnavailable) as caught:
        provider.make_request(RPCEndpoint("eth_chainId"), [])
    assert "hush" not in caught.value.message + str(caught.value.details)
    assert "http://127.0.0.1:9 did not answer eth_chainId" in caught.value.message


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://rpc.example/v3/key", "https://rpc.example"),
        ("http://key@[::1]:8545/", "http://[::1]:8545"),
    ],
)
def test_an_endpoint_is_named_by_scheme_host_and_port(url: str, name: str) -> None:
    assert name_endpoint(url) == name
