"""Create workflow and task

Revision ID: 1c7e40a9d2b3
Revises:
Create Date: 2025-02-03 09:12:40
"""

import sqlalchemy as sa
from alembic import op

revision = "1c7e40a9d2b3"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "workflow",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(80), nullable=False, unique=True),
        sa.Column("created_at", sa.DateTime, nullable=False),
    )
    op.create_table(
        "task",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("workflow_id", sa.Integer, sa.ForeignKey("workflow.id"), nullable=False),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("command", sa.Text, nullable=False),
    )
    op.create_index("ix_task_workflow_id", "task", ["workflow_id"])


def downgrade() -> None:
    op.drop_index("ix_task_workflow_id", "task")
    op.drop_table("task")
    op.drop_table("workflow")
