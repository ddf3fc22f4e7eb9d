"""What this sender has promised to the chain: signed transactions, stored before they are sent.

One row per intent. A nonce belongs to one row for ever, or to none if the node refused it outright.
A row's transaction may be signed again with higher fees: any of the versions may be the mined one.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from commonweal.errors import Conflict
from commonweal.protocol.types import Address

SIGNED = "signed"  # stored, perhaps broadcast, not known to be mined
MINED = "mined"
REVERTED = "reverted"  # mined, without effect

outbox_metadata = MetaData()
outbox_table = Table(
    "outbox",
    outbox_metadata,
    Column("chain_id", BigInteger, primary_key=True, autoincrement=False),
    Column("sender", String(42), primary_key=True),
    Column("intent", String(200), primary_key=True),
    Column("nonce", BigInteger, nullable=False),
    Column("signed", LargeBinary, nullable=False),
    Column("tx_hash", LargeBinary(32), nullable=False),
    Column("earlier_hashes", LargeBinary, nullable=False),
    Column("state", String(8), nullable=False),
    UniqueConstraint("chain_id", "sender", "nonce", name="outbox_nonce"),
)

# Of several keys that send as one, which does what; see `assignments`.
assignments_table = Table(
    "assignments",
    outbox_metadata,
    Column("chain_id", BigInteger, primary_key=True, autoincrement=False),
    Column("pool", String(42), primary_key=True),  # the address of its first key
    Column("intent", String(200), primary_key=True),
    Column("sender", String(42), nullable=False),
)


class SlotTaken(Conflict):
    """Another process of the same sender was faster with this intent or nonce."""

    code = "outbox-slot-taken"


@dataclass(frozen=True, slots=True)
class StoredTransaction:
    intent: str
    nonce: int
    signed: bytes
    tx_hash: bytes
    state: str
    earlier_hashes: tuple[bytes, ...] = ()  # of the versions that this one replaces, oldest first

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Of all versions, the likeliest to be mined first."""
        return (self.tx_hash, *reversed(self.earlier_hashes))


def create_outbox_tables(engine: Engine) -> None:
    outbox_metadata.create_all(engine)


class Outbox:
    """Works on a SQLite file and on PostgreSQL; every method is one transaction."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, chain_id: int, sender: Address, intent: str) -> StoredTransaction | None:
        return self._find(_select(chain_id, sender).where(outbox_table.c.intent == intent))

    def find_by_nonce(self, chain_id: int, sender: Address, nonce: int) -> StoredTransaction | None:
        return self._find(_select(chain_id, sender).where(outbox_table.c.nonce == nonce))

    def _find(self, query: Any) -> StoredTransaction | None:
        with self._engine.connect() as connection:
            row = connection.execute(query).first()
        return None if row is None else _build(row)

    def find_pending(self, chain_id: int, sender: Address) -> list[StoredTransaction]:
        """Nonces ascending."""
        query = _select(chain_id, sender).where(outbox_table.c.state == SIGNED)
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(outbox_table.c.nonce)).all()
        return [_build(row) for row in rows]

    def count_pending(self, chain_id: int, sender: Address) -> tuple[int, int | None]:
        """How many are not known to be mined, and the least nonce among them."""
        columns = outbox_table.c
        query = select(func.count(), func.min(columns.nonce)).where(
            columns.chain_id == chain_id, columns.sender == sender, columns.state == SIGNED
        )
        with self._engine.connect() as connection:
            count, nonce = connection.execute(query).one()
        return count, nonce

    def find_free_nonce(self, chain_id: int, sender: Address, least: int) -> int:
        """The first from `least` on that no row holds: a gap would block all that come after."""
        columns = outbox_table.c
        query = select(columns.nonce).where(
            columns.chain_id == chain_id, columns.sender == sender, columns.nonce >= least
        )
        with self._engine.connect() as connection:
            taken = set(connection.execute(query).scalars())
        return next(nonce for nonce in itertools.count(least) if nonce not in taken)

    def store(self, chain_id: int, sender: Address, stored: StoredTransaction) -> None:
        """Raises SlotTaken; a reverted row of the same intent makes room."""
        columns = outbox_table.c
        reverted = delete(outbox_table).where(
            columns.chain_id == chain_id,
            columns.sender == sender,
            columns.intent == stored.intent,
            columns.state == REVERTED,
        )
        row = insert(outbox_table).values(
            chain_id=chain_id,
            sender=sender,
            intent=stored.intent,
            nonce=stored.nonce,
            signed=stored.signed,
            tx_hash=stored.tx_hash,
            earlier_hashes=b"".join(stored.earlier_hashes),
            state=stored.state,
        )
        try:
            with self._engine.begin() as connection:
                connection.execute(reverted)
                connection.execute(row)
        except IntegrityError as error:
            message = f"intent {stored.intent} or nonce {stored.nonce} is taken"
            raise SlotTaken(message, intent=stored.intent, nonce=stored.nonce) from error

    def replace(
        self,
        chain_id: int,
        sender: Address,
        stored: StoredTransaction,
        signed: bytes,
        tx_hash: bytes,
    ) -> StoredTransaction | None:
        """The same intent and nonce in a new version; None if another thread replaced it first."""
        new = replace(
            stored,
            signed=signed,
            tx_hash=tx_hash,
            state=SIGNED,
            earlier_hashes=(*stored.earlier_hashes, stored.tx_hash),
        )
        values = {
            "signed": signed,
            "tx_hash": tx_hash,
            "state": SIGNED,
            "earlier_hashes": b"".join(new.earlier_hashes),
        }
        same = (*_is_row(chain_id, sender, stored), outbox_table.c.tx_hash == stored.tx_hash)
        with self._engine.begin() as connection:
            done = connection.execute(update(outbox_table).where(*same).values(values))
        return new if done.rowcount else None

    def mark(self, chain_id: int, sender: Address, stored: StoredTransaction, state: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                update(outbox_table).where(*_is_row(chain_id, sender, stored)).values(state=state)
            )

    def discard(self, chain_id: int, sender: Address, stored: StoredTransaction) -> None:
        """Only for a transaction that can never be mined."""
        with self._engine.begin() as connection:
            connection.execute(delete(outbox_table).where(*_is_row(chain_id, sender, stored)))


def _select(chain_id: int, sender: Address):  # type: ignore[no-untyped-def]
    columns = outbox_table.c
    return select(outbox_table).where(columns.chain_id == chain_id, columns.sender == sender)


def _is_row(chain_id: int, sender: Address, stored: StoredTransaction):  # type: ignore[no-untyped-def]
    columns = outbox_table.c
    return (
        columns.chain_id == chain_id,
        columns.sender == sender,
        columns.nonce == stored.nonce,
    )


def _build(row: Row[Any]) -> StoredTransaction:
    earlier = bytes(row.earlier_hashes)
    return StoredTransaction(
        row.intent,
        row.nonce,
        bytes(row.signed),
        bytes(row.tx_hash),
        row.state,
        tuple(earlier[at : at + 32] for at in range(0, len(earlier), 32)),
    )
