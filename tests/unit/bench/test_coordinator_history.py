"""The history that the coordinator's bench indexes decodes and derives as a real one would."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import create_engine, func, select

from bench.coordinator.history import ROUNDS_OF_A_JOB, SEATS, write_history
from bench.coordinator.indexing import DEPLOYMENT, index, open_endpoint
from service import tables as t

TRAINERS = 6


def test_a_history_is_indexed_from_its_endpoint_row_for_row(tmp_path: Path) -> None:
    history = write_history(DEPLOYMENT, TRAINERS, 200)
    assert 200 <= history.events < 225
    path, database = tmp_path / "history", f"sqlite:///{tmp_path / 'database.sqlite'}"
    path.write_text("\n".join(history.blocks))
    with open_endpoint(path) as url:
        index(url, database, history.events)
    engine = create_engine(database)
    with engine.connect() as connection:
        counts = {
            table.name: connection.scalar(select(func.count()).select_from(table)) or 0
            for table in t.DERIVED
        }
        scores = connection.scalars(select(t.updates.c.score)).all()
        stamps = connection.scalars(select(t.events.c.timestamp)).all()
    engine.dispose()
    rounds = counts["rounds"]
    assert 1 < rounds < ROUNDS_OF_A_JOB
    assert counts["updates"] == counts["payments"] == TRAINERS * rounds
    assert counts["ballots"] == SEATS * rounds
    assert sum(counts.values()) == history.rows
    assert all(scores)
    assert len(set(stamps)) > rounds
