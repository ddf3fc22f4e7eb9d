"""first tables

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ballots",
        sa.Column("job", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("round", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seat", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("member", sa.Integer(), nullable=False),
        sa.Column("commitment", sa.LargeBinary(length=32), nullable=True),
        sa.Column("ballot", sa.LargeBinary(), nullable=True),
        sa.Column("share_bps", sa.Integer(), nullable=True),
        sa.Column("attested", sa.LargeBinary(length=32), nullable=True),
        sa.PrimaryKeyConstraint("job", "round", "seat"),
    )
    op.create_table(
        "checkpoints",
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("block_number"),
    )
    op.create_table(
        "claims",
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("provider", sa.String(length=42), nullable=False),
        sa.Column("job", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.String(78), nullable=False),
        sa.PrimaryKeyConstraint("block_number", "log_index"),
    )
    with op.batch_alter_table("claims", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_claims_provider"), ["provider"], unique=False)

    op.create_table(
        "cursors",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rounds", sa.String(length=42), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("rewinds", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("chain_id"),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("block_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("tx_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("log_index", sa.Integer(), nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("job", sa.BigInteger(), nullable=True),
        sa.Column("round", sa.BigInteger(), nullable=True),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("chain_id", "block_hash", "tx_hash", "log_index", name="events_log"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index("events_block", ["block_number"], unique=False)
        batch_op.create_index("events_round", ["job", "round"], unique=False)

    op.create_table(
        "faults",
        sa.Column("job", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("round", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("fault", sa.String(length=20), nullable=False),
        sa.Column("provider", sa.String(length=42), nullable=False),
        sa.Column("slash", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job", "round", "member", "fault"),
    )
    op.create_table(
        "jobs",
        sa.Column("job", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("requester", sa.String(length=42), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("spec_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("parameters_version", sa.Integer(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("deposit", sa.String(78), nullable=False),
        sa.Column("escrow", sa.String(78), nullable=False),
        sa.Column("refunded", sa.String(78), nullable=False),
        sa.Column("quantum", sa.String(78), nullable=False),
        sa.Column("finalised_rounds", sa.Integer(), nullable=False),
        sa.Column("failed_rounds", sa.Integer(), nullable=False),
        sa.Column("created_block", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job"),
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_jobs_state"), ["state"], unique=False)

    op.create_table(
        "members",
        sa.Column("job", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("provider", sa.String(length=42), nullable=False),
        sa.Column("operator", sa.String(length=42), nullable=False),
        sa.Column("roles", sa.Integer(), nullable=False),
        sa.Column("stake", sa.String(78), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("earned", sa.String(78), nullable=False),
        sa.PrimaryKeyConstraint("job", "member"),
    )
    with op.batch_alter_table("members", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_members_provider"), ["provider"], unique=False)

    op.create_table(
        "messages",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("slot", sa.String(length=140), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("job", sa.BigInteger(), nullable=False),
        sa.Column("round", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("tx", sa.LargeBinary(length=32), nullable=True),
        sa.Column("block_number", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=60), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_messages_job"), ["job"], unique=False)
        batch_op.create_index(batch_op.f("ix_messages_slot"), ["slot"], unique=False)
        batch_op.create_index(batch_op.f("ix_messages_state"), ["state"], unique=False)

    op.create_table(
        "offers",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("requester", sa.String(length=42), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("tx", sa.LargeBinary(length=32), nullable=True),
        sa.Column("job", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=60), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("offers", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_offers_state"), ["state"], unique=False)

    op.create_table(
        "payments",
        sa.Column("job", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("round", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("amount", sa.String(78), nullable=False),
        sa.PrimaryKeyConstraint("job", "round", "member"),
    )
    op.create_table(
        "providers",
        sa.Column("provider", sa.String(length=42), nullable=False),
        sa.Column("operator", sa.String(length=42), nullable=False),
        sa.Column("roles", sa.Integer(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("capabilities", sa.LargeBinary(length=32), nullable=True),
        sa.Column("free", sa.String(78), nullable=False),
        sa.Column("locked", sa.String(78), nullable=False),
        sa.Column("unbonding", sa.String(78), nullable=False),
        sa.Column("withdrawable_at", sa.BigInteger(), nullable=False),
        sa.Column("missed_duties", sa.Integer(), nullable=False),
        sa.Column("jailed_until", sa.BigInteger(), nullable=False),
        sa.Column("slashed", sa.String(78), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("provider"),
    )
    op.create_table(
        "rounds",
        sa.Column("job", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("round", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("phase", sa.String(length=14), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("parent_model", sa.LargeBinary(length=32), nullable=False),
        sa.Column("model", sa.LargeBinary(length=32), nullable=True),
        sa.Column("verdict_root", sa.LargeBinary(length=32), nullable=True),
        sa.Column("seed", sa.LargeBinary(length=32), nullable=True),
        sa.Column("committee", sa.JSON(), nullable=False),
        sa.Column("failure", sa.String(length=24), nullable=True),
        sa.Column("fee", sa.String(78), nullable=False),
        sa.Column("fee_recipient", sa.String(length=42), nullable=True),
        sa.Column("spent", sa.String(78), nullable=False),
        sa.Column("unrevealed", sa.JSON(), nullable=False),
        sa.Column("absent", sa.JSON(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("job", "round"),
    )
    op.create_table(
        "slashes",
        sa.Column("slash", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("provider", sa.String(length=42), nullable=False),
        sa.Column("amount", sa.String(78), nullable=False),
        sa.Column("bounty", sa.String(78), nullable=False),
        sa.Column("prover", sa.String(length=42), nullable=False),
        sa.Column("settleable_at", sa.BigInteger(), nullable=False),
        sa.Column("settled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("slash"),
    )
    with op.batch_alter_table("slashes", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_slashes_provider"), ["provider"], unique=False)

    op.create_table(
        "updates",
        sa.Column("job", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("round", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("batch", sa.Integer(), nullable=False),
        sa.Column("commitment", sa.LargeBinary(length=32), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=True),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("job", "round", "member"),
    )
    op.create_table(
        "outbox",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sender", sa.String(length=42), nullable=False),
        sa.Column("intent", sa.String(length=200), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("signed", sa.LargeBinary(), nullable=False),
        sa.Column("tx_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("earlier_hashes", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "sender", "intent"),
        sa.UniqueConstraint("chain_id", "sender", "nonce", name="outbox_nonce"),
    )


def downgrade() -> None:
    op.drop_table("outbox")
    op.drop_table("updates")
    with op.batch_alter_table("slashes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_slashes_provider"))

    op.drop_table("slashes")
    op.drop_table("rounds")
    op.drop_table("providers")
    op.drop_table("payments")
    with op.batch_alter_table("offers", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_offers_state"))

    op.drop_table("offers")
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_messages_state"))
        batch_op.drop_index(batch_op.f("ix_messages_slot"))
        batch_op.drop_index(batch_op.f("ix_messages_job"))

    op.drop_table("messages")
    with op.batch_alter_table("members", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_members_provider"))

    op.drop_table("members")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_jobs_state"))

    op.drop_table("jobs")
    op.drop_table("faults")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index("events_round")
        batch_op.drop_index("events_block")

    op.drop_table("events")
    op.drop_table("cursors")
    with op.batch_alter_table("claims", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_claims_provider"))

    op.drop_table("claims")
    op.drop_table("checkpoints")
    op.drop_table("ballots")
