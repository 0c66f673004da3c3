"""The connection that scripts get while they are recorded: it records statements that write, and answers no query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import inspection
from sqlalchemy.engine import reflection

READS = ("SELECT", "WITH", "SHOW", "PRAGMA", "EXPLAIN", "VALUES")


class LiveDataRead(BaseException):
    """A script read the database. It is a `BaseException`, so that a script's `except Exception` does not catch it."""


class SchemaNeeded(LiveDataRead):
    """A script inspects the schema, and was given no sketch of it for this moment."""

    def __init__(self) -> None:
        super().__init__("it inspects the live schema")


class _Answer:
    """The result of a query. A script depends on it only if it looks at it: not of `SELECT setval(…)`, for example."""

    def __init__(self, query: str) -> None:
        self._query = query

    def __getattr__(self, name: str) -> Any:
        raise LiveDataRead(self._query)

    def _look(self, *_: Any) -> Any:
        raise LiveDataRead(self._query)

    __iter__ = __next__ = __bool__ = __len__ = __getitem__ = __contains__ = __enter__ = _look


class SilentConnection:
    """The result of `op.get_bind()`: it records the statements that write, and refuses those that read."""

    def __init__(self, dialect: Any, executed: Callable[[str], None], type_made: Callable[..., None]) -> None:
        self.dialect = dialect
        self.name = dialect.name  # an engine has this attribute too
        self.engine = self
        self._executed = executed
        self._type_made = type_made

    def execute(self, statement: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(statement, str):
            statement = spelled_sql(statement, self.dialect)
        if statement.lstrip(" (\n").upper().startswith(READS):
            return _Answer(" ".join(statement.split())[:200])
        self._executed(statement)
        return self

    exec_driver_sql = execute

    def scalar(self, statement: Any, *_: Any, **__: Any) -> Any:
        answer = self.execute(statement)
        return answer.first() if isinstance(answer, _Answer) else answer

    scalars = scalar

    def connect(self) -> SilentConnection:
        """Return the connection itself, which stands for an engine too."""
        return self

    def __getattr__(self, name: str) -> Any:
        raise LiveDataRead(f"its connection's '{name}'")

    def _run_ddl_visitor(self, visitor: Any, element: Any, checkfirst: Any = False, **_: Any) -> None:
        """Record a type that a script creates or drops by itself: `enum.create(op.get_bind())`."""
        if isinstance(element, sa.Enum):
            self._type_made(element, drop="Drop" in visitor.__name__, if_missing=bool(checkfirst))
        else:
            raise LiveDataRead(f"{visitor.__name__} of {element}")


@inspection._inspects(SilentConnection)
def _inspected(connection: SilentConnection) -> Any:
    """Return SQLAlchemy's own inspector. It asks the dialect, whose answers come from `SchemaAnswers`."""
    kind: Any = getattr(connection.dialect, "inspector", reflection.Inspector)
    return kind._construct(kind._init_connection, connection)


def spelled_sql(clause: Any, dialect: sa.Dialect) -> str:
    """Return SQL with literal values, or with parameters if a value has a type without a literal form."""
    try:
        return str(clause.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    except sa.exc.CompileError:
        return str(clause.compile(dialect=dialect))
