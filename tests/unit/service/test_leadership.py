"""One coordinator leads; the lead is free as soon as its holder is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import cast

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import TimeoutError as PoolExhausted

from service.database import open_engine
from service.leadership import AdvisoryLock, Leadership, open_leadership
from tests.postgres import PostgresServer


@pytest.fixture
def rivals(database_url: str) -> Iterator[tuple[Leadership, Leadership]]:
    engines = [open_engine(database_url) for _ in range(2)]
    first, second = map(open_leadership, engines)
    yield first, second
    first.release()
    second.release()
    for engine in engines:
        engine.dispose()


def gets_it(leadership: Leadership) -> bool:
    deadline = time.monotonic() + 10
    while not (held := leadership.hold()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return held


def test_one_leads_until_it_lets_go(rivals: tuple[Leadership, Leadership]) -> None:
    first, second = rivals
    assert first.hold()
    assert not second.hold()
    assert first.hold()
    first.release()
    assert gets_it(second)
    assert not first.hold()


def test_a_holder_whose_connection_broke_finds_out(postgres: PostgresServer) -> None:
    engine = open_engine(postgres.create_database("broken"))
    holder, rival = open_leadership(engine), open_leadership(engine)
    assert holder.hold()
    _end_all_sessions(engine)
    assert gets_it(rival)
    deadline = time.monotonic() + 10
    while holder.hold() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not holder.hold()
    rival.release()
    engine.dispose()
    postgres.execute("DROP DATABASE broken WITH (FORCE)")


def _end_all_sessions(engine: Engine) -> None:
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    with engine.connect() as connection:
        query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
        connection.execute(text(query))


def test_no_free_connection_is_no_lead() -> None:
    class Exhausted:
        def execution_options(self, **_: object) -> Exhausted:
            return self

        def connect(self) -> None:
            raise PoolExhausted("QueuePool limit of size 5 overflow 10 reached")

    assert not AdvisoryLock(cast(Engine, Exhausted())).hold()
