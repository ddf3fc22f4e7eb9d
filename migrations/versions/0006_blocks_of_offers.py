"""the block in which an offer was mined

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_FROM_JOBS = """
    UPDATE offers SET block_number = (
        SELECT created_block FROM jobs WHERE jobs.job = offers.job
    ) WHERE state = 'mined'
"""


def upgrade() -> None:
    op.add_column("offers", sa.Column("block_number", sa.BigInteger(), nullable=True))
    op.execute(_FROM_JOBS)


def downgrade() -> None:
    with op.batch_alter_table("offers", schema=None) as batch_op:
        batch_op.drop_column("block_number")
