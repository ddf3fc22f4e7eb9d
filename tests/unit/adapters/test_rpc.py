"""Errors of the chain's endpoint reach logs and HTTP clients: no key may be in them."""

from __future__ import annotations

import logging
from http.server import BaseHTTPRequestHandler
from socketserver import BaseRequestHandler, TCPServer, ThreadingTCPServer
from threading import Thread

import pytest
from rpc_nodes import serve
from web3.types import RPCEndpoint

from commonweal.adapters import rpc
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


@pytest.mark.parametrize("url", ["http://node:many/hush", "ftp://node/hush", "http://./hush"])
def test_a_url_that_cannot_be_used_is_an_endpoint_that_does_not_answer(url: str) -> None:
    with pytest.raises(ChainUnavailable) as caught:
        HttpProvider(url, timeout=2).make_request(RPCEndpoint("eth_chainId"), [])
    assert "hush" not in caught.value.message


def test_an_endless_answer_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "_MOST_BYTES", 1_000)
    answer = b'{"id":0,"result":"' + b"x" * 979 + b'"}'
    assert len(answer) == 1_000 - 1
    for extra, is_taken in ((b" ", True), (b"  ", False)):
        with serve(lambda _, extra=extra: (200, answer + extra)) as provider:
            if is_taken:
                provider.make_request(RPCEndpoint("eth_call"), [])
            else:
                with pytest.raises(ChainUnavailable, match="more than 1000 bytes came"):
                    provider.make_request(RPCEndpoint("eth_call"), [])


def test_a_connection_is_kept_and_another_is_opened_when_it_was_closed_meanwhile() -> None:
    answered: list[int] = []

    class Closing(BaseHTTPRequestHandler):
        """Answers two requests of a connection and closes it without a word."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            answered.append(self.client_address[1])
            body = b'{"id":0,"result":"0x1"}'
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = answered.count(self.client_address[1]) == 2

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingTCPServer(("127.0.0.1", 0), Closing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        provider = HttpProvider(f"http://127.0.0.1:{server.server_address[1]}", timeout=5)
        for _ in range(4):
            assert provider.make_batch([("eth_chainId", [])])[0]["result"] == "0x1"
        provider.close()
        server.shutdown()
    assert len(answered) == 4
    assert len(set(answered)) == 2
