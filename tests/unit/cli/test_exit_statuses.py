"""What went wrong decides the exit status, whoever found it: coordinator, chain or this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from commonweal.adapters.deployment import CONTRACTS, Deployment
from commonweal.cli.app import run
from commonweal.protocol.types import Address

BLOCK = {"number": "0x9", "hash": "0x" + "0a" * 32, "parentHash": "0x" + "09" * 32}
BLOCK["timestamp"] = "0x10"


@dataclass
class Outside:
    """A coordinator with one answer to everything, and a chain with one answer per method."""

    url: str = ""
    status: int = 200
    body: object = None
    chain: dict[str, object] = field(default_factory=dict)


@pytest.fixture
def outside() -> Iterator[Outside]:
    found = Outside(chain={"eth_chainId": "0x7a69", "eth_getBlockByNumber": BLOCK})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(found.status, found.body)

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            result = {"result": found.chain[request["method"]]}
            self.answer(200, {"jsonrpc": "2.0", "id": request["id"]} | result)

        def answer(self, status: int, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found.url = f"http://127.0.0.1:{server.server_port}"
        yield found
        server.shutdown()


@pytest.fixture
def deployment(tmp_path: Path) -> str:
    path = tmp_path / "deployment.json"
    Deployment(31337, 0, dict.fromkeys(CONTRACTS, Address("0x" + "c1" * 20))).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("status", "exit_status"), [(404, 3), (409, 5), (422, 2), (503, 4), (429, 4), (500, 1)]
)
def test_what_the_coordinator_says(
    outside: Outside, capsys: pytest.CaptureFixture[str], status: int, exit_status: int
) -> None:
    outside.status, outside.body = status, {"code": "some-code", "detail": "there is no job 99"}
    for command in ("show", "watch"):
        assert run(["job", command, "99", "--url", outside.url]) == exit_status
        assert capsys.readouterr().err == "error[some-code]: there is no job 99\n"


@pytest.mark.parametrize("command", [["verify"], ["model", "get"]])
def test_a_job_that_the_chain_does_not_have(
    outside: Outside,
    deployment: str,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    outside.chain["eth_call"] = "0x" + (4).to_bytes(32).hex()  # jobCount
    assert run([*command, "99", "--rpc", outside.url, "--deployment", deployment]) == 3
    assert capsys.readouterr().err == "error[job-unknown]: there is no job 99: the chain has 4\n"


COMMANDS: dict[str, list[Any]] = {
    "verify": ["verify", "1"],
    "model": ["model", "get", "1"],
    "cancel": ["job", "cancel", "1", "--keystore", "none.json"],
    "fund": ["fund", "0x" + "a1" * 20, "--eth", "1", "--keystore", "none.json"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_addresses_of_another_chain(
    outside: Outside, deployment: str, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    outside.chain["eth_chainId"] = "0x1"
    assert run([*COMMANDS[name], "--rpc", outside.url, "--deployment", deployment]) == 5
    err = capsys.readouterr().err
    assert err.startswith("error[wrong-chain]: ")
    assert "chain 1," in err
    assert "chain 31337" in err


def test_submitting_to_another_chain_signs_nothing(
    outside: Outside, deployment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outside.chain["eth_chainId"] = "0x1"
    file = Path(__file__).resolve().parents[3] / "examples" / "digits.yaml"
    options = ["--keystore", "none.json", "--rpc", outside.url, "--deployment", deployment]
    assert run(["job", "submit", str(file), *options]) == 5
    assert capsys.readouterr().err.startswith("error[wrong-chain]: ")


def test_a_chain_that_is_away(deployment: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "1", "--rpc", "http://127.0.0.1:9", "--deployment", deployment]) == 4
    assert capsys.readouterr().err.startswith("error[chain-unavailable]: ")
