"""The plain command line: parse, ask the engine, print; answers to stdout, progress and complaints to stderr.

Exit statuses: 0 done or healthy; 1 failed; 2 wrong usage; 3 `diagnose` found something to act on; 4 refused or not
confirmed; 5 a lock timeout; 130 cancelled.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from magetui import __version__
from magetui.verbs import COMMON, VERBS, Parameter, Verb, verb

if TYPE_CHECKING:
    from magetui.config import Settings
    from magetui.engine.plan import Plan
    from magetui.engine.runs import RunRecord
    from magetui.engine.workspace import Workspace

CANCELLED = 130
STATUS: Mapping[str, int] = {
    "done": 0,
    "failed": 1,
    "lost": 1,
    "statement-timeout": 1,
    "refused": 4,
    "lock-timeout": 5,
    "cancelled": CANCELLED,
    "running": 0,
}


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line; returns the exit status."""
    values = vars(_parser().parse_args(arguments))
    name = values.pop("verb_name", None)
    from magetui.config import settings_of

    settings = settings_of(values, os.environ, terminal=sys.stdout.isatty())
    if name is None:
        return open_screen(settings)
    from magetui.engine.errors import MagetuiError

    try:
        return HANDLERS[name](settings, values)
    except MagetuiError as error:
        if settings.json:
            _print([json.dumps({"error": error.message, "status": error.status})])
        _complain(f"magetui: {error.message}")
        return error.status
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - the reader went away; nothing more is to be said
        return 1
    except KeyboardInterrupt:
        _complain("magetui: interrupted; nothing was changed.")
        return CANCELLED


