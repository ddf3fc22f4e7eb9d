"""What the indexer writes: events, derived rows and its cursor, each step in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from commonweal.adapters.chain import Block
from commonweal.errors import Conflict
from commonweal.protocol.events import ChainEvent, EventRef
from service import tables as t
from service.derive import derive, forget
from service.eventjson import decode_event, encode_event
from service.rows import Draft

_KEPT_CHECKPOINTS = 4096
_EVENTS_AT_ONCE = 10_000


class DatabaseOfAnotherNetwork(Conflict):
    code = "database-of-another-network"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A block whose events are all stored."""

    number: int
    hash: bytes
    timestamp: int


class ChainStore:
    """The indexed part of one chain, for one deployment."""

    def __init__(self, engine: Engine, chain_id: int, rounds: str) -> None:
        self._engine = engine
        self._chain_id = chain_id
        self._rounds = rounds

    def check_network(self) -> None:
        """Raises DatabaseOfAnotherNetwork if these tables hold another deployment's events."""
        with self._engine.connect() as connection:
            row = connection.execute(select(t.cursors.c.chain_id, t.cursors.c.rounds)).first()
        if row is not None and (row.chain_id, row.rounds) != (self._chain_id, self._rounds):
            raise DatabaseOfAnotherNetwork(
                f"the database belongs to chain {row.chain_id}, Rounds {row.rounds}",
                have=[row.chain_id, row.rounds],
                need=[self._chain_id, self._rounds],
            )

    def fetch_cursor(self) -> Checkpoint | None:
        columns = t.cursors.c
        query = select(columns.block_number, columns.block_hash, columns.timestamp)
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else Checkpoint(row[0], bytes(row[1]), row[2])

    def fetch_rewinds(self) -> int:
        with self._engine.connect() as connection:
            return connection.scalar(select(t.cursors.c.rewinds)) or 0

    def fetch_checkpoints(self) -> list[Checkpoint]:
        """Latest first."""
        query = select(t.checkpoints).order_by(t.checkpoints.c.block_number.desc())
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return [Checkpoint(row.block_number, bytes(row.block_hash), row.timestamp) for row in rows]

    def store(self, events: Sequence[ChainEvent], head: Block) -> list[ChainEvent]:
        """Events up to and including `head`, in chain order. Returns those that were new."""
        with self._engine.begin() as connection:
            fresh = self._find_fresh(connection, events)
            if fresh:
                connection.execute(insert(t.events), [self._encode(event) for event in fresh])
                draft = Draft(connection)
                for event in fresh:
                    derive(draft, event)
                draft.write()
            self._move_cursor(connection, Checkpoint(head.number, head.hash, head.timestamp))
        return fresh

    def rewind(self, to: Checkpoint | None) -> None:
        """Forget every block after `to` (None: all of them)."""
        number = -1 if to is None else to.number
        with self._engine.begin() as connection:
            connection.execute(delete(t.events).where(t.events.c.block_number > number))
            connection.execute(delete(t.checkpoints).where(t.checkpoints.c.block_number > number))
            self._accept_again(connection, number)
            self._derive_all(connection)
            self._move_cursor(connection, to)
            connection.execute(update(t.cursors).values(rewinds=t.cursors.c.rewinds + 1))

    def rederive(self) -> int:
        """Rebuild the derived tables from the stored events; how many there were."""
        with self._engine.begin() as connection:
            return self._derive_all(connection)

    def clear(self) -> None:
        """Forget the chain; messages, offers and the outbox stay."""
        with self._engine.begin() as connection:
            for table in (t.events, t.checkpoints, t.cursors):
                connection.execute(delete(table))
            forget(connection)

    def _find_fresh(self, connection: Connection, events: Sequence[ChainEvent]) -> list[ChainEvent]:
        """Those that are not stored, each once."""
        if not events:
            return []
        c, numbers = t.events.c, [event.ref.block_number for event in events]
        stored = select(c.block_hash, c.tx_hash, c.log_index).where(
            c.chain_id == self._chain_id, c.block_number.between(min(numbers), max(numbers))
        )
        known = {(bytes(row[0]), bytes(row[1]), row[2]) for row in connection.execute(stored)}
        places = {
            (event.ref.block_hash, event.ref.tx_hash, event.ref.log_index): event
            for event in events
        }
        return [event for place, event in places.items() if place not in known]

    def _encode(self, event: ChainEvent) -> dict[str, Any]:
        return {
            "chain_id": self._chain_id,
            "block_number": event.ref.block_number,
            "block_hash": event.ref.block_hash,
            "tx_hash": event.ref.tx_hash,
            "log_index": event.ref.log_index,
            "timestamp": event.ref.timestamp,
            "name": type(event).__name__,
            "job": getattr(event, "job", None),
            "round": getattr(event, "round", None),
            "data": encode_event(event),
        }

    def _derive_all(self, connection: Connection) -> int:
        forget(connection)
        columns = t.events.c
        query = select(t.events).order_by(columns.block_number, columns.log_index)
        count = 0
        for part in connection.execute(query).partitions(_EVENTS_AT_ONCE):
            draft = Draft(connection)
            for row in part:
                derive(draft, decode_row(row))
            draft.write()
            count += len(part)
        return count

    def _accept_again(self, connection: Connection, number: int) -> None:
        """What was mined in a forgotten block must be sent again."""
        again = {"state": "accepted", "tx": None, "block_number": None}
        for table, values in ((t.messages, again), (t.offers, {**again, "job": None})):
            columns = table.c
            lost = (columns.state == "mined") & (columns.block_number > number)
            connection.execute(update(table).where(lost).values(values))

    def _move_cursor(self, connection: Connection, to: Checkpoint | None) -> None:
        rewinds = connection.scalar(select(t.cursors.c.rewinds)) or 0
        connection.execute(delete(t.cursors))
        point = to or Checkpoint(-1, bytes(32), 0)
        row = {
            "block_number": point.number,
            "block_hash": point.hash,
            "timestamp": point.timestamp,
        }
        network = {"chain_id": self._chain_id, "rounds": self._rounds, "rewinds": rewinds}
        connection.execute(insert(t.cursors).values({**row, **network}))
        if to is not None:
            number = t.checkpoints.c.block_number
            connection.execute(delete(t.checkpoints).where(number == to.number))
            connection.execute(insert(t.checkpoints).values(row))
            connection.execute(delete(t.checkpoints).where(number < to.number - _KEPT_CHECKPOINTS))


def decode_row(row: Any) -> ChainEvent:
    ref = EventRef(
        row.block_number,
        bytes(row.block_hash),
        bytes(row.tx_hash),
        row.log_index,
        row.timestamp,
    )
    return decode_event(row.name, row.data, ref)


def count_events(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(t.events)) or 0
