"""A chain that can be killed, restarted from what it saved, and made to change its mind: anvil."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
DEEPEST = 12  # blocks of a reorganisation
_KNOWN_HASHES = 256
_BLOCK_SECONDS, _SAVE_SECONDS = 0.2, 1


def find_anvil() -> Path:
    """WEAL_ANVIL, or what `make chaos` installs."""
    return Path(os.environ.get("WEAL_ANVIL") or ROOT / ".tools" / "anvil" / PACKAGE)


class Anvil:
    """`rpc_url` stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.rpc_url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = {
            "--port": self._port,
            "--chain-id": 31_337,
            "--block-time": _BLOCK_SECONDS,
            "--state": self._folder / "state.json",
            "--state-interval": _SAVE_SECONDS,
        }
        flat = [str(part) for pair in options.items() for part in pair]
        flags = ["--mixed-mining", "--silent"]
        with (self._folder / "chain.log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(find_anvil()), *flat, *flags],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self._folder / "chain.log").read_text()[-2000:])
            time.sleep(0.05)

    def start_again(self) -> None:
        """From what it saved.

        It forgets the hashes by which contracts know earlier blocks, as no chain does. What hangs
        on one of them is set on a later block once 256 have passed, so they pass at once.
        """
        self.start()
        self.ask("anvil_mine", [hex(_KNOWN_HASHES + 1), "0x0"])

    def stop(self, number: int = signal.SIGTERM) -> None:
        """SIGTERM saves everything; SIGKILL loses up to a second of blocks."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(30)

    def crash(self) -> None:
        """SIGKILL, at a moment at which it is not just writing its file, for that is not atomic."""
        deadline = time.monotonic() + 10
        assert self._process is not None
        while time.monotonic() < deadline:
            self._process.send_signal(signal.SIGSTOP)
            if self._stands_still() and self._has_saved():
                break
            self._process.send_signal(signal.SIGCONT)
            time.sleep(0.05)
        self.stop(signal.SIGKILL)

    def settle(self) -> None:
        """What is on chain stays: deeper than any reorganisation here."""
        self.ask("anvil_mine", [hex(DEEPEST + 1), "0x0"])

    def reorganise(self, depth: int) -> None:
        """Other, empty blocks in the place of the latest `depth`; their transactions are gone."""
        self.ask("anvil_reorg", [depth, []])

    def ask(self, method: str, params: list[Any]) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = httpx.post(self.rpc_url, json=body, trust_env=False, timeout=30).json()
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _stands_still(self) -> bool:
        """All of its threads: a signal takes a moment."""
        assert self._process is not None
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            threads = Path(f"/proc/{self._process.pid}/task").glob("*/stat")
            if all(stat.read_text().rpartition(") ")[2].startswith("T") for stat in threads):
                return True
            time.sleep(0.01)
        return False

    def _has_saved(self) -> bool:
        with suppress(OSError, ValueError):
            json.loads((self._folder / "state.json").read_bytes())
            return True
        return False

    def _answers(self) -> bool:
        try:
            self.ask("eth_chainId", [])
        except httpx.HTTPError:
            return False
        return True
