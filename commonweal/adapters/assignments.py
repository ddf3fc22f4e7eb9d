"""Which of several keys does what was promised: written down before any of them signs it.

Two processes that ask at the same time get the same answer: whoever's row comes first. So an
intent is never two keys', whatever dies between the choice and the signature.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError

from commonweal.adapters.outbox import REVERTED, assignments_table, outbox_table
from commonweal.protocol.types import Address


class Assignments:
    """Of one pool of keys. Every method is one transaction."""

    def __init__(self, engine: Engine, chain_id: int, pool: Address) -> None:
        self._engine = engine
        self._chain_id = chain_id
        self._pool = pool

    def find(self, intent: str) -> Address | None:
        columns = assignments_table.c
        with self._engine.connect() as connection:
            found = connection.scalar(select(columns.sender).where(*self._is_row(intent)))
        return None if found is None else Address(found)

    def find_stored(self, intent: str, senders: Collection[Address]) -> Address | None:
        """Whose outbox holds it, from a time when there were fewer keys."""
        columns = outbox_table.c
        query = select(columns.sender).where(
            columns.chain_id == self._chain_id,
            columns.intent == intent,
            columns.sender.in_(senders),
            columns.state != REVERTED,
        )
        with self._engine.connect() as connection:
            found = connection.scalar(query.limit(1))
        return None if found is None else Address(found)

    def assign(self, intent: str, sender: Address) -> Address:
        """`sender`, or whom another process was faster to choose."""
        row = {
            "chain_id": self._chain_id,
            "pool": self._pool,
            "intent": intent,
            "sender": sender,
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(assignments_table).values(row))
        except IntegrityError:
            return self.find(intent) or self.assign(intent, sender)
        return sender

    def release(self, intent: str, sender: Address) -> None:
        """Unless the sender has stored a transaction for it: then it stays the sender's."""
        stored = select(outbox_table.c.nonce).where(
            outbox_table.c.chain_id == self._chain_id,
            outbox_table.c.sender == sender,
            outbox_table.c.intent == intent,
        )
        gone = delete(assignments_table).where(
            *self._is_row(intent), assignments_table.c.sender == sender, ~stored.exists()
        )
        with self._engine.begin() as connection:
            connection.execute(gone)

    def _is_row(self, intent: str):  # type: ignore[no-untyped-def]
        columns = assignments_table.c
        return (
            columns.chain_id == self._chain_id,
            columns.pool == self._pool,
            columns.intent == intent,
        )
