"""One backend for each kind of database; `backend_for` selects the backend by the URL's dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from magetui.backends.base import Backend


class UnsupportedDialectError(ValueError):
    """No backend exists for this kind of database."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        super().__init__(
            f"magetui does not know the database kind '{dialect}'. It works with postgresql and sqlite, and "
            "experimentally with mssql."
        )


def backend_for(url: URL) -> Backend:
    """Return the backend for `url`'s dialect, and import only its modules. Raises `UnsupportedDialectError`."""
    dialect = url.get_backend_name()
    if dialect == "postgresql":
        from magetui.backends.postgresql.backend import PostgreSQL

        return PostgreSQL()
    if dialect == "sqlite":
        from magetui.backends.sqlite.backend import SQLite

        return SQLite()
    if dialect == "mssql":
        from magetui.backends.mssql.backend import SQLServer

        return SQLServer()
    raise UnsupportedDialectError(dialect)
