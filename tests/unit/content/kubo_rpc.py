"""A server of the documented Kubo RPC for the endpoints used, on top of an EmbeddedStore."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from commonweal.adapters.content.embedded import EmbeddedStore
from commonweal.adapters.content.store import ContentNotFound


class KuboRpc:
    def __init__(self, store: EmbeddedStore) -> None:
        self.store = store
        self.direct: set[str] = set()
        self.recursive: set[str] = set()
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.fault: str | None = None  # an error message for every request
        self.swap: bytes | None = None  # what block/get lies

    def answer(self, path: str, options: dict[str, str], body: bytes) -> bytes:
        self.requests.append((path, options))
        if self.fault:
            raise ValueError(self.fault)
        cid = options.get("arg", "")
        answers = {
            "block/put": lambda: self._put(options["cid-codec"], body),
            "block/get": lambda: self.swap or self._block(cid),
            "block/stat": lambda: _json({"Key": cid, "Size": len(self._block(cid))}),
            "pin/add": lambda: self._pin(cid, options["recursive"].lower() == "true"),
            "pin/rm": lambda: self._unpin(cid),
            "pin/ls": lambda: _json({"Keys": {pin: {"Type": "direct"} for pin in self.direct}}),
        }
        return answers[path]()

    def _block(self, cid: str) -> bytes:
        try:
            return self.store.get_block(cid)
        except ContentNotFound as error:
            message = f"block was not found locally (offline): ipld: could not find {cid}"
            raise ValueError(message) from error

    def _put(self, codec: str, body: bytes) -> bytes:
        key = self.store.put_block(body, parse_codec(codec))
        return _json({"Key": key, "Size": len(body)})

    def _pin(self, cid: str, recursive: bool) -> bytes:
        self._block(cid)
        (self.recursive if recursive else self.direct).add(cid)
        return _json({"Pins": [cid]})

    def _unpin(self, cid: str) -> bytes:
        if cid not in self.direct | self.recursive:
            raise ValueError("not pinned or pinned indirectly")
        self.direct.discard(cid)
        self.recursive.discard(cid)
        return _json({"Pins": [cid]})


def parse_codec(text: str) -> str:
    assert text in ("raw", "dag-pb", "dag-cbor")
    return text


def _json(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


@contextmanager
def serving(rpc: KuboRpc) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            url = urlsplit(self.path)
            options = {key: values[0] for key, values in parse_qs(url.query).items()}
            try:
                body = rpc.answer(url.path.removeprefix("/api/v0/"), options, self._read_file())
                status = 200
            except ValueError as error:
                status, body = 500, _json({"Message": str(error), "Code": 0, "Type": "error"})
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if status == 500:
                self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def _read_file(self) -> bytes:
            raw = self._read_body()
            kind = self.headers.get("Content-Type", "")
            if "multipart" not in kind:
                return b""
            parsed = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + raw)
            part = parsed.get_payload()[0]
            return bytes(part.get_payload(decode=True))

        def _read_body(self) -> bytes:
            if self.headers.get("Transfer-Encoding") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
