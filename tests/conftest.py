"""What every test starts from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.postgres import PostgresServer


@pytest.fixture(autouse=True)
def _fresh_logging() -> Iterator[None]:
    """A command that ran inside a test set up logging to a stream that is closed by now."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(
    request: pytest.FixtureRequest, tmp_path: Path, postgres: PostgresServer
) -> Iterator[str]:
    """Of an empty database, of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'database.sqlite'}"
        return
    yield postgres.create_database("scratch")
    postgres.execute("DROP DATABASE scratch WITH (FORCE)")
