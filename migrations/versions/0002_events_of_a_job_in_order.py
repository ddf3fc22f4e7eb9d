"""events of a job in order

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("events_job", "events", ["job", "id"])


def downgrade() -> None:
    op.drop_index("events_job", table_name="events")
