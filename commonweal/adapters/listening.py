"""Where a server of ours listens: its socket, and the file that tells other programs its URL."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

from commonweal.errors import Conflict

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 – told, not bound


class PortInUse(Conflict):
    code = "port-in-use"


class CannotListen(Conflict):
    code = "cannot-listen"


def open_listener(host: str, port: int) -> socket.socket:
    """Bound; 0 takes a free port. Raises PortInUse, CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle off only where TCP is named: small answers would wait 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        kind = PortInUse if error.errno == errno.EADDRINUSE else CannotListen
        message = f"cannot listen on {host}:{port}: {error.strerror}"
        raise kind(message, host=host, port=port) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """As programs on this machine reach it."""
    host, port = listener.getsockname()[:2]
    host = _ANY.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def write_endpoint(path: Path, url: str) -> None:
    """In one step, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(url + "\n")
    os.replace(partial, path)


def read_endpoint(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None
