"""What bad input is tried on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, linear, make_project


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    """Three revisions, for databases that are named by --url."""
    return make_project(tmp_path / "project", linear(3), "sqlite://")
