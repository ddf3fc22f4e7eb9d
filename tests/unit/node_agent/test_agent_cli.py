"""The command line: a node's folder, its errors, its exit statuses; no secret ever shown."""

from __future__ import annotations

import fcntl
import json
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from agent_samples import DEPLOYMENT

from commonweal.adapters.keystore import create_keystore, load_account
from commonweal.adapters.rpc import WrongChain
from commonweal.learning.data import DigitsSource
from node_agent.cli import main, parse_amount
from node_agent.config import NodeConfig, load_config
from node_agent.errors import NodeRunning
from node_agent.runtime import run_node


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = 0
    try:
        main(arguments)
    except SystemExit as left:
        status = int(left.code or 0)
    shown = capsys.readouterr()
    return status, shown.out, shown.err


def init(folder: Path, *more: str) -> list[str]:
    return [
        "init", "--data-dir", str(folder), "--rpc-url", "http://127.0.0.1:1",
        "--deployment", "deployment.json", "--light", "--json", *more,
    ]  # fmt: skip


def test_init_makes_a_folder_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, password = tmp_path / "node", tmp_path / "owner.password"
    password.write_text("owner-secret\n")
    more = ["--owner", str(tmp_path / "owner.json"), "--owner-password-file", str(password)]
    status, out, err = run(capsys, *init(folder, "--coordinator", "http://c", *more))
    assert (status, err) == (0, "")
    result: dict[str, Any] = json.loads(out)
    config = load_config(folder / "node.yaml")
    assert config.coordinator == ("http://c",)
    assert config.provider == result["owner"]
    secret = (folder / "operator.password").read_text().strip()
    assert load_account(config.keys.operator, secret).address == result["operator"]
    for name in ("operator.json", "operator.password"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    text = out + (folder / "node.yaml").read_text()
    assert secret not in text
    assert "owner-secret" not in text


def test_init_ends_with_what_to_do_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    password = tmp_path / "owner.password"
    password.write_text("owner-secret\n")
    more = ["--owner", str(tmp_path / "owner.json"), "--owner-password-file", str(password)]
    arguments = [each for each in init(tmp_path / "node", *more) if each != "--json"]
    status, out, _ = run(capsys, *arguments)
    owner = load_config(tmp_path / "node" / "node.yaml").provider
    steps = out.partition("Next:")[2]
    assert status == 0
    places = [
        steps.index(f"weal fund {owner} --tokens 1000"),
        steps.index(f"weal-node register --config {tmp_path / 'node' / 'node.yaml'}"),
        steps.index("weal-node run --config"),
    ]
    assert places == sorted(places)


def test_init_without_an_owner_names_the_operator_to_register(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(capsys, *[each for each in init(tmp_path / "node") if each != "--json"])
    operator = json.loads((tmp_path / "node" / "operator.json").read_text())["address"]
    assert "keys.owner" in out.partition("Next:")[2]
    assert operator.lower() in out.partition("Next:")[2].lower()


def test_init_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, *init(tmp_path))[0] == 0
    before = (tmp_path / "operator.json").read_bytes()
    status, out, err = run(capsys, *init(tmp_path))
    assert (status, out) == (5, "")
    assert err.startswith("error[config-exists]")
    assert (tmp_path / "operator.json").read_bytes() == before


def test_init_with_a_wrong_password_leaves_nothing_in_the_way_of_the_right_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, password = tmp_path / "node", tmp_path / "owner.password"
    owner = create_keystore(tmp_path / "owner.json", "right", light=True)
    more = ["--owner", str(tmp_path / "owner.json"), "--owner-password-file", str(password)]
    password.write_text("wrong\n")
    status, _, err = run(capsys, *init(folder, *more))
    assert (status, err.split("]")[0]) == (2, "error[password-wrong")
    assert not folder.exists()
    password.write_text("right\n")
    status, out, err = run(capsys, *init(folder, *more))
    assert (status, err) == (0, "")
    assert json.loads(out)["owner"] == owner


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["run", "--config", "nowhere.yaml"], 2, "error[config-invalid]"),
        (["fly"], 2, "No such command"),
        (["unbond"], 2, "Missing argument"),
    ],
)
def test_wrong_usage_has_its_exit_status(
    capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, text: str
) -> None:
    found, out, err = run(capsys, *arguments)
    assert (found, out) == (status, "")
    assert text in err


def test_money_commands_need_the_owner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, *init(tmp_path))
    status, _, err = run(capsys, "unbond", "5", "--config", str(tmp_path / "node.yaml"))
    # The addresses file is looked for first; either way nothing is sent.
    assert (status, err.split("]")[0]) in [
        (3, "error[deployment-not-found"),
        (5, "error[owner-key-missing"),
    ]


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--help")
    for name in ("init", "register", "run", "status", "earnings", "claim", "unbond", "withdraw"):
        assert name in out
    assert "Errors are error[code]: message." in " ".join(out.split())


def test_amounts_are_tokens_unless_they_say_wei() -> None:
    assert [parse_amount(text) for text in ("1.5", "7 wei")] == [15 * 10**17, 7]


def test_cheats_run_only_by_their_module(capsys: pytest.CaptureFixture[str]) -> None:
    command = [sys.executable, "-m", "node_agent.cheats", "--behaviour", "kind", "--config", "x"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "sign-flip" in done.stderr


def test_run_ends_when_its_port_is_in_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, *init(tmp_path / "node"))
    DEPLOYMENT.save(tmp_path / "node" / "deployment.json")
    config = tmp_path / "node" / "node.yaml"
    document = yaml.safe_load(config.read_text())
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        document |= {"deployment": "deployment.json", "content": {"port": port}}
        config.write_text(yaml.safe_dump(document))
        command = [sys.executable, "-m", "node_agent", "run", "--config", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 5
    assert f"error[port-in-use]: cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def make_config(folder: Path, rpc_url: str) -> NodeConfig:
    deployment = folder / "deployment.json"
    return NodeConfig(rpc_url=rpc_url, deployment=deployment, data_dir=folder, data=DigitsSource())


class OtherChain(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"jsonrpc": "2.0", "id": 0, "result": "0x1"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_another_chain_than_the_contracts_is_named_at_once(tmp_path: Path) -> None:
    DEPLOYMENT.save(tmp_path / "deployment.json")
    with HTTPServer(("127.0.0.1", 0), OtherChain) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        config = make_config(tmp_path, f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(WrongChain) as caught:
            run_node(config, threading.Event())
        server.shutdown()
    assert caught.value.details == {"have": 1, "need": 31337}


def test_a_folder_has_one_process(tmp_path: Path) -> None:
    config = make_config(tmp_path, "http://127.0.0.1:1")
    with (tmp_path / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(NodeRunning):
            run_node(config, threading.Event())
