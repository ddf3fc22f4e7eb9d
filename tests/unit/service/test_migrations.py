"""The migrations make exactly the tables that the code names, and can take them away again."""

from __future__ import annotations

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect

from commonweal.adapters.outbox import outbox_metadata
from service.database import downgrade, migrate
from service.tables import metadata


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


def test_migrating_twice_is_harmless(database: Engine) -> None:
    migrate(database)
