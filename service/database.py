"""Opening the database and bringing its tables to the present form."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from commonweal.errors import InvalidInput, Unavailable

MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"
_SQLITE_WAIT_SECONDS = 10
_MIGRATION_LOCK = 0x57_45_41_4C_00_01  # among this database's advisory locks


class InvalidDatabaseUrl(InvalidInput):
    code = "invalid-database-url"


class DatabaseUnavailable(Unavailable):
    code = "database-unavailable"


def open_engine(url: str) -> Engine:
    """Raises InvalidDatabaseUrl. SQLite gets a journal that lets readers and one writer coexist."""
    try:
        parsed = make_url(url)
        engine = create_engine(parsed, pool_pre_ping=not parsed.drivername.startswith("sqlite"))
    except (ArgumentError, ImportError) as error:
        raise InvalidDatabaseUrl(f"the database URL cannot be used: {error}") from error
    if engine.dialect.name == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        event.listen(engine, "connect", _configure_sqlite)
    return engine


def migrate(engine: Engine, revision: str = "head") -> None:
    """Up to `revision`. Raises DatabaseUnavailable."""
    _run(engine, command.upgrade, revision)


def downgrade(engine: Engine, revision: str) -> None:
    _run(engine, command.downgrade, revision)


def _run(engine: Engine, action: Any, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    try:
        with engine.begin() as connection:
            _wait_for_others(connection)
            config.attributes["connection"] = connection
            action(config, revision)
    except OperationalError as error:
        raise DatabaseUnavailable(f"the database does not answer: {error.orig}") from error


def _wait_for_others(connection: Connection) -> None:
    """Coordinators that start together migrate one after another; the later ones find it done."""
    if connection.dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(:key)")
        connection.execute(lock, {"key": _MIGRATION_LOCK})
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _configure_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_SQLITE_WAIT_SECONDS * 1000}")
    # Of two who change a new database's journal at once one is refused without the wait above.
    _retry_while_busy(cursor.execute, "PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()


def _is_busy(error: BaseException) -> bool:
    if not isinstance(error, sqlite3.OperationalError):
        return False
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


_retry_while_busy = Retrying(
    stop=stop_after_delay(_SQLITE_WAIT_SECONDS),
    wait=wait_random(0.005, 0.05),
    retry=retry_if_exception(_is_busy),
    reraise=True,
)
