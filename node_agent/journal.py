"""The memory that must outlive the node: what it signed, with salt and content, before it is sent.

One value per (job, round, slot) for ever: the primary key makes a second one impossible, and two
signed values for one slot are slashed. No network here, no decisions.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter
from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    delete,
    event,
    insert,
    select,
    tuple_,
)
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import IntegrityError
from sqlalchemy.pool import ConnectionPoolEntry

from commonweal.protocol.messages import (
    BallotCommitmentMessage,
    ModelAttestationMessage,
    UpdateCommitmentMessage,
)
from commonweal.protocol.signing import Domain
from commonweal.protocol.types import Address
from node_agent.errors import JournalForeign, SlotTaken

SignedMessage = Annotated[
    UpdateCommitmentMessage | BallotCommitmentMessage | ModelAttestationMessage,
    Field(discriminator="kind"),
]
_SIGNED: TypeAdapter[SignedMessage] = TypeAdapter(SignedMessage)


class Slot(StrEnum):
    UPDATE = "update"
    BALLOT = "ballot"
    ATTESTATION = "attestation"


@dataclass(frozen=True, slots=True)
class SlotEntry:
    """What was signed for one slot, and what opens it.

    `content`: the update manifest's digest, the packed ballot, or the attested model's digest.
    """

    slot: Slot
    content: bytes
    salt: bytes  # empty for an attestation
    message: SignedMessage

    @property
    def job(self) -> int:
        return self.message.job

    @property
    def round(self) -> int:
        return self.message.round


_metadata = MetaData()
_networks = Table(
    "networks",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("chain_id", Integer, nullable=False),
    Column("rounds", String(42), nullable=False),
)
_slots = Table(
    "slots",
    _metadata,
    Column("job", Integer, primary_key=True, autoincrement=False),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("slot", String(16), primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("message", String, nullable=False),
)
_memories = Table(
    "memories",
    _metadata,
    Column("job", Integer, primary_key=True, autoincrement=False),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

_residuals = Table(
    "residuals",
    _metadata,
    Column("job", Integer, primary_key=True, autoincrement=False),
    Column("round", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)
_receipts = Table(
    "receipts",
    _metadata,
    Column("place", Integer, primary_key=True),
    Column("id", String(64), nullable=False),
    Column("coordinator", String(42), nullable=False),
    Column("document", String, nullable=False),
    UniqueConstraint("id", "coordinator"),
)
_votes = Table(
    "votes",
    _metadata,
    Column("appeal", Integer, primary_key=True, autoincrement=False),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("overturn", Boolean, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("commitment", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Residual:
    """What a round's update left out; `base` is the round whose residual went into that update."""

    data: bytes
    base: int | None


@dataclass(frozen=True, slots=True)
class Vote:
    """A juror's sealed vote and what opens it."""

    appeal: int
    level: int
    overturn: bool
    salt: bytes
    commitment: bytes
    signature: bytes


