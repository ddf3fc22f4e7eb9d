"""A chain's endpoint that only reads out a written history; a process of its own.

    python -m bench.coordinator.endpoint HISTORY

HISTORY has a line per block. Prints its port. It takes its time from the same processors as the
indexer does, so it encodes nothing while it serves.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from bench.coordinator.history import block_hash, timestamp_of

CHAIN = 31_337
_ANY_LOGS = "0x" + "ff" * 256


class Endpoint(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, blocks: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._blocks = blocks

    def answer(self, method: str, params: Any) -> str:
        """The result, as JSON."""
        if method == "eth_getLogs":
            first, last = (int(params[0][name], 16) for name in ("fromBlock", "toBlock"))
            return "[" + ",".join(filter(None, self._blocks[first : last + 1])) + "]"
        if method == "eth_getBlockByNumber":
            latest = len(self._blocks) - 1
            number = latest if params[0] == "latest" else int(params[0], 16)
            return json.dumps(_block(number) if number <= latest else None)
        answers = {"eth_chainId": CHAIN, "eth_blockNumber": len(self._blocks) - 1}
        return json.dumps(hex(answers[method]))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Endpoint

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = self._answer(asked).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, asked: Any) -> str:
        if isinstance(asked, list):
            return "[" + ",".join(map(self._answer, asked)) + "]"
        result = self.server.answer(asked["method"], asked["params"])
        return f'{{"jsonrpc":"2.0","id":{json.dumps(asked["id"])},"result":{result}}}'


def _block(number: int) -> dict[str, Any]:
    return {
        "number": hex(number),
        "hash": block_hash(number),
        "parentHash": block_hash(number - 1),
        "timestamp": hex(timestamp_of(number)),
        "logsBloom": _ANY_LOGS,
    }


def main() -> None:
    server = Endpoint(Path(sys.argv[1]).read_text().split("\n"))
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
