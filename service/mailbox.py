"""Messages and offers that strangers handed in, kept until the chain has them or refuses them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection, Engine, Row, Table, exists, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from commonweal.adapters.transactions import Receipt
from commonweal.errors import Conflict, NotFound
from commonweal.protocol.messages import (
    BallotCommitmentMessage,
    BallotRevealMessage,
    JoinMessage,
    LeaveMessage,
    Message,
    ModelAttestationMessage,
)
from commonweal.protocol.receipts import compute_id
from service import tables as t

ACCEPTED, SENT, MINED, REFUSED = "accepted", "sent", "mined", "refused"
_DEPTH = 256  # blocks in which an offer is looked for again
_ADAPTER: TypeAdapter[Message] = TypeAdapter(Message)


class MessageUnknown(NotFound):
    code = "message-unknown"


class OfferUnknown(NotFound):
    code = "offer-unknown"


class SlotTaken(Conflict):
    """Another value for the same slot waits already; a signer has one value per slot."""

    code = "slot-taken"


@dataclass(frozen=True, slots=True)
class Posted:
    id: str
    state: str
    received_at: int  # milliseconds
    tx: bytes | None = None
    block_number: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that waits to be sent."""

    id: str
    message: Message
    received_at: int  # milliseconds


@dataclass(frozen=True, slots=True)
class PostedOffer:
    id: str
    state: str
    body: dict[str, Any]
    tx: bytes | None = None
    job: int | None = None
    reason: str | None = None


def compute_slot(message: Message) -> str:
    match message:
        case JoinMessage() | LeaveMessage():
            place = f"{message.job}:{message.provider.lower()}"
            return f"{message.kind}:{place}:{compute_id(message)}"
        case BallotCommitmentMessage() | BallotRevealMessage() | ModelAttestationMessage():
            return f"{message.kind}:{message.job}:{message.round}:{message.seat}"
        case _:
            return f"{message.kind}:{message.job}:{message.round}:{message.member}"


