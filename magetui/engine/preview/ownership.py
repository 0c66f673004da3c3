"""The owner of what a plan creates: on PostgreSQL it is the role that runs the plan, not the application's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from magetui.engine.sql.ddl import parts_of
from magetui.engine.target.url_options import shown_with_setting
from magetui.model import operations as ops

if TYPE_CHECKING:
    from magetui.engine.schema.snapshot import Overview
    from magetui.engine.target.target import Target


def ownership(overview: Overview, target: Target, operations: Iterable[ops.Operation]) -> str | None:
    """Return who will own the new objects, as the end of a sentence; None if it is who owns the version table."""
    version_table, user = overview.version_table, overview.server.user
    owner = None
    if version_table is not None:
        path = (version_table.schema, version_table.name)
        owner = next((table.owner for table in overview.tables if (table.schema, table.name) == path), None)
    if owner is None or user is None or owner == user or not _creates(operations, target.dialect):
        return None
    advice = (
        f"To create them as {owner}, use this URL: {shown_with_setting(target.url, 'role', owner)}"
        if owner in overview.server.may_become
        else f"Connect as {owner} to create them as that role."
    )
    return (
        f"{user} will own what it creates, and {owner} owns the version table: an application that connects as {owner} "
        f"can get 'permission denied'. {advice}"
    )


def _creates(operations: Iterable[ops.Operation], dialect: str) -> bool:
    parts = (part for operation in operations for part in parts_of(operation, dialect))
    return any(isinstance(part, (ops.CreateTable, ops.CreateType)) for part in parts)
