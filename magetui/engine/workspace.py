"""The workspace: a target and a project, opened. It is the one object that both front ends hold.

Everything in it is found when first asked for, since most verbs need only a part: `history` has no database, and
`locks` no chain. It holds no connection: each reading opens one and closes it, so that nothing of ours sits idle on
a server in trouble.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from magetui.backends import UnsupportedDialectError, backend_for
from magetui.backends.base import Backend, Failure
from magetui.engine.chain import Chain, read_chain
from magetui.engine.errors import ConnectError, MagetuiError, ProjectError
from magetui.engine.project import MAGE_VARIABLES, Project, find_project
from magetui.engine.selection import Selection
from magetui.engine.target import Target, database_file, mage_target, parse_target

APPLICATION_NAME = "magetui"
CONNECT_CAUSES = frozenset(ConnectError.advised())


class Workspace:
    """See the module. Properties raise `ProjectError` or `ConnectError` where there is nothing to find."""

    def __init__(self, selection: Selection, environment: Mapping[str, str] | None = None) -> None:
        self.selection = selection
        self.environment = os.environ if environment is None else environment

    @cached_property
    def project_path(self) -> Path:
        return Path(self.selection.project_path or ".")

    @cached_property
    def project(self) -> Project:
        chosen = self.selection
        return find_project(self.environment, self.project_path, chosen.config, chosen.mage_path, chosen.python)

    @cached_property
    def target(self) -> Target:
        if self.selection.url is not None:
            return parse_target(self.selection.url, "--url")
        try:
            project = self.project
        except ProjectError:
            # Without scripts there may still be a database to look at; without either, say what is missing.
            if not any(self.environment.get(name) for name in MAGE_VARIABLES):
                raise
            return mage_target(self.environment, self.project_path)
        if project.kind == "mage":
            return mage_target(self.environment, self.project_path)
        if project.url is None:
            raise ConnectError(
                "bad-url",
                f"{project.location} has no sqlalchemy.url, so its env.py makes the URL itself. Name that database "
                "with --url: a run is refused where env.py connects to another one.",
            )
        return parse_target(project.url, f"sqlalchemy.url in {project.location}", project.folder)

    @cached_property
    def backend(self) -> Backend:
        try:
            return backend_for(self.target.url)
        except UnsupportedDialectError as error:
            raise ConnectError("bad-url", str(error)) from error

    @cached_property
    def chain(self) -> Chain:
        return read_chain(self.project.version_locations)

    @property
    def interpreter(self) -> str:
        """The Python that runs the scripts: the one named, for a project's own; ours for Mage's chain."""
        return self.selection.python if self.project.kind == "alembic" and self.selection.python else sys.executable

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that cannot write and does not wait.

        Raises `ConnectError` where there is none to be had, and `MagetuiError` where a reading fails; both without
        credentials in their text.
        """
        target = self.target
        file = database_file(target.url)
        if file is not None and not file.parent.is_dir():
            raise ConnectError("no-database", f"There is no folder {file.parent} for the database {file.name}.")
        try:
            with self.backend.reader(target.url, APPLICATION_NAME).connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise self.explained(error) from None

    def explained(self, error: BaseException) -> MagetuiError:
        """A driver's error as a sentence of ours, redacted."""
        failure: Failure = self.backend.failure(error)
        message = self.target.clean(failure.message)
        where = f"{self.target.redacted} (from {self.target.source})"
        if failure.cause in CONNECT_CAUSES:
            return ConnectError(
                failure.cause,  # type: ignore[arg-type]  # narrowed by the test above
                f"Cannot use the database {where}: {_one_line(message)}.",
            )
        if failure.cause == "lost":
            return MagetuiError(f"The connection to {where} was lost: {_one_line(message)}.")
        if failure.cause == "lock-timeout":
            return MagetuiError(
                f"The database {where} is locked by somebody, and reading does not wait for locks: "
                f"{_one_line(message)}. 'magetui locks' shows who it is."
            )
        return MagetuiError(f"Reading the database {where} failed: {_one_line(message)}.")


def _one_line(message: str) -> str:
    return " ".join(message.split()).rstrip(".")
