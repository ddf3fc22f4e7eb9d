"""Alembic's entry: `weal-coordinator migrate` and every start bring an open connection."""

from __future__ import annotations

from alembic import context

from commonweal.adapters.outbox import outbox_metadata
from service.tables import metadata


def run() -> None:
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=[metadata, outbox_metadata],
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
