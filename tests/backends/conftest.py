"""Fixtures for the tests of the backends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.cataloged import CatalogedDatabase
from tests.support.databases import PostgresDatabase
from tests.support.postgres import PostgresServer
from tests.support.watched_statement import Watch


@pytest.fixture
def catalogued(postgres: PostgresServer, pg_url: str) -> Iterator[CatalogedDatabase]:
    with ExitStack() as stack:
        yield CatalogedDatabase(postgres, pg_url, stack)


@pytest.fixture
def watch(pg_database: PostgresDatabase) -> Iterator[Watch]:
    with ExitStack() as stack:
        yield Watch(pg_database, stack)