def open_screen(settings: Settings) -> int:
    """The full-screen program, where there is a terminal for it."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        _complain(
            "magetui: the full-screen program needs a terminal. Without one, use the verbs: "
            "magetui diagnose, magetui --help."
        )
        return 2
    from magetui.tui.app import open_app

    return open_app(settings)


# -- verbs that read


def _diagnose(settings: Settings, _values: Mapping[str, Any]) -> int:
    from magetui.documents import diagnosis_document
    from magetui.engine.diagnosis import diagnose

    diagnosis = diagnose(_workspace(settings))
    _answer(settings, lambda: diagnosis_document(diagnosis), lambda text: text.diagnosis(diagnosis))
    return 0 if diagnosis.healthy else 3


def _history(settings: Settings, _values: Mapping[str, Any]) -> int:
    from magetui.documents import history_document

    chain = _workspace(settings).chain
    _answer(settings, lambda: history_document(chain), lambda text: text.history(chain))
    return 1 if chain.broken else 0


def _schema(settings: Settings, values: Mapping[str, Any]) -> int:
    from magetui import documents
    from magetui.engine.schema import describe_table, list_tables

    workspace, schema = _workspace(settings), values.get("schema")
    if values.get("table"):
        details = describe_table(workspace, values["table"], schema)
        _answer(settings, lambda: documents.details_document(details), lambda text: text.details(details))
    else:
        tables = list_tables(workspace, schema)
        _answer(settings, lambda: documents.tables_document(tables), lambda text: text.tables(tables))
    return 0


def _locks(settings: Settings, values: Mapping[str, Any]) -> int:
    from magetui import words
    from magetui.documents import sessions_document
    from magetui.engine import locks
    from magetui.engine.errors import RefusedError

    workspace = _workspace(settings)
    sessions = locks.list_sessions(workspace)
    pid = values.get("terminate") or values.get("cancel")
    if pid is None:
        _answer(settings, lambda: sessions_document(sessions), lambda text: text.sessions(sessions))
        return 0
    session = next((s for s in sessions if s.pid == pid), None)
    if session is None:
        raise RefusedError(f"There is no session {pid} in this database.")
    ending = bool(values.get("terminate"))
    _complain(words.session_line(session))
    if session.query:
        _complain(f"  {words.one_line(session.query, 100)}")
    loss = (
        "End this session? What it has not committed is rolled back."
        if ending
        else "Cancel what this session runs?"
    )
    _consent(values, loss)
    (locks.end_session if ending else locks.end_query)(workspace, pid)
    _complain(f"Session {pid} was {'ended' if ending else 'asked to cancel its query'}.")
    return 0


def _plan(settings: Settings, values: Mapping[str, Any]) -> int:
    from magetui.engine.plan import make_plan

    name = values["verb"]
    revision = values.get("r") if name == "stamp" else values.get("revision") or values.get("r")
    workspace = _workspace(settings)
    plan = make_plan(workspace, name, revision, values.get("replace_unknown_revision"))
    _show_plan(settings, workspace, plan)
    return 0


def _runs(settings: Settings, values: Mapping[str, Any]) -> int:
    from magetui import documents
    from magetui.engine import runs
    from magetui.engine.errors import UsageError

    number = values.get("id")
    if values.get("cancel") and number is None:
        raise UsageError("'runs --cancel' wants the run's number.")
    if number is None:
        records = runs.list_runs(os.environ)
        _answer(settings, lambda: documents.runs_document(records), lambda text: text.runs(records))
        return 0
    if values.get("cancel") and runs.cancel(os.environ, number):
        _complain(f"Run {number} was asked to stop.")
    record = runs.read_run(os.environ, number)
    if record.alive:
        try:
            record = _followed(runs.follow(os.environ, number))
        except KeyboardInterrupt:
            _complain(f"no longer following; run {number} goes on")
            return CANCELLED
    if record.outcome == "lost":
        record = _told_lost(settings, record)
    _answer(settings, lambda: documents.run_document(record), lambda text: text.run(record))
    return 0


def _told_lost(settings: Settings, record: RunRecord) -> RunRecord:
    """What the database says now, where it can be asked; the record as it is where not."""
    from magetui.engine.errors import MagetuiError
    from magetui.engine.runs import tell_lost

    try:
        return tell_lost(_workspace(settings), record)
    except MagetuiError as error:
        _complain(f"magetui: what the database says now could not be read: {error.message}")
        return record


def _demo(settings: Settings, values: Mapping[str, Any]) -> int:
    from magetui.tui.demo import open_demo

    return open_demo(settings, values.get("scenario") or "behind")


# -- verbs that change


def _change(name: str) -> Callable[[Settings, Mapping[str, Any]], int]:
    def changed(settings: Settings, values: Mapping[str, Any]) -> int:
        from magetui.backends.base import Timeouts
        from magetui.documents import run_document
        from magetui.engine import runs
        from magetui.engine.errors import RefusedError
        from magetui.engine.plan import make_plan

        workspace = _workspace(settings)
        revision = values.get("r") if name == "stamp" else values.get("revision")
        plan = make_plan(workspace, verb_of(name), revision, values.get("replace_unknown_revision"))  # type: ignore[arg-type]
        if values.get("sql"):
            _show_plan(settings, workspace, plan)
            return 0
        if plan.empty:
            _answer(
                settings,
                lambda: {
                    "run": None,
                    "outcome": "done",
                    "marker_before": list(plan.marker),
                    "marker_after": list(plan.marker),
                    "steps": [],
                    "blockers": [],
                    "error": None,
                    "elapsed_ms": 0,
                },
                lambda _text: [plan.summary],
            )
            return 0
        if settings.selection.read_only:
            raise RefusedError("--read-only is set, so nothing is changed.")
        _announce(workspace, plan)
        _consent(values, f"{plan.summary}. Go on?", plan.database if plan.destroys else None)
        timeouts = Timeouts(
            lock_ms=int(values.get("lock_timeout_seconds", 10.0) * 1000),
            statement_ms=int(values.get("statement_timeout_seconds", 0.0) * 1000),
        )
        with Interrupts(lambda run: runs.cancel(os.environ, run)) as interrupts:
            started = runs.start(workspace, plan, timeouts)
            interrupts.began(started.run)
            _complain(f"run {started.run} began; ctrl+c cancels it")
            record = _followed(runs.follow(os.environ, started))
            if record.outcome == "lost":
                record = _told_lost(settings, record)
            _answer(settings, lambda: run_document(record), lambda text: text.run(record))
        return STATUS[record.outcome]

    return changed


def verb_of(name: str) -> str:
    """The registry's name of a verb: a typing aid for what argparse gave."""
    return verb(name).name