class Mailbox:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def find(self, message_id: str) -> Posted | None:
        with self._engine.connect() as connection:
            row = connection.execute(_select(t.messages, message_id)).first()
        return None if row is None else _posted(row)

    def fetch(self, message_id: str) -> Posted:
        """Raises MessageUnknown."""
        found = self.find(message_id)
        if found is None:
            raise MessageUnknown(f"there is no message {message_id}", id=message_id)
        return found

    def post(self, message: Message) -> Posted:
        """Store a verified message; one that was refused before gets another try.

        Raises SlotTaken.
        """
        row = {
            "id": compute_id(message),
            "slot": compute_slot(message),
            "kind": message.kind,
            "job": message.job,
            "round": getattr(message, "round", None),
            "body": message.model_dump(mode="json"),
            "state": ACCEPTED,
            "received_at": _now(),
        }
        try:
            return self._store(row)
        except IntegrityError:  # somebody took the slot at the same time, and is seen now
            return self._store(row)

    def fetch_waiting(self) -> dict[int, list[Letter]]:
        """Accepted messages by job, oldest first."""
        columns = t.messages.c
        query = select(t.messages).where(columns.state == ACCEPTED)
        letters: dict[int, list[Letter]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(query.order_by(columns.received_at, columns.id)):
                message = _ADAPTER.validate_python(row.body)
                letter = Letter(row.id, message, row.received_at)
                letters.setdefault(row.job, []).append(letter)
        return letters

    def mark_sent(self, ids: Collection[str]) -> None:
        self._mark(t.messages, ids, state=SENT)

    def mark_mined(self, ids: Collection[str], receipt: Receipt | None, block: int) -> None:
        """Without a receipt: somebody else brought it to the chain."""
        tx = None if receipt is None else receipt.tx_hash
        number = block if receipt is None else receipt.block_number
        self._mark(t.messages, ids, state=MINED, tx=tx, block_number=number, reason=None)

    def mark_refused(self, ids: Collection[str], reason: str) -> None:
        self._mark(t.messages, ids, state=REFUSED, reason=reason[:60])

    def mark_accepted(self, ids: Collection[str]) -> None:
        """But for refused ones: their slots may be taken by now."""
        values = {"state": ACCEPTED, "tx": None, "block_number": None}
        columns = t.messages.c
        kept = columns.id.in_(list(ids)) & (columns.state != REFUSED)
        with self._engine.begin() as connection:
            connection.execute(update(t.messages).where(kept).values(values))

    def reopen_sent(self, busy: Collection[int]) -> None:
        """What is on its way although nobody works on its job is looked at again."""
        columns = t.messages.c
        left = (columns.state == SENT) & columns.job.not_in(busy)
        with self._engine.begin() as connection:
            connection.execute(update(t.messages).where(left).values(state=ACCEPTED))

    def count_memberships(self, job: int, provider: str) -> int:
        """The provider's joins and leaves in the job that were accepted and not refused since."""
        columns = t.messages.c
        prefixes = [f"{kind}:{job}:{provider.lower()}:" for kind in ("join", "leave")]
        query = select(func.count()).where(
            columns.job == job,
            columns.state != REFUSED,
            or_(*(columns.slot.startswith(prefix) for prefix in prefixes)),
        )
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def count_waiting(self) -> int:
        open_ = t.messages.c.state.in_([ACCEPTED, SENT])
        with self._engine.connect() as connection:
            query = select(func.count()).select_from(t.messages).where(open_)
            return connection.scalar(query) or 0

    def count_by_state(self) -> dict[str, int]:
        query = select(t.messages.c.state, func.count()).group_by(t.messages.c.state)
        with self._engine.connect() as connection:
            return dict(connection.execute(query).tuples().all())

    # Offers

    def post_offer(self, offer_id: str, requester: str, body: dict[str, Any]) -> PostedOffer:
        row = {
            "id": offer_id,
            "requester": requester,
            "body": body,
            "state": ACCEPTED,
            "received_at": _now(),
        }
        with suppress(IntegrityError), self._engine.begin() as connection:
            _upsert(connection, t.offers, row)
        return self.fetch_offer(offer_id)  # perhaps one that came at the same time

    def find_offer(self, offer_id: str) -> PostedOffer | None:
        with self._engine.connect() as connection:
            row = connection.execute(_select(t.offers, offer_id)).first()
        return None if row is None else _offer(row)

    def fetch_offer(self, offer_id: str) -> PostedOffer:
        """Raises OfferUnknown."""
        found = self.find_offer(offer_id)
        if found is None:
            raise OfferUnknown(f"there is no offer {offer_id}", id=offer_id)
        return found

    def count_offers(self, requester: str, seconds: float) -> int:
        """Accepted within the last `seconds` and not refused since."""
        columns = t.offers.c
        query = select(func.count()).where(
            func.lower(columns.requester) == requester.lower(),
            columns.received_at >= _now() - int(1_000 * seconds),
            columns.state != REFUSED,
        )
        with self._engine.connect() as connection:
            return connection.scalar(query) or 0

    def fetch_unsettled_offers(self) -> list[PostedOffer]:
        """Oldest first; those on their way too."""
        columns = t.offers.c
        query = select(t.offers).where(columns.state.in_([ACCEPTED, SENT]))
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(columns.received_at, columns.id))
            return [_offer(row) for row in rows]

    def reopen_lost_offers(self, head: int) -> None:
        """Mined by a receipt's word, but not in the chain that is followed up to `head`."""
        columns, created = t.offers.c, t.events.c
        shown = exists().where(
            created.name == "JobCreated",
            created.job == columns.job,
            created.tx_hash == columns.tx,
        )
        lost = (columns.state == MINED) & columns.block_number.between(head - _DEPTH, head) & ~shown
        again = {"state": ACCEPTED, "tx": None, "job": None, "block_number": None}
        with self._engine.begin() as connection:
            connection.execute(update(t.offers).where(lost).values(again))

    def mark_offer(self, offer_id: str, state: str, **values: Any) -> None:
        self._mark(t.offers, [offer_id], state=state, **values)

    def _store(self, row: dict[str, Any]) -> Posted:
        with self._engine.begin() as connection:
            self._check_slot(connection, row)
            return _upsert(connection, t.messages, row)

    def _check_slot(self, connection: Connection, row: dict[str, Any]) -> None:
        columns = t.messages.c
        query = select(columns.id).where(
            columns.slot == row["slot"], columns.id != row["id"], columns.state != REFUSED
        )
        if (other := connection.scalar(query)) is not None:
            message = "another value for this slot was accepted before"
            raise SlotTaken(message, slot=row["slot"], id=other)

    def _mark(self, table: Table, ids: Iterable[str], **values: Any) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(table).where(table.c.id.in_(list(ids))).values(values))


def _upsert(connection: Connection, table: Table, row: dict[str, Any]) -> Posted:
    found = connection.execute(_select(table, row["id"])).first()
    if found is None:
        connection.execute(insert(table).values(row))
    elif found.state == REFUSED:
        changes = {**row, "reason": None}
        connection.execute(update(table).where(table.c.id == row["id"]).values(changes))
    else:
        return Posted(found.id, found.state, found.received_at)
    return Posted(row["id"], ACCEPTED, row["received_at"])


def _select(table: Table, row_id: str) -> Any:
    return select(table).where(table.c.id == row_id)


def _posted(row: Row[Any]) -> Posted:
    return Posted(row.id, row.state, row.received_at, row.tx, row.block_number, row.reason)


def _offer(row: Row[Any]) -> PostedOffer:
    return PostedOffer(row.id, row.state, row.body, row.tx, row.job, row.reason)


def _now() -> int:
    return time.time_ns() // 1_000_000
