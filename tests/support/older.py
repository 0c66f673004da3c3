"""An environment with the oldest supported releases: Alembic 1.13 and SQLAlchemy 2.0."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.environments import environment

PACKAGES = ("alembic==1.13.*", "sqlalchemy[asyncio]==2.0.*", "psycopg2-binary>=2.9.9,<3", "asyncpg")


def older_environment() -> Path:
    """Return the environment. Makes it if it is missing."""
    return environment("older/{}.{}".format(*sys.version_info), PACKAGES)
