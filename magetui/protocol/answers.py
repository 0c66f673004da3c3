"""The answers of the child process, as values: reading them needs neither Alembic nor a database driver."""

from __future__ import annotations

from dataclasses import dataclass, field

from magetui.model.schema import EnumType, TableDetail


@dataclass(frozen=True, slots=True)
class Replayed:
    """The schema that the chain creates, or the reason why it is not known.

    `refused`: a sentence that says why the replay is not possible on that server; `elsewhere`: whether it is possible
    in a scratch database. `failed`: the error that a script raised; `hint`: how the scratch database may have caused
    that error. Both happened at `revision`, if a revision had started.
    """

    schema: str | None = None
    tables: tuple[TableDetail, ...] = ()
    enums: tuple[EnumType, ...] = ()
    server: str = ""
    refused: str | None = None
    elsewhere: bool = True
    failed: str | None = None
    hint: str | None = None
    revision: str | None = None
    where: str | None = None


@dataclass(frozen=True, slots=True)
class Configured:
    """One call of `context.configure` in an env.py, or one connection; options that it does not give are None.

    `naming` is the naming convention of its `target_metadata`, and `arguments` is what `run_migrations` passes to the
    scripts.
    """

    url: str | None = field(default=None, repr=False)  # with its credentials
    version_table: str | None = None
    version_table_schema: str | None = None
    arguments: tuple[tuple[str, str], ...] = ()
    naming: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Environment:
    """An env.py's answer: the databases that it works on, and the error if it could not be asked."""

    databases: tuple[Configured, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ScriptHeader:
    """The header of a script that was run to read it. `problem`: the end of a sentence that says why there is none."""

    file: str
    revision: str | None = None
    down_revisions: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    branch_labels: tuple[str, ...] = ()
    problem: str | None = None
