"""which key does which intent

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "assignments",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("pool", sa.String(length=42), nullable=False),
        sa.Column("intent", sa.String(length=200), nullable=False),
        sa.Column("sender", sa.String(length=42), nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "pool", "intent"),
    )


def downgrade() -> None:
    op.drop_table("assignments")