def _announce(workspace: Workspace, plan: Plan) -> None:
    from magetui import words

    _complain(words.plain(f"{plan.summary}, on {workspace.target.redacted}"))
    for step in plan.steps:
        _complain(words.plain(f"  {step.direction} {step.revision}  {step.message}"))


def _show_plan(settings: Settings, workspace: Workspace, plan: Plan) -> None:
    from magetui.documents import plan_document
    from magetui.engine.plan import render_plan

    steps = render_plan(workspace, plan) if plan.steps else ()
    _answer(settings, lambda: plan_document(plan, steps), lambda text: text.plan(plan, steps))


def _consent(values: Mapping[str, Any], question: str, name: str | None = None) -> None:
    """Ask on the terminal; what destroys data wants `name` typed. Raises `RefusedError` for anything but a yes."""
    from magetui.engine.errors import RefusedError

    if values.get("yes"):
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError(
            "There is no terminal to ask for consent on. Nothing was changed. Say --yes to go on."
        )
    wanted = "y or N" if name is None else f"this may destroy data; type the database's name, {name}"
    sys.stderr.write(f"{question} [{wanted}] ")
    sys.stderr.flush()
    answer = sys.stdin.readline().strip()
    if answer.lower() in ("y", "yes") if name is None else answer == name:
        return
    raise RefusedError("Not confirmed. Nothing was changed.")


class Interrupts:
    """ctrl+c while a run goes on: asks the run to stop, whenever it comes, and never tears off what we say of it.

    A `KeyboardInterrupt` could come between the run's start and the following of it, and leave it unmentioned.
    """

    def __init__(self, cancel: Callable[[int], bool]) -> None:
        self._cancel = cancel
        self._run: int | None = None
        self._wanted = False
        self._before = signal.getsignal(signal.SIGINT)

    def __enter__(self) -> Interrupts:
        if self._before is not signal.SIG_IGN:  # a shell's background job is not meant by ctrl+c
            signal.signal(signal.SIGINT, lambda _number, _frame: self._received())
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def began(self, run: int) -> None:
        """The run has a number now; what was asked for before that is done."""
        self._run = run
        if self._wanted:
            self._ask(run)

    def _received(self) -> None:
        self._wanted = True
        if self._run is not None:
            self._ask(self._run)

    def _ask(self, run: int) -> None:
        if self._cancel(run):
            os.write(2, "cancelling …\n".encode())  # sys.stderr may be in the middle of a write itself


def _followed(records: Iterable[RunRecord]) -> RunRecord:
    """The run's last record; what happens meanwhile goes to stderr."""
    told = Told()
    record: RunRecord | None = None
    for record in records:
        told.tell(record)
    if record is None:
        raise AssertionError("a run's journal always yields its last record")
    return record


class Told:
    """What of a run has been said already, so that each thing is said once."""

    def __init__(self) -> None:
        self._steps: set[tuple[str, str]] = set()
        self._output = 0
        self._wait: object = None

    def tell(self, record: RunRecord) -> None:
        from magetui import words

        for number, step in enumerate(record.steps, start=1):
            if step.state in ("running", "done") and (step.revision, step.state) not in self._steps:
                self._steps.add((step.revision, step.state))
                took = f" {words.duration(step.elapsed_ms)}" if step.state == "done" else " …"
                _complain(
                    words.plain(
                        f"step {number} of {len(record.steps)}  {step.revision}  {step.message}{took}"
                    )
                )
        for line in record.output[self._output :]:
            _complain(words.plain(f"  | {line}"))
        self._output = len(record.output)
        wait = record.wait
        if wait is not None and wait != self._wait:
            mode = words.mode(wait.waits_for.mode) if wait.waits_for else ""
            what = words.plain(wait.waits_for.relation or "a lock") if wait.waits_for else "a lock"
            limit = f", up to {words.duration(wait.timeout_ms)}" if wait.timeout_ms else ""
            _complain(f"WAITING for {f'{mode} on ' if mode else ''}{what}{limit}")
            if wait.note:
                _complain(f"  {words.plain(wait.note)}")
            for session in wait.blockers:
                _complain(f"  in the way: {words.session_line(session)}")
                if session.query:
                    _complain(f"              {words.one_line(session.query, 90)}")
            for session in wait.waiting_behind:
                _complain(f"  waiting behind us: {words.session_line(session)}")
        self._wait = wait


