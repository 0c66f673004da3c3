"""Where the migration scripts are. Every project has this value, and every request to the child process contains it.

It is separate from the requests, so that a project can be found without the modules of plans and operations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Scripts:
    """The location of the migration scripts, and how the project runs them."""

    kind: Literal["mage", "alembic"]  # mage: on a connection of the program, without its env.py
    script_location: str
    version_locations: tuple[str, ...]
    version_table: str = "alembic_version"
    version_table_schema: str | None = None
    config_file: str | None = None
    toml_file: str | None = None  # a pyproject.toml whose [tool.alembic] configures the scripts
    section: str = "alembic"  # of the config_file
    prepended: tuple[str, ...] = ()  # prepend_sys_path of the toml_file, for an Alembic that cannot read it
    sys_path: tuple[str, ...] = ()
    several: bool = False  # env.py also connects to other databases, which a run skips
    arguments: tuple[tuple[str, str], ...] = ()  # that env.py passes to upgrade() and downgrade(), for this database
    kept: bool = False  # whether a version location is ours, with scripts that earlier runs kept
    naming: tuple[tuple[str, str], ...] = ()  # the naming convention of env.py's target_metadata

    @property
    def version_name(self) -> str:
        """The version table, with its schema if that is configured."""
        return ".".join(filter(None, (self.version_table_schema, self.version_table)))
