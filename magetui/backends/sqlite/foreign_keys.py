"""Foreign keys while a run rebuilds or drops tables.

With foreign keys on, DROP TABLE deletes the rows of the table first, and ON DELETE CASCADE deletes the rows that refer
to them. A batch operation drops the table that it has copied, so it would delete them too. SQLite's manual turns
foreign keys off before such a change and checks them before the commit (sqlite.org/lang_altertable.html, 7).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass

from magetui.backends.sqlite.async_driver import Driver

CHECK = "pragma foreign_key_check"


@dataclass(frozen=True)
class ForeignKeysOff:
    """Foreign keys that were on and are off for a transaction. `broken` counts the rows without a parent before it."""

    broken: Counter[tuple[str, str]] | None  # by table and parent table; None if SQLite cannot check them

    @classmethod
    def begin(cls, raw: Driver) -> ForeignKeysOff | None:
        """Turn foreign keys off, outside of a transaction, or return None if they are off already."""
        if not raw.execute("pragma foreign_keys").fetchone()[0]:
            return None
        raw.execute("pragma foreign_keys = off")
        return cls(_broken(raw))

    def check(self, raw: Driver) -> None:
        """Raise `IntegrityError` if there are more rows without a parent than before."""
        now = _broken(raw)
        if self.broken is None or now is None or now.total() <= self.broken.total():
            return
        more = now - self.broken
        (table, parent), rows = more.most_common(1)[0]
        raise sqlite3.IntegrityError(
            f"After this run, {rows} rows of {table} would refer to rows of {parent} that are gone, and foreign keys "
            f"forbid that. If they are to go too, let the script delete them before it changes {parent}"
        )


def _broken(raw: Driver) -> Counter[tuple[str, str]] | None:
    try:
        return Counter((table, parent) for table, _, parent, _ in raw.execute(CHECK).fetchall())
    except sqlite3.OperationalError:  # a foreign key that refers to no key of its parent: "foreign key mismatch"
        return None
