"""A coordinator's database, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from service.database import migrate, open_engine


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    """Migrated and empty."""
    engine = open_engine(database_url)
    migrate(engine)
    yield engine
    engine.dispose()
