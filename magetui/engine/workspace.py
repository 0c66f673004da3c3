"""The workspace: a target and a project. Both front ends hold one.

Each part is found when it is first needed: `history` needs no database, and `locks` needs no chain. A workspace holds
no connection, so that none of ours idles on a server in trouble. SQLAlchemy and the modules of the child process are
imported where they are needed, since `history` needs neither.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magetui.backends import UnsupportedDialectError, backend_for
from magetui.engine.errors import ADVICE, ConnectError, MagetuiError, ProjectError, RefusedError, UntrustedError
from magetui.engine.project.interpreter import OURS, Interpreter, find_interpreter
from magetui.engine.project.project import (
    MAGE_VARIABLES,
    PLACEHOLDER,
    Project,
    find_project,
    project_target,
    with_env_options,
)
from magetui.engine.project.trust import HOW_TO_TRUST, ProjectCode, untrusted_code
from magetui.engine.revisions.graph import Chain, read_chain
from magetui.engine.target.passwords import Passwords
from magetui.engine.target.target import Target, database_file, loads_library, mage_target, parse_target
from magetui.engine.target.url_options import with_setting
from magetui.model.names import quoted
from magetui.model.sessions import READER
from magetui.protocol.redaction import password_spellings, redact, secrets_of, store_secrets

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from magetui.backends.base import Backend
    from magetui.engine.project.env_py import EnvText
    from magetui.engine.target.selection import Selection
    from magetui.model.server import Failure
    from magetui.protocol.answers import Environment
    from magetui.protocol.requests import Question, RecordRequest, ReplayRequest

SCRATCH_VARIABLE = "MAGETUI_SCRATCH_URL"
LIBPQ_ASKS = re.compile(r"Is the server running .*\?$")
NO_PASSWORD = "no password supplied"  # as libpq words it
AskTrust = Callable[[ProjectCode], bool]
NOT_TRUSTED = "the project {} is not trusted, so none of its code may run"


class Workspace:
    """A target and a project. Properties raise `ProjectError` or `ConnectError` if a part cannot be found."""

    def __init__(
        self,
        selection: Selection,
        environment: Mapping[str, str] | None = None,
        targets: set[Target] | None = None,
        passwords: Passwords | None = None,
        ask_trust: AskTrust | None = None,
    ) -> None:
        """Prepare a workspace. The caller's workspaces share `targets`, and `passwords` that commands printed.

        `ask_trust` asks the operator whether a project's code may run. Without it, code that is not trusted does not.
        """
        self.selection = selection
        self.environment = os.environ if environment is None else environment
        self._targets = targets if targets is not None else set()
        # These are no cached properties: before Python 3.12, a cached property locks all instances, and one of them may
        # be waiting for a secret store.
        self._target: Target | None = None
        self._passwords = passwords if passwords is not None else Passwords()
        self._backend: Backend | None = None
        self._ask_trust = ask_trust
        self._ran: dict[str, None] = {}  # what ran of the project, in order
        self._kept_scripts: Path | None = None

    def with_scripts(self, folder: Path) -> Workspace:
        """Return a workspace of the same target, in which the project has the scripts in `folder`, too."""
        other = Workspace(self.selection, self.environment, self._targets, self._passwords, self._ask_trust)
        other._kept_scripts = folder
        return other

    @cached_property
    def project_path(self) -> Path:
        return Path(self.selection.project_path or ".")

    @cached_property
    def located(self) -> Project:
        """The project according to its files, which is enough to read the chain. None of its code runs."""
        found = self._found
        if self._kept_scripts is None:
            return found
        locations = (*found.scripts.version_locations, str(self._kept_scripts))
        return replace(found, scripts=replace(found.scripts, version_locations=locations, kept=True))

    @cached_property
    def _found(self) -> Project:
        return find_project(self.environment, self.project_path, self.selection)

    @cached_property
    def untrusted(self) -> ProjectCode | None:
        """The project's code, if the operator does not trust it. Asks the operator, if that is possible here."""
        if self.selection.trust:
            return None
        code = untrusted_code(self._found, self.environment)
        return None if code is None or (self._ask_trust is not None and self._ask_trust(code)) else code

    def require_trust(self) -> None:
        """Raise `UntrustedError` if the project's own code would run without the operator's trust."""
        if self.untrusted is not None:
            why = NOT_TRUSTED.format(self.untrusted.folder)
            raise UntrustedError(f"{why[0].upper()}{why[1:]}. Nothing was changed. To trust it, {HOW_TO_TRUST}.")

    @property
    def ran(self) -> tuple[str, ...]:
        """What this workspace ran of the project's own code so far, for the operator."""
        return tuple(self._ran)

    @cached_property
    def project(self) -> Project:
        """The project with the version table that its env.py configures. env.py is asked if no file says it."""
        located = self.located
        if located.kind == "mage":
            return located
        try:
            url = self.target.url  # `target` uses `located`: with `project` it would not end
        except ConnectError:
            url = None
        return with_env_options(located, self.asked, url)

    @property
    def target(self) -> Target:
        if self._target is None:
            # The credentials of other databases, too: a script may print any variable of its environment.
            target = self._in_schema(self._with_password(self._found_target()))
            passwords = password_spellings(self.environment.get("PGPASSWORD", ""), target.redacted)
            self._target = replace(target, credentials=(*store_secrets(self.environment), *passwords))
            self._targets.add(self._target)
        return self._target

    def require_target(self, chosen: str) -> None:
        """Raise `RefusedError` if the target is no longer `chosen`: its environment or secret may have changed."""
        if self.target.redacted != chosen:
            raise RefusedError(
                f"This was planned for {chosen}, but now the database is {self.target.redacted} "
                f"({self.target.source}). Nothing was changed. Plan it again."
            )

    def _hide(self, password: str | None) -> None:
        """Keep a password that the driver found by itself, for example in ~/.pgpass, out of all texts."""
        target = self.target
        if password and password not in target.secrets:
            more = password_spellings(password, target.redacted)
            self._target = replace(target, credentials=(*target.credentials, *more))
            self._targets.add(self._target)

    def _found_target(self) -> Target:
        if self.selection.url is not None:
            chosen, folder = self.selection, self.selection.url_folder
            return parse_target(self.selection.url, chosen.url_source, None if folder is None else Path(folder))
        try:
            located = self.located
        except ProjectError:
            # Without scripts there may still be a database to read. Without both, the error says what is missing.
            named = self.selection.config is not None  # then no other project is meant
            if named or not any(self.environment.get(name) for name in MAGE_VARIABLES):
                raise
            return mage_target(self.environment, self.project_path)
        if located.kind == "mage":
            return mage_target(self.environment, self.project_path)
        known, named = self._url_is_known(located), self.selection.name is not None
        if not (known or named) and self.untrusted is not None:
            why = f"Only env.py can name the database, and {NOT_TRUSTED.format(self.untrusted.folder)}."
            raise ConnectError("bad-url", why, f"To trust it, {HOW_TO_TRUST}. Or give the database with --url.")
        from magetui.protocol.answers import Environment

        target = project_target(located, Environment() if known else self.asked, named=named)
        if loads_library(target.url):
            self.require_trust()
        return target

    def _url_is_known(self, located: Project) -> bool:
        """Return whether the files name the one database, so that env.py need not be asked which it is."""
        literal = located.url is not None and not located.url.startswith(PLACEHOLDER)
        return literal and not located.scripts.several and not self._env_text.makes_url

    @property
    def commits_each(self) -> bool:
        """Whether env.py has each revision in a transaction of its own, as far as its text says it."""
        return self.located.kind == "alembic" and self._env_text.commits_each

    @cached_property
    def _env_text(self) -> EnvText:
        from magetui.engine.project.env_py import read_env_text

        return read_env_text(Path(self.located.scripts.script_location) / "env.py")

    def _in_schema(self, target: Target) -> Target:
        """Return the target with the schema that the operator chose on the screen."""
        schema = self.selection.schema
        return (
            target if schema is None else replace(target, url=with_setting(target.url, "search_path", quoted(schema)))
        )

    def _with_password(self, target: Target) -> Target:
        """Return the target with the password that was typed, or that its command gives if the URL has none."""
        chosen = self.selection
        if chosen.password is not None:
            return target.with_password(chosen.password)
        if chosen.password_command is None or target.has_password:
            return target
        password = self._passwords.of(chosen.password_command, str(chosen.target), self.environment)
        return target.with_password(password)

    @cached_property
    def asked(self) -> Environment:
        """The databases that env.py works on: from its text, or from a child process if the text is unclear."""
        from magetui.engine.project.env_py import ask_env, mentions_naming
        from magetui.protocol.answers import Environment

        located, text = self.located, self._env_text
        url_known = self.selection.url is not None or self._url_is_known(located)
        named = text.has_metadata and mentions_naming(located.folder)
        if url_known and text.configured is not None and not located.scripts.several and not named:
            return Environment((text.configured,))
        if self.untrusted is not None:
            known = () if text.configured is None else (text.configured,)
            return Environment(known, NOT_TRUSTED.format(self.untrusted.folder))
        url = None if self.selection.url is None else self.target.text
        python = self.python.path
        self._ran[str(Path(located.scripts.script_location) / "env.py")] = None
        reply = ask_env(python, located.folder, located.scripts, url)
        if not reply.databases and text.configured is not None and url_known:
            return Environment((text.configured,))
        return reply

    @cached_property
    def scratch(self) -> Target | None:
        """The scratch database that was named for replays; None if none was named. Raises `ConnectError`."""
        if self.selection.scratch_url is not None:
            return parse_target(self.selection.scratch_url, self.selection.scratch_source)
        text = self.environment.get(SCRATCH_VARIABLE)
        return parse_target(text, SCRATCH_VARIABLE) if text else None

    def ask(self, request: Question, doing: str, seconds: float | None = None) -> Any:
        """Return the JSON document that the project's own code answers within `seconds`, from a child process.

        Raises `MagetuiError`, without credentials; `doing` completes its sentence "The scripts failed to …".
        """
        from magetui.engine.child import ANSWER_SECONDS, answer
        from magetui.protocol.requests import CheckRequest, RecordRequest

        self.require_trust()
        if isinstance(request, CheckRequest):
            self._ran[str(Path(self.located.scripts.script_location) / "env.py")] = None
        if isinstance(request, RecordRequest):
            self._ran[f"the functions of {len(request.files)} scripts, behind a barrier"] = None
        with self._child_errors(doing):
            return answer(self.python.path, self.project.folder, request, seconds or ANSWER_SECONDS)

    @contextmanager
    def asking_for_recordings(self) -> Iterator[Callable[[RecordRequest], Any]]:
        """Yield a function that asks like `ask`, and one child process answers all its questions."""
        from magetui.engine.child import Conversation

        self.require_trust()
        child = Conversation(self.python.path, self.project.folder, self.project.scripts)
        with closing(child), self._child_errors("say what they do"):
            yield child.ask

    def ask_while_held(self, request: ReplayRequest, doing: str, stop: Callable[[], bool]) -> Any:
        """Ask like `ask`. The child ends when this program ends, or when `stop` returns True."""
        from magetui.engine.child import answer_while_held

        self.require_trust()
        with self._child_errors(doing):
            return answer_while_held(self.python.path, self.project.folder, request, stop)

    @contextmanager
    def _child_errors(self, doing: str) -> Iterator[None]:
        from magetui.engine.child import NoAnswerError, StoppedError

        try:
            yield
        except NoAnswerError as error:
            raise MagetuiError(f"The scripts failed to {doing}: {self.clean(error.message)}") from None
        except StoppedError:
            raise MagetuiError(f"Stopped before the scripts could {doing}. Nothing was changed.") from None

    def clean(self, text: str) -> str:
        """Return the text without the credentials of the databases that were named."""
        for url in (self.selection.scratch_url, self.environment.get(SCRATCH_VARIABLE)):
            text = redact(text, secrets_of(url)) if url else text
        return self.target.clean(text)

    @property
    def backend(self) -> Backend:
        if self._backend is None:
            try:
                self._backend = backend_for(self.target.url)
            except UnsupportedDialectError as error:
                raise ConnectError("bad-url", str(error)) from error
        return self._backend

    @cached_property
    def chain(self) -> Chain:
        """The chain as its files tell it. Scripts that compute their place are run to read it, if they are trusted."""
        located = self.located
        named = map(Path, (*located.scripts.prepended, *located.scripts.sys_path))
        roots = (*named, located.folder, located.folder / "src")
        chain = read_chain(located.version_locations, roots)
        if not chain.computed:
            return chain
        # A label alone changes no order, so nobody is asked for trust because of it.
        may_run = self.untrusted is None if chain.lacks_order else self._is_trusted
        if not may_run:
            return chain
        from magetui.engine.project.computed_headers import ask_headers

        self._ran[f"{len(chain.computed)} scripts that compute their header, behind a barrier"] = None
        answered = ask_headers(self.python.path, located.folder, located.scripts, chain.computed)
        return read_chain(located.version_locations, roots, answered)

    @property
    def _is_trusted(self) -> bool:
        """Whether the project's code may run without a question to the operator."""
        return self.selection.trust or untrusted_code(self._found, self.environment) is None

    @cached_property
    def python(self) -> Interpreter:
        """The Python that runs the scripts, and why: ours for Mage's chain, else the named one or the project's."""
        if self.located.kind == "mage":
            return Interpreter(sys.executable, OURS)
        chosen = self.selection
        if self.untrusted is not None and chosen.python is None:
            return Interpreter(sys.executable, f"{OURS}; the project's own is not trusted")
        found = find_interpreter(self.environment, self.located.folder, chosen.python, chosen.python_source)
        if found.path != sys.executable:
            self._ran[found.path] = None
        return found

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Yield a connection that cannot write or wait. Raises `ConnectError` and `MagetuiError`, both redacted."""
        with self.explaining(), self.connect() as connection:
            yield connection

    def connect(self) -> Connection:
        """Open a connection that cannot write and does not wait; the caller closes it. Raises `ConnectError`."""
        target = self.target
        file = database_file(target.url)
        if file is not None and not file.parent.is_dir():
            raise ConnectError("no-database", f"There is no folder {file.parent} for the database {file.name}.")
        with self.explaining(), ExitStack() as stack:
            connection = stack.enter_context(self.backend.reader(target.url, READER).connect())
            self._hide(self.backend.password_used(connection))
            stack.pop_all()
            return connection

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """Raise `ConnectError` or `MagetuiError`, without credentials, if the block raises an error of the driver."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, OSError, ImportError) as error:
            raise self.explained(error) from None

    def explained(self, error: BaseException) -> MagetuiError:
        failure: Failure = self.backend.failure(error)
        lines = [line.strip().rstrip(".") for line in self.target.clean(failure.message).splitlines()]
        # On one line, without the question of libpq that the advice answers.
        message = ". ".join(line for line in lines if line and not LIBPQ_ASKS.match(line))
        where = f"{self.target.redacted} (from {self.target.source})"
        if failure.cause == "password":  # a password that a command gave may have been changed since
            self._passwords.forget(self.selection.password_command)
        if failure.cause in ADVICE:
            has_given_one = failure.cause == "password" and (self.selection.password or self.selection.password_command)
            return ConnectError(
                failure.cause,
                f"Cannot use the database {where}: {message}.",
                failure.advice or ("Check the user and the password." if has_given_one else None),
            )
        if failure.cause == "lost":
            return MagetuiError(f"The connection to {where} was lost: {message}.")
        if failure.cause == "lock-timeout":
            return MagetuiError(
                f"The database {where} is locked, and reading does not wait for locks: {message}. "
                "'magetui locks' shows who holds the lock."
            )
        return MagetuiError(f"Reading the database {where} failed: {message}.")
