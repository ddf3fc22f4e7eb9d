"""Databases to test on: SQLite always, PostgreSQL when WEAL_TEST_POSTGRES_URL names one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, MetaData

from service.database import migrate, open_engine


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Migrated and empty."""
    url = f"sqlite:///{tmp_path / 'coordinator.db'}"
    if request.param == "postgresql":
        url = os.environ.get("WEAL_TEST_POSTGRES_URL", "")
        if not url:
            pytest.skip("set WEAL_TEST_POSTGRES_URL to a scratch database to test on PostgreSQL")
    engine = open_engine(url)
    _drop_everything(engine)
    migrate(engine)
    yield engine
    engine.dispose()


def _drop_everything(engine: Engine) -> None:
    found = MetaData()
    found.reflect(engine)
    found.drop_all(engine)
