"""The migrations make exactly the tables that the code names, and can take them away again."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, insert, inspect, select

from commonweal.adapters.outbox import outbox_metadata
from service.database import downgrade, migrate, open_engine
from service.tables import events, messages, metadata


def test_migrations_and_models_agree(database: Engine) -> None:
    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, [metadata, outbox_metadata]) == []  # type: ignore[arg-type]


def test_down_takes_every_table_away_and_up_brings_them_back(database: Engine) -> None:
    downgrade(database, "base")
    assert inspect(database).get_table_names() == ["alembic_version"]
    migrate(database)
    names = {*metadata.tables, *outbox_metadata.tables, "alembic_version"}
    assert set(inspect(database).get_table_names()) == names


def test_those_that_start_at_the_same_time_wait_for_each_other(database_url: str) -> None:
    command = [sys.executable, "-m", "service", "migrate", "--database-url", database_url]
    started = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    engine = open_engine(database_url)
    assert {*metadata.tables} <= set(inspect(engine).get_table_names())
    engine.dispose()


def test_who_finds_a_new_database_locked_waits_to_change_its_journal(tmp_path: Path) -> None:
    path = tmp_path / "database.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, other.rollback)
    release.start()
    with open_engine(f"sqlite:///{path}").connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    release.join()
    other.close()


def test_migrating_twice_is_harmless(database: Engine) -> None:
    migrate(database)


def test_events_of_a_job_are_found_in_their_order_without_sorting(database: Engine) -> None:
    query = select(events).where(events.c.job == 1, events.c.id > 5).order_by(events.c.id).limit(9)
    text = str(query.compile(database, compile_kwargs={"literal_binds": True}))
    with database.connect() as connection:
        if database.dialect.name == "postgresql":
            connection.exec_driver_sql("SET enable_seqscan = off")  # which suits an empty table
            connection.exec_driver_sql("SET enable_bitmapscan = off")
            plan = connection.exec_driver_sql(f"EXPLAIN {text}")
        else:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")
        steps = " ".join(str(row) for row in plan)
    assert "events_job" in steps
    assert "sort" not in steps.lower()
    assert "B-TREE" not in steps


def test_the_index_comes_and_goes_alone(database: Engine) -> None:
    downgrade(database, "0001")
    assert "events_job" not in {each["name"] for each in inspect(database).get_indexes("events")}
    migrate(database)
    assert "events_job" in {each["name"] for each in inspect(database).get_indexes("events")}


def test_of_several_messages_for_one_slot_the_mined_or_the_earliest_stays(
    database: Engine,
) -> None:
    downgrade(database, "0004")
    rows = [
        ("late", "1", "accepted", 2),
        ("early", "1", "sent", 1),
        ("sent", "2", "sent", 1),
        ("mined", "2", "mined", 2),
        ("refused", "3", "refused", 1),
        ("alone", "3", "accepted", 2),
    ]
    with database.begin() as connection:
        for id_, slot, state, at in rows:
            row = {"id": id_, "slot": slot, "state": state, "received_at": at}
            row |= {"kind": "update-commitment", "job": 1, "body": {}}
            connection.execute(insert(messages).values(row))
    migrate(database)
    with database.connect() as connection:
        found = connection.execute(select(messages.c.id, messages.c.reason))
        reasons = {row.id: row.reason for row in found}
    kept = {"early": None, "mined": None, "refused": None, "alone": None}
    assert reasons == {"late": "slot-taken", "sent": "slot-taken", **kept}
