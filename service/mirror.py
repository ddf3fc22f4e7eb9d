"""What a coordinator that does not lead sees: the steps that the leader wrote to the database."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, Row, func, select

from commonweal.adapters.chain import Block
from service import tables as t
from service.chainstore import decode_row
from service.indexer import Step

_EVENTS_AT_ONCE = 5_000
_TRIES = 3
_Place = tuple[int, bytes, int]  # block number, its hash, rewinds


class Mirror:
    """Looks like an `Indexer`, and writes nothing."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        self.forget()

    def forget(self) -> None:
        self._seen: _Place | None = None
        self._last_event = 0

    def step(self) -> Step | None:
        """What came since the step before; None if nothing did."""
        with self._database.connect() as connection:
            for _ in range(_TRIES):
                cursor = connection.execute(select(t.cursors)).first()
                if cursor is None or cursor.block_number < 0 or _place(cursor) == self._seen:
                    return None
                step, last_event = self._read(connection, cursor)
                # No snapshot spans these queries on every database: what was read must belong to
                # the cursor, or it is read again, from where the step before ended.
                again = connection.execute(select(t.cursors)).first()
                if again is not None and _place(again) == _place(cursor):
                    self._seen, self._last_event = _place(cursor), last_event
                    return step
        return None

    def _read(self, connection: Connection, cursor: Row[tuple[object, ...]]) -> tuple[Step, int]:
        """The step to `cursor`, and the id of the last event that it covers."""
        columns = t.events.c
        fresh = select(t.events).where(columns.id > self._last_event).order_by(columns.id)
        rows = connection.execute(fresh.limit(_EVENTS_AT_ONCE)).all()
        is_same_chain = self._seen is not None and self._seen[2] == cursor.rewinds
        anew = not is_same_chain or len(rows) == _EVENTS_AT_ONCE
        events = () if anew else [decode_row(row) for row in rows]
        last_event = connection.scalar(select(func.max(columns.id))) or 0
        head = Block(cursor.block_number, bytes(cursor.block_hash), b"", cursor.timestamp)
        return Step(head, head, events, rewound=anew), last_event


def _place(cursor: Row[tuple[object, ...]]) -> _Place:
    return cursor.block_number, bytes(cursor.block_hash), cursor.rewinds