class Journal:
    """One SQLite file per node and network; every write is on disk before the method returns.

    Receipts alone wait for the next one: a message that a coordinator has not carried is handed
    in again after a crash, and gets its receipt again.
    """

    def __init__(self, path: Path, domain: Domain) -> None:
        """`domain`: of the Rounds contract. Raises JournalForeign for another network's file."""
        self._engine = _open(path, "FULL")
        self._lazy_engine = _open(path, "NORMAL")
        _metadata.create_all(self._engine)
        self._claim(domain)

    def close(self) -> None:
        self._engine.dispose()
        self._lazy_engine.dispose()

    def keep_receipt(self, message_id: str, coordinator: str, document: str) -> None:
        """The first that a coordinator gave for a message: later ones say the same."""
        row = {"id": message_id, "coordinator": coordinator, "document": document}
        with self._lazy_engine.begin() as connection, suppress(IntegrityError):
            connection.execute(insert(_receipts).values(row))

    def receipts(self) -> list[str]:
        """Oldest first."""
        query = select(_receipts.c.document).order_by(_receipts.c.place)
        with self._engine.connect() as connection:
            return list(connection.scalars(query))

    def record(
        self,
        entry: SlotEntry,
        memory: bytes | None = None,
        residual: Residual | None = None,
    ) -> SlotEntry:
        """Store a signed message in one step with what must not be true without it.

        That is the scoring memory after a ballot, and the residual of an update; of earlier
        residuals only its base is kept. Returns what stands in the slot: the same entry, if it
        was recorded before. Raises SlotTaken when that is another one.
        """
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(_slots).values(_row(entry)))
                if memory is not None:
                    values = {"job": entry.job, "round": entry.round, "data": memory}
                    connection.execute(insert(_memories).values(values))
                if residual is not None:
                    _replace_residual(connection, entry, residual)
        except IntegrityError as error:
            self._require_same(entry, error)
        return entry

    def entry(self, job: int, round_: int, slot: Slot) -> SlotEntry | None:
        query = select(_slots).where(
            _slots.c.job == job, _slots.c.round == round_, _slots.c.slot == slot.value
        )
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _entry(row.slot, row.content, row.salt, row.message)

    def entries(self, rounds: Iterable[tuple[int, int]]) -> dict[tuple[int, int, Slot], SlotEntry]:
        """All entries of the given (job, round) pairs."""
        columns = _slots.c
        query = select(_slots).where(tuple_(columns.job, columns.round).in_(list(rounds)))
        with self._engine.connect() as connection:
            rows = connection.execute(query).all()
        return {
            (row.job, row.round, Slot(row.slot)): _entry(
                row.slot, row.content, row.salt, row.message
            )
            for row in rows
        }

    def count(self, job: int | None = None) -> dict[Slot, int]:
        query = select(_slots.c.slot)
        if job is not None:
            query = query.where(_slots.c.job == job)
        with self._engine.connect() as connection:
            slots = [Slot(row.slot) for row in connection.execute(query)]
        return {slot: slots.count(slot) for slot in Slot}

    def record_vote(self, vote: Vote) -> Vote:
        """Returns what stands: the first vote of this appeal and level, whatever comes later."""
        with suppress(IntegrityError), self._engine.begin() as connection:
            connection.execute(insert(_votes).values(asdict(vote)))
        return self.vote(vote.appeal, vote.level) or vote

    def vote(self, appeal: int, level: int) -> Vote | None:
        query = select(_votes).where(_votes.c.appeal == appeal, _votes.c.level == level)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Vote(**row._mapping)

    def memory_before(self, job: int, round_: int) -> bytes | None:
        """The scoring memory of the latest earlier round that this node judged."""
        query = (
            select(_memories.c.data)
            .where(_memories.c.job == job, _memories.c.round < round_)
            .order_by(_memories.c.round.desc())
            .limit(1)
        )
        with self._engine.connect() as connection:
            data: bytes | None = connection.execute(query).scalar_one_or_none()
        return data

    def residual_rounds(self, job: int) -> tuple[int, ...]:
        """The rounds whose residuals are kept, ascending: at most two."""
        query = select(_residuals.c.round).where(_residuals.c.job == job)
        with self._engine.connect() as connection:
            rounds = connection.execute(query.order_by(_residuals.c.round)).scalars()
            return tuple(rounds)

    def residual(self, job: int, round_: int) -> bytes | None:
        query = select(_residuals.c.data).where(
            _residuals.c.job == job, _residuals.c.round == round_
        )
        with self._engine.connect() as connection:
            data: bytes | None = connection.execute(query).scalar_one_or_none()
        return data

    def _claim(self, domain: Domain) -> None:
        mine = {"id": 1, "chain_id": domain.chain_id, "rounds": str(domain.contract)}
        with self._engine.begin() as connection:
            row = connection.execute(select(_networks)).one_or_none()
            if row is None:
                connection.execute(insert(_networks).values(mine))
                return
        if Domain(row.chain_id, Address(row.rounds)) != domain:
            raise JournalForeign(
                f"the journal belongs to chain {row.chain_id}, contract {row.rounds}",
                have_chain=row.chain_id,
                have_rounds=row.rounds,
                want_chain=domain.chain_id,
                want_rounds=domain.contract,
            )

    def _require_same(self, entry: SlotEntry, error: IntegrityError) -> None:
        if self.entry(entry.job, entry.round, entry.slot) != entry:
            raise SlotTaken(
                f"job {entry.job} round {entry.round}: another {entry.slot} is signed already",
                job=entry.job,
                round=entry.round,
                slot=entry.slot.value,
            ) from error


def _open(path: Path, synchronous: str) -> Engine:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    engine = create_engine(f"sqlite:///{path}")

    def prepare(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={synchronous}")
        cursor.close()

    event.listen(engine, "connect", prepare)
    return engine


def _replace_residual(connection: Connection, entry: SlotEntry, residual: Residual) -> None:
    mine = _residuals.c.job == entry.job
    old = mine if residual.base is None else mine & (_residuals.c.round != residual.base)
    connection.execute(delete(_residuals).where(old))
    values = {"job": entry.job, "round": entry.round, "data": residual.data}
    connection.execute(insert(_residuals).values(values))


def _row(entry: SlotEntry) -> dict[str, object]:
    return {
        "job": entry.job,
        "round": entry.round,
        "slot": entry.slot.value,
        "content": entry.content,
        "salt": entry.salt,
        "message": entry.message.model_dump_json(),
    }


def _entry(slot: str, content: bytes, salt: bytes, message: str) -> SlotEntry:
    return SlotEntry(Slot(slot), content, salt, _SIGNED.validate_json(message))
