"""Sockets are bound as servers need them, and where they listen is told in one step."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from commonweal.adapters.listening import (
    CannotListen,
    PortInUse,
    open_listener,
    read_endpoint,
    url_of,
    write_endpoint,
)


def test_a_port_in_use_is_named() -> None:
    with open_listener("127.0.0.1", 0) as other:
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortInUse) as caught:
            open_listener("127.0.0.1", port)
    assert caught.value.details == {"host": "127.0.0.1", "port": port}


def test_another_failure_to_listen_is_not_called_a_port_in_use() -> None:
    with pytest.raises(CannotListen):
        open_listener("192.0.2.1", 0)  # nobody's address


def test_asyncio_is_told_that_it_listens_on_tcp() -> None:
    """Else it leaves Nagle's algorithm on, and every small answer waits for an acknowledgement."""
    with open_listener("127.0.0.1", 0) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()):
            accepted, _ = listener.accept()
            assert accepted.proto == socket.IPPROTO_TCP
            accepted.close()


@pytest.mark.parametrize(
    ("host", "start"),
    [("127.0.0.1", "http://127.0.0.1:"), ("0.0.0.0", "http://127.0.0.1:")],
)
def test_the_url_is_one_that_this_machine_reaches(host: str, start: str) -> None:
    with open_listener(host, 0) as listener:
        assert url_of(listener) == f"{start}{listener.getsockname()[1]}"


def test_endpoint_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "node" / "endpoint"
    assert read_endpoint(path) is None
    write_endpoint(path, "http://127.0.0.1:1")
    assert read_endpoint(path) == "http://127.0.0.1:1"
    assert list(path.parent.iterdir()) == [path]
