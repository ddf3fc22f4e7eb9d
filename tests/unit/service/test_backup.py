"""A backup taken while the coordinator runs, restored, and caught up: as docs/operating.md says."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import scripted_chain as script
from sqlalchemy import Engine
from test_indexer import dump, follow, open_store

from commonweal.adapters.outbox import SIGNED, Outbox, StoredTransaction
from commonweal.protocol.messages import JoinMessage
from commonweal.protocol.types import Address
from service.database import migrate, open_engine
from service.mailbox import Mailbox
from tests.postgres import PostgresServer

ME = Address("0x" + "11" * 20)
STORED = StoredTransaction("join:1", 4, b"signed", b"\x01" * 32, SIGNED)
JOIN = JoinMessage(
    job=1, provider=script.NOBODY, roles=1, stake=1, deadline=9, signature="0x" + "11" * 64
)


def work_until(database: Engine, height: int) -> str:
    """Index the chain, accept a message, store a transaction; the message's id."""
    follow(script.whole_job().fork(height), open_store(database))
    Outbox(database).store(31_337, ME, STORED)
    return Mailbox(database).post(JOIN).id


def check_restored(restored: Engine, live: Engine, message: str) -> None:
    """Caught up, it equals the one that never stopped; nothing that was promised is missing."""
    migrate(restored)
    chain = script.whole_job()
    for database in (restored, live):
        follow(chain, open_store(database))
    assert dump(restored) == dump(live)
    assert Mailbox(restored).fetch(message).state == "accepted"
    assert Outbox(restored).find_pending(31_337, ME) == [STORED]
    restored.dispose()


def test_postgresql_is_restored_from_a_dump(postgres: PostgresServer) -> None:
    live = open_engine(postgres.create_database("live"))
    migrate(live)
    message = work_until(live, 6)
    saved = postgres.run("pg_dump", "--format=custom", "live")
    url = postgres.create_database("restored")
    postgres.run("pg_restore", "--dbname=restored", "--exit-on-error", stdin=saved)
    check_restored(open_engine(url), live, message)
    live.dispose()
    for name in ("live", "restored"):
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_sqlite_is_restored_from_a_backup(tmp_path: Path) -> None:
    live = open_engine(f"sqlite:///{tmp_path / 'coordinator.db'}")
    migrate(live)
    message = work_until(live, 6)
    with (
        sqlite3.connect(tmp_path / "coordinator.db") as source,
        sqlite3.connect(tmp_path / "backup.db") as target,
    ):
        source.backup(target)
    source.close()
    target.close()
    check_restored(open_engine(f"sqlite:///{tmp_path / 'backup.db'}"), live, message)
    live.dispose()
