"""The coordinator's tables. All but the last three and the outbox can be rebuilt from chain.

`migrations/` makes them; a test compares both. Money is a decimal string of wei: 256 bits fit no
integer column.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class Money(TypeDecorator[int]):
    """Wei, as a decimal string of at most 78 digits."""

    impl = String(78)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else str(int(value))

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else int(value)


_Sequence = BigInteger().with_variant(Integer, "sqlite")
_Hash = LargeBinary(32)
_NOT_REFUSED = text("state <> 'refused'")
metadata = MetaData()

cursors = Table(
    "cursors",
    metadata,
    Column("chain_id", BigInteger, primary_key=True, autoincrement=False),
    Column("rounds", String(42), nullable=False),  # the Rounds contract: which deployment
    Column("block_number", BigInteger, nullable=False),
    Column("block_hash", _Hash, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("rewinds", Integer, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("block_number", BigInteger, primary_key=True, autoincrement=False),
    Column("block_hash", _Hash, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", _Sequence, primary_key=True),
    Column("chain_id", BigInteger, nullable=False),
    Column("block_number", BigInteger, nullable=False),
    Column("block_hash", _Hash, nullable=False),
    Column("tx_hash", _Hash, nullable=False),
    Column("log_index", Integer, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("name", String(40), nullable=False),
    Column("job", BigInteger),
    Column("round", BigInteger),
    Column("data", JSON, nullable=False),
    UniqueConstraint("chain_id", "block_hash", "tx_hash", "log_index", name="events_log"),
    Index("events_round", "job", "round"),
    Index("events_job", "job", "id"),
    Index("events_block", "block_number"),
    sqlite_autoincrement=True,  # an id that a follower has seen is never given to another event
)

jobs = Table(
    "jobs",
    metadata,
    Column("job", BigInteger, primary_key=True, autoincrement=False),
    Column("requester", String(42), nullable=False),
    Column("state", String(12), nullable=False, index=True),
    Column("spec_digest", _Hash, nullable=False),
    Column("parameters_version", Integer, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("deposit", Money, nullable=False),
    Column("escrow", Money, nullable=False),
    Column("refunded", Money, nullable=False),
    Column("quantum", Money, nullable=False),
    Column("finalised_rounds", Integer, nullable=False),
    Column("failed_rounds", Integer, nullable=False),
    Column("created_block", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

members = Table(
    "members",
    metadata,
    Column("job", BigInteger, primary_key=True, autoincrement=False),
    Column("member", Integer, primary_key=True, autoincrement=False),
    Column("provider", String(42), nullable=False, index=True),
    Column("operator", String(42), nullable=False),
    Column("roles", Integer, nullable=False),
    Column("stake", Money, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("earned", Money, nullable=False),
)

rounds = Table(
    "rounds",
    metadata,
    Column("job", BigInteger, primary_key=True, autoincrement=False),
    Column("round", BigInteger, primary_key=True, autoincrement=False),
    Column("state", String(10), nullable=False),  # open, finalised, failed
    Column("phase", String(14), nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("parent_model", _Hash, nullable=False),
    Column("model", _Hash),
    Column("verdict_root", _Hash),
    Column("seed", _Hash),
    Column("committee", JSON, nullable=False),
    Column("failure", String(24)),
    Column("fee", Money, nullable=False),
    Column("fee_recipient", String(42)),
    Column("spent", Money, nullable=False),
    Column("unrevealed", JSON, nullable=False),  # members
    Column("absent", JSON, nullable=False),  # seats
    Column("opened_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
)

updates = Table(
    "updates",
    metadata,
    Column("job", BigInteger, primary_key=True, autoincrement=False),
    Column("round", BigInteger, primary_key=True, autoincrement=False),
    Column("member", Integer, primary_key=True, autoincrement=False),
    Column("batch", Integer, nullable=False),
    Column("commitment", _Hash, nullable=False),
    Column("digest", _Hash),
    Column("score", Integer),
)

ballots = Table(
    "ballots",
    metadata,
    Column("job", BigInteger, primary_key=True, autoincrement=False),
    Column("round", BigInteger, primary_key=True, autoincrement=False),
    Column("seat", Integer, primary_key=True, autoincrement=False),
    Column("member", Integer, nullable=False),
    Column("commitment", _Hash),
    Column("ballot", LargeBinary),
    Column("share_bps", Integer),
    Column("attested", _Hash),
)

payments = Table(
    "payments",
    metadata,
    Column("job", BigInteger, primary_key=True, autoincrement=False),
    Column("round", BigInteger, primary_key=True, autoincrement=False),
    Column("member", Integer, primary_key=True, autoincrement=False),
    Column("amount", Money, nullable=False),
)

claims = Table(
    "claims",
    metadata,
    Column("block_number", BigInteger, primary_key=True, autoincrement=False),
    Column("log_index", Integer, primary_key=True, autoincrement=False),
    Column("provider", String(42), nullable=False, index=True),
    Column("job", BigInteger, nullable=False),
    Column("amount", Money, nullable=False),
)

providers = Table(
    "providers",
    metadata,
    Column("provider", String(42), primary_key=True),
    Column("operator", String(42), nullable=False),
    Column("roles", Integer, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("capabilities", _Hash),
    Column("free", Money, nullable=False),
    Column("locked", Money, nullable=False),
    Column("unbonding", Money, nullable=False),
    Column("withdrawable_at", BigInteger, nullable=False),
    Column("missed_duties", Integer, nullable=False),
    Column("jailed_until", BigInteger, nullable=False),
    Column("slashed", Money, nullable=False),
    Column("registered_at", BigInteger, nullable=False),
)

slashes = Table(
    "slashes",
    metadata,
    Column("slash", BigInteger, primary_key=True, autoincrement=False),
    Column("provider", String(42), nullable=False, index=True),
    Column("amount", Money, nullable=False),
    Column("bounty", Money, nullable=False),
    Column("prover", String(42), nullable=False),
    Column("settleable_at", BigInteger, nullable=False),
    Column("settled", Boolean, nullable=False),
)

faults = Table(
    "faults",
    metadata,
    Column("job", BigInteger, primary_key=True, autoincrement=False),
    Column("round", BigInteger, primary_key=True, autoincrement=False),
    Column("member", Integer, primary_key=True, autoincrement=False),
    Column("fault", String(20), primary_key=True),
    Column("provider", String(42), nullable=False),
    Column("slash", BigInteger, nullable=False),  # 0: nothing was there to slash
)

DERIVED = (
    jobs,
    members,
    rounds,
    updates,
    ballots,
    payments,
    claims,
    providers,
    slashes,
    faults,
)

messages = Table(
    "messages",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("slot", String(140), nullable=False, index=True),
    Column("kind", String(20), nullable=False),
    Column("job", BigInteger, nullable=False, index=True),
    Column("round", BigInteger),
    Column("body", JSON, nullable=False),
    Column("state", String(10), nullable=False, index=True),
    Column("tx", _Hash),
    Column("block_number", BigInteger),
    Column("reason", String(60)),
    Column("received_at", BigInteger, nullable=False),  # milliseconds
    Index(
        "messages_slot_once",
        "slot",
        unique=True,
        sqlite_where=_NOT_REFUSED,
        postgresql_where=_NOT_REFUSED,
    ),
)

offers = Table(
    "offers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("requester", String(42), nullable=False),
    Column("body", JSON, nullable=False),
    Column("state", String(10), nullable=False, index=True),
    Column("tx", _Hash),
    Column("job", BigInteger),
    Column("reason", String(60)),
    Column("received_at", BigInteger, nullable=False),
    Column("block_number", BigInteger),
)

used_nonces = Table(
    "used_nonces",
    metadata,
    Column("nonce", _Hash, primary_key=True),  # sha-256 of it
    Column("expires_at", BigInteger, nullable=False, index=True),  # forgotten after that
)
