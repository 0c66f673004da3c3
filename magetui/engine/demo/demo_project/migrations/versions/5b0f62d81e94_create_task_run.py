"""Create task_run

Revision ID: 5b0f62d81e94
Revises: 1c7e40a9d2b3
Create Date: 2025-02-17 14:30:05
"""

import sqlalchemy as sa
from alembic import op

revision = "5b0f62d81e94"
down_revision = "1c7e40a9d2b3"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "task_run",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("task_id", sa.Integer, sa.ForeignKey("task.id"), nullable=False),
        sa.Column("state", sa.String(12), nullable=False, server_default="waiting"),
        sa.Column("started_at", sa.DateTime),
        sa.Column("ended_at", sa.DateTime),
    )


def downgrade() -> None:
    op.drop_table("task_run")
