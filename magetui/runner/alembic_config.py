"""Alembic's configuration for a project's scripts, for a run, a render and a probe."""

from __future__ import annotations

import importlib.util
import inspect
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import MetaData
from sqlalchemy.dialects import registry

from magetui.protocol.redaction import redact_url
from magetui.protocol.scripts import Scripts


def alembic_config(scripts: Scripts, url: str | None) -> Config:
    """Return the configuration, with `url` if it is set. ConfigParser interpolates, so percent signs are doubled."""
    if scripts.toml_file and "toml_file" in inspect.signature(Config).parameters:
        config = Config(scripts.config_file, toml_file=scripts.toml_file, ini_section=scripts.section)
    else:
        config = Config(scripts.config_file, ini_section=scripts.section)
        if scripts.kind == "mage" or scripts.toml_file:
            config.set_main_option("script_location", scripts.script_location.replace("%", "%%"))
        if scripts.toml_file:  # an Alembic before 1.16, which cannot read that file
            config.set_main_option("version_path_separator", "os")
            config.set_main_option("version_locations", os.pathsep.join(scripts.version_locations).replace("%", "%%"))
            sys.path[:0] = scripts.prepended
    if scripts.kept:
        for option in ("path_separator", "version_path_separator"):  # from Alembic 1.16 on, and before
            config.set_main_option(option, "os")
        config.set_main_option("version_locations", os.pathsep.join(scripts.version_locations).replace("%", "%%"))
    if url is not None:
        config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def config_without_credentials(scripts: Scripts) -> Config:
    """Return the configuration for scripts that are only read: its URL has no password."""
    config = alembic_config(scripts, None)
    url = config.get_main_option("sqlalchemy.url")
    if url is not None:
        config.set_main_option("sqlalchemy.url", redact_url(url).replace("%", "%%"))
    return config


def script_files(scripts: Scripts) -> list[Path]:
    """Return the files that may be migration scripts."""
    return [file for folder in scripts.version_locations for file in Path(folder).glob("*.py")]


def naming_options(scripts: Scripts) -> dict[str, Any]:
    """Return the options that make a `MigrationContext` name constraints as the project's own env.py does."""
    return {"target_metadata": MetaData(naming_convention=dict(scripts.naming))} if scripts.naming else {}


def offline_context(dialect: str, buffer: io.StringIO, naming: Mapping[str, Any]) -> MigrationContext:
    """Return a context that writes operations to `buffer` as SQL with literal values, without a database."""
    return MigrationContext.configure(
        dialect_name=dialect,
        # With the default, '%s', each % in the SQL is doubled for the driver, which no driver undoes here.
        dialect_opts={"paramstyle": "named"},
        opts={"as_sql": True, "output_buffer": buffer, "literal_binds": True, **naming},
    )


def prefer_installed_driver() -> None:
    """Let a plain `postgresql://` mean psycopg2 if psycopg 3 is missing: SQLAlchemy 2.1 changed the default."""
    if importlib.util.find_spec("psycopg") is None and importlib.util.find_spec("psycopg2") is not None:
        registry.register("postgresql", "sqlalchemy.dialects.postgresql.psycopg2", "dialect")
