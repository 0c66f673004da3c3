"""What SQLite's schema tables say, read in bulk through its table-valued pragmas, and who holds the file locked.

A pragma asked table by table costs one statement each; joined against sqlite_master it is one for all. SQLite has
no sessions to ask for: the kernel's table of file locks names the processes instead. Facts are from sqlite.org:
pragma.html ("PRAGMA functions"), fileformat2.html (the lock bytes) and walformat.html (the wal-index' locks).
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from magetui.backends.base import (
    Column,
    Constraint,
    ForeignKey,
    HeldLock,
    Index,
    Leftover,
    Session,
    Table,
    TableDetail,
    VersionTable,
)

BATCH_PREFIX = "_alembic_tmp_"  # what Alembic's batch operations put before a table's name
COUNTED_BYTES = 16 * 1024 * 1024  # rows are counted in a file of less than this
COMPOUND_SELECTS = 500  # SQLITE_MAX_COMPOUND_SELECT, as it is unless compiled otherwise

SHARED_BYTES = range(0x40000002, 0x40000002 + 510)
WAL_OPEN_BYTE = 128  # held shared by whoever has the wal-index open, doing nothing or not

TABLES = """
from sqlite_master m
where m.type = 'table' and m.name not like 'sqlite\\_%' escape '\\' and (:name is null or m.name = :name)
"""
COLUMNS_SQL = f"""
select m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk, c.hidden
{TABLES.replace("where", "join pragma_table_xinfo(m.name) c where")} and c.hidden <> 1
order by m.name, c.cid
"""
INDEXES_SQL = f"""
select m.name, i.name, i."unique", i.origin, i.partial, x.name, x."desc", x.coll, s.sql
{
    TABLES.replace(
        "where",
        "join pragma_index_list(m.name) i join pragma_index_xinfo(i.name) x "
        "left join sqlite_master s on s.type = 'index' and s.name = i.name where",
    )
} and x.key
order by m.name, i.name, x.seqno
"""
FOREIGN_KEYS_SQL = f"""
select m.name, f.id, f."table", f."from", f."to", f.on_delete
{TABLES.replace("where", "join pragma_foreign_key_list(m.name) f where")}
order by m.name, f.id, f.seq
"""
