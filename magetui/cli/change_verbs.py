"""The verbs that change a database: plan, ask for consent, run, follow, and report the current revision."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from magetui.cli.output import answer, complain, complain_wrapped, print_lines, require_consent
from magetui.cli.read_verbs import show_plan
from magetui.cli.run_follower import Interrupts, followed, read_lost
from magetui.cli.slices import NOTE, run_slices, slices_of
from magetui.cli.workspaces import open_workspace
from magetui.config.settings import LIMITS, Settings
from magetui.config.targets import named_target
from magetui.engine.errors import MagetuiError, RefusedError
from magetui.engine.plan import make_plan, render_plan
from magetui.engine.prerequisites import version_table_name
from magetui.engine.preview.preview import Preview, preview_plan
from magetui.engine.runs import start
from magetui.engine.schema.snapshot import Reading, open_reading
from magetui.model.names import quoted
from magetui.model.server import Timeouts
from magetui.text import documents, formats, terminal
from magetui.text import preflight as preflights
from magetui.text import preview as previews
from magetui.text.consent import changed_since, plan_consent
from magetui.text.sql_script import sql_script

if TYPE_CHECKING:
    from magetui.engine.runs.record import RunRecord
    from magetui.engine.workspace import Workspace
    from magetui.model.plan import ChangeVerb, Plan

STATUS: Mapping[str, int] = {"done": 0, "running": 0, "refused": 4, "lock-timeout": 5, "deadlock": 5, "cancelled": 130}


def change(verb: ChangeVerb, settings: Settings, values: Mapping[str, Any]) -> int:
    """Carry out a changing verb and return the exit status."""
    if values.get("wait") is not None:
        from magetui.cli.waiting import hard_to_migrate, wait_for

        wait_for(settings, hard_to_migrate, values["wait"])  # if an obstacle is left, the verb says what it means
    return _change(verb, settings, values)


def _change(verb: ChangeVerb, settings: Settings, values: Mapping[str, Any]) -> int:
    workspace = open_workspace(settings)
    with open_reading(workspace) as reading:
        plan = _plan(reading, verb, values)
        if values.get("sql"):
            _print_sql(settings, reading, plan)
            return 0
        if plan.empty:
            if verb == "migrate":
                _preview(reading, plan)  # says if the schema contradicts the current revision
            answer(settings, lambda: documents.nothing_done_document(plan), lambda _text: [plan.summary])
            return 0
        if settings.selection.read_only:
            raise RefusedError("--read-only is set, so nothing is changed.")
        if plan.forbidden is not None:
            raise RefusedError(f"{plan.forbidden} Nothing was changed.")
        slices = values.get("commit_each") and slices_of(reading.workspace, plan)
        _announce(workspace, plan)
        if slices:
            complain_wrapped(f"  {NOTE}")
        preview = None if verb == "stamp" and values.get("yes") else _preview(reading, plan)
    files = {str(file.path) for file in settings.files}
    for name in LIMITS:  # report the limits that a file of the project sets
        limit = settings.origins[name]
        if limit.source in files:
            complain(formats.plain(f"  {name} {limit.value}, from {limit.source}"))
    named = named_target(settings.targets, settings.selection, workspace.target.redacted)
    if values.get("yes") and named is not None and named.production:
        complain(f"  this is {named.called}")
    if values.get("yes") and not settings.despite_preflight and not slices:  # each slice has its own preflight
        _require_passing(plan, preview)
    require_consent(values, plan_consent(plan, named, preview))
    if not values.get("yes"):
        preview = _require_same(workspace, verb, values, (plan, preview))
    if slices:
        return _run_slices(settings, workspace, plan, preview)
    record = _run(settings, workspace, plan, preview)
    answer(settings, lambda: documents.run_document(record), lambda text: text.run(record))
    status = STATUS.get(record.outcome, 1)
    return status if status or verb != "repair" else _compared(workspace, plan)


def _run_slices(settings: Settings, workspace: Workspace, plan: Plan, preview: Preview | None) -> int:
    """Run each step of the plan as a run of its own, and print the records. Returns the exit status of the last."""
    records: list[RunRecord] = []
    status = 1
    try:
        for record in run_slices(
            workspace,
            plan,
            preview,
            lambda *values: _run(settings, *values),
            despite_preflight=settings.despite_preflight,
        ):
            records.append(record)
        status = STATUS.get(records[-1].outcome, 1)
    except RefusedError as error:
        complain(error.message)
        status = error.status
    except KeyboardInterrupt:
        complain(f"Interrupted. {len(records)} of {len(plan.steps)} revisions are committed.")
        status = STATUS["cancelled"]
    answer(
        settings,
        lambda: {"runs": [*map(documents.run_document, records)]},
        lambda text: (line for record in records for line in text.run(record)),
    )
    return status


def _compared(workspace: Workspace, plan: Plan) -> int:
    """Compare the schema with the goal of a repair that is done. Returns 1 if it differs."""
    from magetui.engine.evidence.evidence import gather_evidence  # loads what only evidence needs

    with open_reading(workspace) as reading:
        differs = gather_evidence(reading).contradicts(plan.result)
    complain(f"The schema {'does not match' if differs else 'matches'} {plan.target_revision}.")
    return int(differs)


def _require_passing(plan: Plan, preview: Preview | None) -> None:
    """Raise `RefusedError` if the preflight says that the plan will fail: without a question, nobody would see it."""
    preflight = preview.preflight if preview is not None else None
    if preflight is None or preflight.answer != "fails":
        return
    raise RefusedError(
        f"{preflights.conclusion(preflight)} Nothing was changed. 'magetui plan {plan.verb}' says why. "
        "--despite-preflight runs it all the same."
    )


def _plan(reading: Reading, verb: ChangeVerb, values: Mapping[str, Any]) -> Plan:
    revision = values.get("r") if verb == "stamp" else values.get("revision")
    return make_plan(reading, verb, revision, values.get("replace_unknown_revision"), values.get("in_doubt"))


def _require_same(
    workspace: Workspace, verb: ChangeVerb, values: Mapping[str, Any], shown: tuple[Plan, Preview | None]
) -> Preview | None:
    """Make the plan again after the operator's answer, which may have taken hours, and return its preview.

    Raises `RefusedError` if it is another plan.
    """
    with open_reading(workspace) as reading:
        plan = _plan(reading, verb, values)
        try:
            preview = preview_plan(reading, plan)
        except MagetuiError:
            preview = None
    if (changed := changed_since(shown, (plan, preview))) is not None:
        raise RefusedError(f"{changed} Nothing was changed. Run the command again to see the new plan.")
    return preview


def _run(settings: Settings, workspace: Workspace, plan: Plan, preview: Preview | None) -> RunRecord:
    """Run the plan, follow the run, and return its record."""
    losses = () if preview is None else preview.losses.known
    lock_ms, statement_ms = int(settings.lock_timeout_seconds * 1000), int(settings.statement_timeout_seconds * 1000)
    timeouts = Timeouts(lock_ms, statement_ms)
    limits = start.Limits(
        timeouts, settings.lock_retries, settings.on_disconnect, settings.retention, settings.notified
    )
    with Interrupts(os.environ) as interrupts:
        started = start.start_run(workspace, plan, limits, losses)
        interrupts.started(started.run)
        complain(f"run {started.run} started; ctrl+c cancels it")
        if started.warning is not None:
            complain(f"magetui: {started.warning}")
        record = followed(started)
        if record.outcome == "lost":
            record = read_lost(settings, record, just_ended=True)
    return record


def _print_sql(settings: Settings, reading: Reading, plan: Plan) -> None:
    """Print nothing but SQL on stdout, unchanged unless a terminal would obey a character of it."""
    if settings.json:
        show_plan(settings, reading, plan)
        return
    workspace = reading.workspace
    primary_key = quoted(f"{workspace.project.scripts.version_table}_pkc")  # as Alembic names it
    lines = sql_script(plan, render_plan(reading, plan), version_table_name(workspace), primary_key)
    print_lines(lines, exact=not sys.stdout.isatty())


def _announce(workspace: Workspace, plan: Plan) -> None:
    complain(formats.plain(f"{plan.summary}, on {formats.place(workspace.target.redacted)}"))
    for line in formats.created_first(plan):
        complain(f"  {line}")
    for step in plan.steps:
        complain(formats.plain(f"  {step.direction} {step.revision}  {step.message}"))
    if plan.verb == "stamp":
        complain(f"  {formats.verifying(plan.target_revision)}")
    for line in terminal.repair_lines(plan):
        complain(line)


def _preview(reading: Reading, plan: Plan) -> Preview | None:
    """Print the preview, and return it for the record. Returns None if it could not be made."""
    try:
        preview = preview_plan(reading, plan)
    except MagetuiError as error:
        complain(previews.unavailable(plan, error.message))
        return None
    for line in terminal.Text(colour=False).preview(preview):
        complain(line)
    for step in preview.steps:
        for warning in step.warnings:
            complain(formats.plain(f"  {step.revision}: {warning}"))
    return preview
