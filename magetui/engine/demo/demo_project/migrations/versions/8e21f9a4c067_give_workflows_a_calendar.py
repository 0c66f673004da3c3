"""Give workflows a calendar

Revision ID: 8e21f9a4c067
Revises: 5b0f62d81e94
Create Date: 2025-04-08 10:01:52
"""

import sqlalchemy as sa
from alembic import op

revision = "8e21f9a4c067"
down_revision = "5b0f62d81e94"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "calendar",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("cron", sa.String(80), nullable=False),
    )
    with op.batch_alter_table("workflow") as workflow:
        workflow.add_column(sa.Column("calendar_id", sa.Integer))
        workflow.create_foreign_key("fk_workflow_calendar", "calendar", ["calendar_id"], ["id"])


def downgrade() -> None:
    with op.batch_alter_table("workflow") as workflow:
        workflow.drop_constraint("fk_workflow_calendar", type_="foreignkey")
        workflow.drop_column("calendar_id")
    op.drop_table("calendar")
