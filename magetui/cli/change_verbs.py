"""The verbs that change a database: plan, consent, run, follow, and what the database says afterwards."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from magetui.cli.consent import consent
from magetui.cli.output import answer, complain, print_lines
from magetui.cli.read_verbs import show_plan
from magetui.cli.run_follower import Interrupts, followed, told_lost
from magetui.config import LIMITS, Settings
from magetui.config.targets import asked_for_name, named_target
from magetui.engine.errors import MagetuiError, RefusedError
from magetui.engine.plan import make_plan, render_plan
from magetui.engine.runs import follow, start
from magetui.engine.workspace import Workspace
from magetui.model.plan import ChangeVerb, Plan
from magetui.model.server import Timeouts
from magetui.text import documents, formats, terminal
from magetui.text.sql_script import sql_script

STATUS: Mapping[str, int] = {
    "done": 0,
    "failed": 1,
    "lost": 1,
    "statement-timeout": 1,
    "refused": 4,
    "lock-timeout": 5,
    "cancelled": 130,
    "running": 0,
}


def handler(name: ChangeVerb) -> Callable[[Settings, Mapping[str, Any]], int]:
    """The function of a changing verb."""

    def changed(settings: Settings, values: Mapping[str, Any]) -> int:
        workspace = Workspace(settings.selection)
        revision = values.get("r") if name == "stamp" else values.get("revision")
        plan = make_plan(workspace, name, revision, values.get("replace_unknown_revision"), values.get("in_doubt"))
        if values.get("sql"):
            _print_sql(settings, workspace, plan)
            return 0
        if plan.empty:
            answer(
                settings,
                lambda: documents.nothing_done_document(plan),
                lambda _text: [plan.summary],
            )
            return 0
        if settings.selection.read_only:
            raise RefusedError("--read-only is set, so nothing is changed.")
        if plan.forbidden is not None:
            raise RefusedError(f"{plan.forbidden} Nothing was changed.")
        _announce(workspace, plan)
        doubted = False if values.get("yes") else _foretell(workspace, plan)
        for line in said_by_files(settings):
            complain(line)
        named = named_target(settings.targets, settings.selection, workspace.target.redacted)
        asks_name, why = asked_for_name(plan.destroys, named, doubted=doubted)
        if named is not None and named.production:
            complain(f"  this is {named.called}")
        consent(values, f"{plan.summary}. Go on?", plan.database if asks_name else None, why)
        limits = start.Limits(
            Timeouts(
                lock_ms=int(settings.lock_timeout_seconds * 1000),
                statement_ms=int(settings.statement_timeout_seconds * 1000),
            ),
            lock_retries=settings.lock_retries,
            on_disconnect=settings.on_disconnect,
        )
        with Interrupts(lambda run: follow.cancel_run(os.environ, run)) as interrupts:
            started = start.start_run(workspace, plan, limits)
            interrupts.began(started.run)
            complain(f"run {started.run} began; ctrl+c cancels it")
            record = followed(follow.follow_run(os.environ, started))
            if record.outcome == "lost":
                record = told_lost(settings, record, just_ended=True)
            answer(settings, lambda: documents.run_document(record), lambda text: text.run(record))
        return STATUS[record.outcome]

    return changed


def _print_sql(settings: Settings, workspace: Workspace, plan: Plan) -> None:
    """Nothing but SQL on stdout, exactly as it is unless a terminal would obey it."""
    if settings.json:
        show_plan(settings, workspace, plan)
        return
    scripts = workspace.project.scripts
    table = ".".join(part for part in (scripts.version_table_schema, scripts.version_table) if part)
    lines = sql_script(plan, render_plan(workspace, plan), table)
    print_lines(map(formats.plain, lines) if sys.stdout.isatty() else lines)


def said_by_files(settings: Settings) -> list[str]:
    """The limits that a file sets for this run: a file that came with the project sets none unsaid."""
    of_files = {name: settings.origins[name] for name in LIMITS if name in settings.origins}
    return [
        formats.plain(f"  {name} {said.value}, from {said.source}")
        for name, said in of_files.items()
        if said.source in {str(file.path) for file in settings.files}
    ]


def _announce(workspace: Workspace, plan: Plan) -> None:
    complain(formats.plain(f"{plan.summary}, on {workspace.target.redacted}"))
    if plan.creates_schema is not None:
        complain(f"  {formats.creating(plan.creates_schema)}")
    for step in plan.steps:
        complain(formats.plain(f"  {step.direction} {step.revision}  {step.message}"))
    if plan.verb == "stamp":
        complain(f"  {formats.verifying(plan.target)}")
    for line in terminal.works(plan):
        complain(line)


def _foretell(workspace: Workspace, plan: Plan) -> bool:
    """For whoever is asked for consent: whom it locks out, what is lost, and what else is to be known.

    Whether the schema speaks against what a stamp would say of it.
    """
    from magetui.engine.preview.preview import preview_plan
    from magetui.text.terminal import Text

    try:
        preview = preview_plan(workspace, plan)
    except MagetuiError as error:
        what = "Whether the schema fits is" if plan.verb == "stamp" else "What it locks and loses is"
        complain(f"{what} not known. {error.message}")
        return False
    for line in Text(colour=False).preview(preview):
        complain(line)
    for step in preview.steps:
        for warning in step.warnings:
            complain(formats.plain(f"  {step.revision}: {warning}"))
    return plan.verb == "stamp" and preview.doubt is not None
