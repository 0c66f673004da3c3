"""Fixtures for the command-line tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.alembic_project import AlembicProject, linear, make_project


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    """Return a project of three revisions. Its tests name the database with --url."""
    return make_project(tmp_path / "project", linear(3), "sqlite://")
