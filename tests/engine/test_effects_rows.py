"""The lock forecast of statements that read or change rows, against what real servers lock for them."""

from __future__ import annotations

import pytest
from psycopg2 import extensions

from magetui.engine.evidence.schema_state import SchemaState
from tests.support.databases import PostgresDatabase
from tests.support.lock_facts import (
    differences,
)
from tests.support.lock_statements import (
    ROWS,
)

pytestmark = pytest.mark.every_version


def test_change_of_rows_locks_the_tables_that_foreign_keys_have_it_look_at(
    house: PostgresDatabase, session: extensions.connection, known: SchemaState
) -> None:
    found = differences(session, known, house.server.major, ROWS, works=False)
    emptied = {
        name: said for name, said in found.items() if name.startswith("truncate") and "written anew" in str(said)
    }
    assert found == emptied  # an empty file is a new one, but nothing is written
    assert len(emptied) == 3
