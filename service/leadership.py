"""Who of several coordinators on one database follows the chain and sends: the one with the lock.

The lock lives as long as its holder's connection (PostgreSQL) or process (a file beside SQLite), so
that it is free at once when the holder dies, however it dies.
"""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import IO, Protocol

import structlog
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from commonweal.errors import Conflict

log = structlog.get_logger(__name__)
_LEADER_LOCK = 0x57_45_41_4C_00_02  # among this database's advisory locks
_LOOK_SECONDS = 0.5
# A leader whose machine is gone sends nothing, not even the end of its connection.
_KEEPALIVE = {"tcp_keepalives_idle": 3, "tcp_keepalives_interval": 1, "tcp_keepalives_count": 3}


class AnotherLeads(Conflict):
    """Another coordinator works on this database."""

    code = "another-leads"


class Leadership(Protocol):
    def hold(self) -> bool:
        """Take the lead if nobody has it; whether we have it. Never waits, call it again."""

    def release(self) -> None: ...


def open_leadership(engine: Engine) -> Leadership:
    if engine.dialect.name == "postgresql":
        return AdvisoryLock(engine)
    return FileLock(engine.url.database or "")


class AdvisoryLock:
    """A session's lock, on a connection that is used for nothing else."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._connection: Connection | None = None
        self._looked_at = float("-inf")

    def hold(self) -> bool:
        """False too while the database does not answer."""
        if time.monotonic() - self._looked_at < _LOOK_SECONDS:
            return self._connection is not None
        self._looked_at = time.monotonic()
        try:
            return self._is_held() or self._take()
        except (DBAPIError, PoolExhausted) as error:
            log.warning("the lead is lost", reason=str(getattr(error, "orig", error)))
            self.release()
            return False

    def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()  # not back to the pool: the lock would stay with it
            connection.close()

    def _is_held(self) -> bool:
        if self._connection is None:
            return False
        self._connection.execute(text("SELECT 1"))
        return True

    def _take(self) -> bool:
        connection = self._engine.connect()
        query = text("SELECT pg_try_advisory_lock(:key)")
        taken = bool(connection.scalar(query, {"key": _LEADER_LOCK}))
        if not taken:
            connection.close()
            return False
        self._connection = connection
        for name, value in _KEEPALIVE.items():
            connection.exec_driver_sql(f"SET {name} = {value}")
        return True


class FileLock:
    """For SQLite: coordinators that share its file share a machine."""

    def __init__(self, database: str) -> None:
        self._path = Path(f"{database}.leader") if database not in ("", ":memory:") else None
        self._file: IO[bytes] | None = None

    def hold(self) -> bool:
        if self._path is None or self._file is not None:
            return True
        file = self._path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