# -- parsing and printing


def _workspace(settings: Settings) -> Workspace:
    from magetui.engine.workspace import Workspace

    return Workspace(settings.selection)


def _answer(
    settings: Settings, document: Callable[[], Mapping[str, Any]], lines: Callable[[Any], Iterable[str]]
) -> None:
    if settings.json:
        _print([json.dumps(document(), ensure_ascii=False, indent=1, default=str)])
    else:
        from magetui.render import Text

        _print(lines(Text(colour=settings.colour)))


def _print(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


def _complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


UNRECOGNIZED = "unrecognized arguments: "  # argparse's words


class Parser(argparse.ArgumentParser):
    """argparse, whose complaints must not repeat an argument: it may hold a credential."""

    def error(self, message: str) -> NoReturn:
        from magetui.runner.redaction import redact

        if message.startswith(UNRECOGNIZED):
            words = message.removeprefix(UNRECOGNIZED).split()
            flags = [word.partition("=")[0] for word in words if word.startswith("-")]
            message = f"{UNRECOGNIZED}{' '.join(flags) or 'more than the verb takes'}"
        if "://" in message:
            message = f"{message.partition('://')[0]}://…"
        self.print_usage(sys.stderr)
        self.exit(2, f"magetui: {redact(message, ())}. 'magetui --help' lists the verbs and flags.\n")


def _parser() -> argparse.ArgumentParser:
    common = Parser(add_help=False)
    for parameter in COMMON:
        _add(common, parameter, argparse.SUPPRESS)
    parser = Parser(
        prog="magetui",
        parents=[common],
        description="Recover a database whose Alembic migrations have gone wrong. Without a verb: the full-screen program.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"magetui {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", dest="verb_name", parser_class=Parser)
    for one in VERBS:
        _add_verb(verbs, one, common)
    return parser


def _add_verb(verbs: Any, one: Verb, common: argparse.ArgumentParser) -> None:
    parser = verbs.add_parser(
        one.name,
        parents=[common],
        help=one.summary,
        description=f"{one.summary} ({one.danger}).",
        allow_abbrev=False,
    )
    for parameter in one.parameters:
        _add(parser, parameter, parameter.default)


def _add(parser: argparse.ArgumentParser, parameter: Parameter, default: Any) -> None:
    if parameter.metavar is None:
        parser.add_argument(
            parameter.name,
            help=parameter.help,
            action="store_true",
            default=default if default == argparse.SUPPRESS else False,
        )
        return
    options: dict[str, Any] = {"help": parameter.help, "type": parameter.kind, "default": default}
    if parameter.choices:
        options["choices"] = parameter.choices
    if parameter.positional:
        options |= {"metavar": parameter.metavar, "nargs": None if parameter.required else "?"}
        parser.add_argument(parameter.key, **options)
    else:
        parser.add_argument(parameter.name, metavar=parameter.metavar, **options)


HANDLERS: Mapping[str, Callable[[Any, Mapping[str, Any]], int]] = {
    "diagnose": _diagnose,
    "history": _history,
    "schema": _schema,
    "locks": _locks,
    "plan": _plan,
    "migrate": _change("migrate"),
    "rollback": _change("rollback"),
    "stamp": _change("stamp"),
    "runs": _runs,
    "demo": _demo,
}
