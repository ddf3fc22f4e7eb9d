"""Child processes that never outlive us: own process groups, stopped together, killed if we are."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from commonweal.errors import Unavailable

STOP_SECONDS = 5.0
_PR_SET_PDEATHSIG = 1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ProcessDied(Unavailable):
    code = "process-died"


class ProcessNotReady(Unavailable):
    code = "process-not-ready"


class Child:
    """One program of the network; its output is in `log`, its address in `<data_dir>/endpoint`."""

    def __init__(
        self, name: str, command: Sequence[str], data_dir: Path, *, outlives: bool = False
    ) -> None:
        """`outlives`: the kernel does not end it with us, so that it can be left running."""
        self.name = name
        self._outlives = outlives
        self.log = data_dir / "log"
        self._command = list(command)
        self._endpoint = data_dir / "endpoint"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Call it from the main thread: the kernel ends the child when the starting thread ends."""
        self._endpoint.unlink(missing_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - fixed command, no shell
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=None if self._outlives else _die_with_parent,
                env=_compute_environment(),
            )

    def require_alive(self) -> None:
        """Raises ProcessDied, which names the log and quotes its end."""
        if self._process is None or (status := self._process.poll()) is None:
            return
        tail = " | ".join(self.log.read_text(errors="replace").strip().splitlines()[-3:])
        message = f"{self.name} ended with status {status}; see {self.log}: {tail[-400:]}"
        raise ProcessDied(message, name=self.name, status=status, log=str(self.log))

    def wait_for_endpoint(self, timeout: float) -> str:
        """The URL that the process serves. Raises ProcessDied, ProcessNotReady."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.require_alive()
            if self._endpoint.is_file() and (url := self._endpoint.read_text().strip()):
                return url
            time.sleep(0.05)
        message = f"{self.name} was not ready after {timeout:g} s; see {self.log}"
        raise ProcessNotReady(message, name=self.name, seconds=timeout, log=str(self.log))

    def signal(self, number: int) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def wait(self, timeout: float) -> bool:
        """Whether it has ended within `timeout` seconds."""
        if self._process is None:
            return True
        try:
            self._process.wait(max(timeout, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True


def stop_all(children: Sequence[Child]) -> None:
    """Ask all at once, then kill what is left."""
    for child in children:
        child.signal(signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    for child in children:
        if not child.wait(deadline - time.monotonic()):
            child.signal(signal.SIGKILL)
            child.wait(STOP_SECONDS)


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP end us as Ctrl-C does; a second one does not disturb the cleaning up."""

    def interrupt(number: int, _frame: FrameType | None) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt(number)

    previous = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _compute_environment() -> dict[str, str]:
    """One thread each: seven agents share the machine, and training must be repeatable."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    threads = dict.fromkeys(names, "1")
    return {**os.environ, **threads, "PYTHONUNBUFFERED": "1"}


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
