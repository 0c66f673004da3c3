"""Remember who started a run

Revision ID: f7502be6a9c4
Revises: c46b8f03e7d1
Create Date: 2025-09-29 11:58:07
"""

import sqlalchemy as sa
from alembic import op

revision = "f7502be6a9c4"
down_revision = "c46b8f03e7d1"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("task_run", sa.Column("started_by", sa.String(40)))
    op.create_index("ix_task_run_started_by", "task_run", ["started_by"])


def downgrade() -> None:
    op.drop_index("ix_task_run_started_by", "task_run")
    with op.batch_alter_table("task_run") as task_run:
        task_run.drop_column("started_by")
