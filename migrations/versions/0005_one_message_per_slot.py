"""one message per slot

Of several that wait for one slot the mined one stays, or else the earliest.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NOT_REFUSED = sa.text("state <> 'refused'")
_REFUSE_OTHERS = """
    UPDATE messages SET state = 'refused', reason = 'slot-taken' WHERE id IN (
        SELECT id FROM (
            SELECT id, row_number() OVER (
                PARTITION BY slot
                ORDER BY CASE state WHEN 'mined' THEN 0 ELSE 1 END, received_at, id
            ) AS place
            FROM messages WHERE state <> 'refused'
        ) AS waiting
        WHERE place > 1
    )
"""


def upgrade() -> None:
    op.execute(_REFUSE_OTHERS)
    op.create_index(
        "messages_slot_once",
        "messages",
        ["slot"],
        unique=True,
        sqlite_where=_NOT_REFUSED,
        postgresql_where=_NOT_REFUSED,
    )


def downgrade() -> None:
    op.drop_index("messages_slot_once", table_name="messages")
