"""Find runs by when they started

Revision ID: a3d95c7e1f28
Revises: 8e21f9a4c067
Create Date: 2025-05-21 16:44:19
"""

from alembic import op

revision = "a3d95c7e1f28"
down_revision = "8e21f9a4c067"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_task_run_task_id_started_at", "task_run", ["task_id", "started_at"])


def downgrade() -> None:
    op.drop_index("ix_task_run_task_id_started_at", "task_run")
