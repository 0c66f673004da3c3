"""A database with the tables of `HOUSE`, and what is known of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest
from psycopg2 import extensions

from magetui.engine.evidence.schema_state import SchemaState
from tests.support.databases import PostgresDatabase
from tests.support.lock_facts import known_of
from tests.support.lock_statements import HOUSE


@pytest.fixture
def house(pg_database: PostgresDatabase) -> PostgresDatabase:
    pg_database.rows(HOUSE)
    return pg_database


@pytest.fixture
def session(house: PostgresDatabase) -> Iterator[extensions.connection]:
    with closing(house.server.connect(house.name)) as connection:
        yield connection


@pytest.fixture
def known(house: PostgresDatabase) -> SchemaState:
    return known_of(house)
