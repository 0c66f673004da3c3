"""Alembic's configuration for a project's scripts, as both running and rendering need it."""

from __future__ import annotations

from alembic.config import Config

from magetui.runner.request import Scripts


def alembic_config(scripts: Scripts, url: str | None) -> Config:
    """The configuration; percent signs doubled, since ConfigParser interpolates. A `url` overrides the project's."""
    config = Config(scripts.config_file) if scripts.config_file else Config()
    if scripts.kind == "mage":
        config.set_main_option("script_location", scripts.script_location.replace("%", "%%"))
    if url is not None:
        config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config
