"""Let tasks pause and retry

Revision ID: c46b8f03e7d1
Revises: a3d95c7e1f28
Create Date: 2025-08-11 08:27:33
"""

import sqlalchemy as sa
from alembic import op

revision = "c46b8f03e7d1"
down_revision = "a3d95c7e1f28"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pause",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("task_id", sa.Integer, sa.ForeignKey("task.id"), nullable=False),
        sa.Column("since", sa.DateTime, nullable=False),
        sa.Column("reason", sa.Text),
    )
    # SQLite cannot add a check in place, so Alembic copies the table.
    with op.batch_alter_table("task") as task:
        task.add_column(sa.Column("retries", sa.Integer, nullable=False, server_default="0"))
        task.create_check_constraint("ck_task_retries", "retries >= 0")


def downgrade() -> None:
    with op.batch_alter_table("task") as task:
        task.drop_constraint("ck_task_retries", type_="check")
        task.drop_column("retries")
    op.drop_table("pause")
