"""Errors of the chain's endpoint reach logs and HTTP clients: no key may be in them."""

from __future__ import annotations

import logging
from socketserver import BaseRequestHandler, TCPServer
from threading import Thread

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


def test_a_second_try_after_a_closed_connection_prints_no_path(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Slammed(BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65_536)

    with TCPServer(("127.0.0.1", 0), Slammed) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        provider = HttpProvider(f"http://127.0.0.1:{port}/v3/hush", timeout=5)
        with caplog.at_level(logging.WARNING), pytest.raises(ChainUnavailable):
            provider.make_request(RPCEndpoint("eth_chainId"), [])
        provider.close()
        server.shutdown()
    assert "hush" not in caplog.text
