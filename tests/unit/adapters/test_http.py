"""Exchanges with strangers end in time, whatever the other side does with its bytes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from commonweal.adapters.http import is_endpoint, open_client, request

Behaviour = Callable[[socket.socket], None]
UNDIALLED = (
    "http://a..b",
    "http://.",
    f"http://{'a' * 64}.example",
    "http://xn--a",
    "http://127.0.0.1:99999999999999999999",
    "http://[::1",
)


@contextmanager
def serving(behave: Behaviour) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve_one, args=(listener, behave), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def _serve_one(listener: socket.socket, behave: Behaviour) -> None:
    with suppress(OSError), listener.accept()[0] as connection:
        behave(connection)


def _drip(start: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(start)
        while True:
            time.sleep(0.02)
            connection.sendall(b"x")

    return behave


def _answer(body: bytes) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    return behave


def _read_nothing(connection: socket.socket) -> None:
    time.sleep(20)


@pytest.mark.parametrize(
    "start",
    [b"", b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"],
    ids=["status", "header", "body"],
)
def test_an_answer_that_drips_is_given_up(start: bytes) -> None:
    began = time.monotonic()
    with (
        serving(_drip(start)) as url,
        open_client() as client,
        pytest.raises(httpx.TimeoutException),
    ):
        request(client, "GET", url, seconds=0.3, most_bytes=10**6)
    assert time.monotonic() - began < 10


def test_a_body_that_nobody_reads_is_given_up() -> None:
    began = time.monotonic()
    with (
        serving(_read_nothing) as url,
        open_client() as client,
        pytest.raises(httpx.TimeoutException),
    ):
        request(client, "PUT", url, seconds=0.3, most_bytes=10, content=bytes(2**24))
    assert time.monotonic() - began < 10


def test_an_answer_has_a_size() -> None:
    with (
        serving(_answer(bytes(1001))) as url,
        open_client() as client,
        pytest.raises(httpx.ReadError, match="more than 1000 bytes"),
    ):
        request(client, "GET", url, seconds=2, most_bytes=1000)


def test_an_answer_in_time_arrives() -> None:
    with serving(_answer(b"content")) as url, open_client() as client:
        response = request(client, "GET", url, seconds=2, most_bytes=7)
    assert (response.status_code, response.content) == (200, b"content")


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("http://10.0.0.1:9000", True),
        ("http://[::1]:9000/", True),
        ("https://node.example/path", True),
        ("http://xn--mnchen-3ya.example", True),
        ("", False),
        ("file:///etc/passwd", False),
        ("ftp://node", False),
        ("http://user:secret@node", False),
        ("http://node/?q=1", False),
        ("http://node/#x", False),
        ("http://no de", False),
        ("http://" + "a" * 300, False),
        ("0x" + "a1" * 20, False),
        ("http://:9000", False),
        ("http://[zz]", False),
        ("http://1.2.3.999", False),
        ("http://node:0", False),
        ("http://node:65536", False),
        ("http://node/\x01", False),
        *((text, False) for text in UNDIALLED),
    ],
)
def test_only_plain_http_addresses_that_can_be_dialled_are_endpoints(text: str, good: bool) -> None:
    assert is_endpoint(text) is good


@pytest.mark.parametrize("url", UNDIALLED)
def test_what_cannot_be_dialled_is_as_if_nobody_answered(url: str) -> None:
    with open_client() as client, pytest.raises(httpx.ConnectError):
        request(client, "GET", url, seconds=3.0, most_bytes=10)
