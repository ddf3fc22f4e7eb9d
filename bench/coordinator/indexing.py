"""How fast the indexer takes a history from an endpoint into PostgreSQL, with all of its steps."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from bench.coordinator.endpoint import CHAIN
from bench.coordinator.history import address_of, write_history
from commonweal.adapters.chain import ChainReader
from commonweal.adapters.deployment import CONTRACTS, Deployment
from service import tables as t
from service.chainstore import ChainStore
from service.database import migrate, open_engine
from service.indexer import Indexer
from tests.postgres import PostgresServer

DEPLOYMENT = Deployment(CHAIN, 0, {name: address_of(name, 0) for name in CONTRACTS})


@dataclass(frozen=True, slots=True)
class Indexing:
    trainers: int
    events: int
    rows: int  # the events, and what is derived of them
    seconds: float
    indexer_cpu_s: float
    postgres_cpu_s: float  # start and stop of the server included

    @property
    def events_per_s(self) -> float:
        return self.events / self.seconds

    @property
    def events_per_cpu_s(self) -> float:
        """Of the indexer and PostgreSQL together: hardly depends on what else the machine does."""
        return self.events / (self.indexer_cpu_s + self.postgres_cpu_s)


def measure_indexing(trainers: int, events: int) -> Indexing:
    history = write_history(DEPLOYMENT, trainers, events)
    with tempfile.TemporaryDirectory(prefix="bench-coordinator-") as folder:
        path = Path(folder) / "history"
        path.write_text("\n".join(history.blocks))
        with open_endpoint(path) as url:
            before = _children_cpu()
            with PostgresServer() as postgres:
                seconds, cpu = index(url, postgres.create_database("history"), history.events)
            postgres_cpu = _children_cpu() - before
    rows = history.events + history.rows
    return Indexing(trainers, history.events, rows, seconds, cpu, postgres_cpu)


def index(url: str, database: str, events: int) -> tuple[float, float]:
    """Seconds, and those of this processor. Raises RuntimeError if an event is missing."""
    engine = open_engine(database)
    migrate(engine)
    store = ChainStore(engine, CHAIN, DEPLOYMENT["Rounds"])
    indexer = Indexer(ChainReader(url, DEPLOYMENT), store, first_block=0)
    started, cpu = time.perf_counter(), time.process_time()
    while (step := indexer.step()) is None or not step.is_complete:
        pass
    took = time.perf_counter() - started, time.process_time() - cpu
    with engine.connect() as connection:
        stored = connection.scalar(select(func.count()).select_from(t.events)) or 0
    engine.dispose()
    if stored != events:
        raise RuntimeError(f"{stored} events are stored of {events}")
    return took


@contextmanager
def open_endpoint(history: Path) -> Iterator[str]:
    """Its URL."""
    command = [sys.executable, "-m", "bench.coordinator.endpoint", str(history)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def _children_cpu() -> float:
    """Seconds of all that was started here and has ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime
