"""The lines of the run screen, made from the record of a run and the present moment.

The screen draws only the parts that changed, so each part is a function of its own and changes as rarely as possible.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content

from magetui.model.sessions import Session, StatementProgress
from magetui.text import formats, run_conclusion, run_events, wait_queue
from magetui.tui.theme import BAR, CRITICAL, GOOD, QUIET, STRONG, WARNING
from magetui.tui.widgets.bars import bar_of, gauge
from magetui.tui.widgets.hanging import hanging
from magetui.tui.widgets.rows import fitted
from magetui.tui.widgets.session_columns import session_table
from magetui.tui.widgets.sql_text import highlighted

if TYPE_CHECKING:
    from magetui.engine.runs.follow import EarlierStep
    from magetui.engine.runs.record import Outcome, RunRecord, StepRecord, Wait
    from magetui.text.run_events import Notice

BAR_WIDTH = 20
TIME_BAR, WIDE_ENOUGH = 14, 76  # columns of a step's bar, and of a screen that has room for it
MARKS = {"pending": "○", "running": "▶", "done": "●", "stopped": "✗", "undone": "○"}
OUTPUT_LINES = 12
AGAIN, SCHEMA = ("p", "plan again"), ("e", "compare the schema")
NEXT: Mapping[Outcome, tuple[tuple[str, str], ...]] = {
    "failed": (SCHEMA, AGAIN),
    "cancelled": (AGAIN, SCHEMA),
    "lock-timeout": (("l", "see the blockers, which have to end, then"), AGAIN),
    "deadlock": (("l", "see the sessions, then"), AGAIN),
    "statement-timeout": (("l", "see the sessions, then"), AGAIN),
    "refused": (("p", "plan again, from the present state"),),
    "lost": (SCHEMA, AGAIN),
}
NO_SESSION = -1  # stands for the number of our session if the server has no sessions


def title_line(record: RunRecord, moment: datetime) -> Content:
    """Return the number of the run, its target, its progress, its duration and its database."""
    elapsed = since_ms(record.started, moment) if record.alive else record.elapsed_ms
    done = sum(step.state == "done" for step in record.steps)
    clock = formats.duration(elapsed // 1000 * 1000 if record.alive and elapsed else elapsed)
    count = len(record.steps)
    steps = f"step {min(done + 1, count)} of {count}" if record.alive else f"{done} of {count} done"
    progress = f"   {steps} ·" if count else "  "
    return Content.assemble(
        (f" Run {record.run}", STRONG),
        f" · {run_conclusion.aim(record)}",
        (f"{progress} {clock}   {formats.plain(formats.place(record.database))}", QUIET),
    )


def end_lines(record: RunRecord, *, here: bool, width: int, advise: Callable[[str], str]) -> list[Content]:
    """Return how the run ended, completely, and what to do. `here`: the keys act on the database of the run."""
    if record.alive:
        return []
    style = GOOD if record.outcome == "done" else CRITICAL
    return [
        Content.styled(formats.outcome(record.outcome).upper(), style),
        *hanging("", advise(run_conclusion.details(record)), width),
        *next_lines(record, here=here),
        Content.styled("w writes the report of this run to a file; y copies the report", QUIET),
    ]


def head_lines(record: RunRecord, moment: datetime, *, asked: bool, width: int) -> list[Content]:
    """Return the lines that are always in view while the run lives: what the run waits for now.

    `asked` means that the run is being cancelled from here.
    """
    if not record.alive:
        return []
    lines: list[Content] = []
    if asked or record.cancel_requested:
        lines.append(notice_line(run_events.cancelling(record)))
    if record.silent_since is not None:
        lines.append(notice_line(run_events.silent(local_clock(record.silent_since))))
    if record.broke is not None:
        lines.append(notice_line(run_events.broke(local_clock(record.broke)), CRITICAL))
    lines += attempt_lines(record, moment, width)
    if record.wait is not None:
        lines.append(notice_line(run_events.waiting(record.wait)))
        if record.wait_note:
            lines += hanging("", record.wait_note, width)
    return lines


def notice_line(notice: Notice, style: str = WARNING) -> Content:
    return Content.assemble((notice[0], style), f"  {notice[1]}")


def next_steps(record: RunRecord) -> tuple[tuple[str, str], ...]:
    """Return what to do after a run that did not end as planned: (key of the run screen, purpose)."""
    if record.verb in run_conclusion.WITHOUT_VERSION_ROW:
        return ()
    if record.session_left:
        return (("l", "see its session, which keeps its locks"), SCHEMA)
    changed = record.outcome in ("cancelled", "statement-timeout") and not record.unchanged
    return NEXT.get("failed" if changed else record.outcome, ())


def next_lines(record: RunRecord, *, here: bool) -> list[Content]:
    """Return the next keys on one line, or how to reach the database of the run if it is another database."""
    steps = next_steps(record)
    if not steps:
        is_done = record.outcome == "done" and record.verb not in run_conclusion.WITHOUT_VERSION_ROW
        return [Content.styled("next  esc closes; the main screen says what is next", QUIET)] if is_done else []
    if not here:
        return [Content.styled("next  esc closes; to act on the database of this run, connect to it", QUIET)]
    parts: list[str | tuple[str, str]] = []
    for key, purpose in steps:
        parts += [("   " if parts else "next  ", QUIET), (key, STRONG), f"  {purpose}"]
    return [Content.assemble(*parts)]


def leaving_line(record: RunRecord, key: str) -> Content:
    """Return the line that leaving the screen stops nothing. `key` shows the run again."""
    if not record.alive:
        return Content("")
    return Content.styled(f"The run continues if you close this screen; {key} shows it again.", QUIET)


def attempt_lines(record: RunRecord, moment: datetime, width: int) -> list[Content]:
    """Return which attempt runs after a failed attempt, or when the next attempt starts."""
    if not record.attempts or record.attempts[-1].retry_in_ms is None:
        return []
    last = record.attempts[-1]
    left = (last.retry_in_ms or 0) - (since_ms(last.at, moment) or 0)
    now = f"attempt {last.number + 1} of {last.of}"
    if left <= 0 or record.wait is not None or record.statement is not None:
        return [Content.styled(now, STRONG), *hanging("  ", formats.one_line(last.error), width, QUIET)]
    starts = f"{now} starts in {left / 1000:.1f} s"
    return [Content.styled(starts, WARNING), *hanging("  ", formats.one_line(last.error), width, QUIET)]


def bar_lines(wait: Wait | None, moment: datetime) -> list[Content]:
    """Return the time waited and its limit. This line changes all the time."""
    if wait is None:
        return []
    waited = since_ms(wait.since, moment) or 0
    if not wait.timeout_ms:
        return [Content(f"{formats.duration(waited // 1000 * 1000)}, no lock timeout")]
    bar = gauge(waited, wait.timeout_ms, BAR_WIDTH)
    return [Content(f"{bar}  {min(waited, wait.timeout_ms) / 1000:.1f} of {wait.timeout_ms / 1000:g} s")]


def statement_lines(record: RunRecord, moment: datetime) -> list[Content]:
    if record.statement is None or record.outcome == "done":
        return []
    took = record.statement.elapsed_ms
    if took is None and record.alive:
        took = (since_ms(record.statement.started, moment) or 0) // 1000 * 1000
    clock = f"{formats.duration(took)}   " if took else ""
    return [Content.assemble((f"statement  {clock}", QUIET), highlighted(formats.one_line(record.statement.sql, 600)))]


def progress_lines(progress: StatementProgress | None) -> list[Content]:
    """Return the progress of the statement, with a bar if the total is known."""
    if progress is None:
        return []
    bar = gauge(progress.done, progress.total, BAR_WIDTH) if progress.total else ""
    parts = (formats.doing(progress), bar, formats.share(progress), formats.counted(progress), formats.phase(progress))
    return [Content("  ".join(part for part in parts if part))]


def tree_lines(record: RunRecord) -> list[Content]:
    """Return what the tree of sessions does not show: who is served before this run, and how many are not listed."""
    wait = record.wait
    if wait is None:
        return []
    if not wait.blockers and not wait.waiting_behind:
        return [] if record.wait_note else [Content.styled("the blockers are not visible", QUIET)]
    first = wait_queue.ahead_of_run(wait)
    more = (
        f"{formats.number(wait.more_behind, 'more session')} behind this run: l shows all" if wait.more_behind else ""
    )
    return [
        *([] if first is None else [Content.styled(f"! {first}", WARNING)]),
        *([Content.styled(more, QUIET)] if more else []),
    ]


def sessions_in(record: RunRecord, wait: Wait, later_ms: int) -> list[Session]:
    """Return all sessions of a wait, `later_ms` after the journal recorded them, and our own: the bar has its time."""
    others = [
        replace(
            session,
            transaction_ms=None if session.transaction_ms is None else session.transaction_ms + later_ms,
            query_ms=None if session.query_ms is None else session.query_ms + later_ms,
            waited_ms=None if session.waited_ms is None else session.waited_ms + later_ms,
        )
        for session in (*wait.blockers, *wait.waiting_behind)
    ]
    return [*others, own_session(record, wait)] if wait.blockers or wait.waiting_behind else []


def own_session(record: RunRecord, wait: Wait) -> Session:
    """Return the session of the run.

    SQLite and old journals do not say which blockers are its own. Then the first blocker, the nearest, stands for them.
    """
    return Session(
        pid=wait.session if wait.session is not None else NO_SESSION,
        user=record.user,
        application=record.application,
        client=None,
        state="active",
        query=None,  # the screen shows the query above the tree
        transaction_ms=None,
        query_ms=None,
        waits_for=wait.waits_for,
        blocked_by=wait.blocked_by or tuple(blocker.pid for blocker in wait.blockers[:1]),
        queued_behind=wait.queued_behind,
    )


def body_lines(
    record: RunRecord, moment: datetime, earlier: Mapping[tuple[str, str], EarlierStep], *, width: int, height: int
) -> list[Content]:
    """Return the lines that may need more room than the screen has: steps, events, blockers, output."""
    groups = [step_lines(record, moment, earlier, width=width)]
    happened = [(attempt.at, run_events.attempt(attempt)) for attempt in record.attempts]
    happened += [(signal.at, formats.signal(signal)) for signal in record.signals]
    groups.append(
        [line for at, sentence in sorted(happened) for line in hanging(f"{local_clock(at)}  ", sentence, width)]
    )
    if not record.alive and record.blockers:
        most = max(1, height - 14)  # sessions that fit on the screen
        more = [Content(f"and {len(record.blockers) - most} more")] if len(record.blockers) > most else []
        table = session_table(record.blockers[:most])
        tree = [row.content for row in table.rows(width)]
        groups.append([Content("blockers"), Content.styled(table.heading(width), QUIET), *tree, *more])
    if record.output:
        lines = [line for text in record.output[-OUTPUT_LINES:] for line in hanging("  ", text, width)]
        groups.append([Content.styled("output of Alembic and the scripts", QUIET), *lines])
    shown = [group for group in groups if group]
    return [line for number, group in enumerate(shown) for line in ([Content("")] if number else []) + group]


def present_step(record: RunRecord) -> int:
    """Return the index of the step that runs or stopped, else of the first one that is not done."""
    found = next((i for i, step in enumerate(record.steps) if step.state in ("running", "stopped")), None)
    return sum(step.state == "done" for step in record.steps) if found is None else found


def step_lines(
    record: RunRecord, moment: datetime, earlier: Mapping[tuple[str, str], EarlierStep], *, width: int
) -> list[Content]:
    """Return a line for each step: its state, its time as a bar and a number, and its time in an earlier run."""
    lines = []
    times = {index: _took(step, moment, alive=record.alive) for index, step in enumerate(record.steps)}
    longest = max((took or 0 for took in times.values()), default=0)
    bar_width = TIME_BAR if width >= WIDE_ENOUGH and longest else 0
    clocks = {index: formats.duration(took) for index, took in times.items()}
    clock_width = max(map(len, clocks.values()), default=0)
    for index, step in enumerate(record.steps):
        state_now = "stopped" if step.state == "running" and not record.alive else step.state  # a lost run
        style = {"running": STRONG, "done": GOOD, "stopped": CRITICAL}.get(state_now, QUIET)
        state = {"running": "running", "stopped": "stopped", "undone": "rolled back"}.get(state_now, "")
        before = earlier.get((step.revision, step.direction))
        took_before = f"  took {formats.duration(before.elapsed_ms)} in run {before.run}" if before else ""
        bar = "  " + fitted(bar_of(times[index] or 0, longest, bar_width), bar_width) if bar_width else ""
        facts = f"  {state:<7}  {clocks[index]:>{clock_width}}{took_before}"
        revision = formats.plain(step.revision)
        room = max(8, width - 2 - cell_len(revision) - 2 - len(bar) - len(facts))
        lines.append(
            Content.assemble(
                (f"{MARKS[state_now]} ", style),
                (revision, STRONG if state_now == "running" else ""),
                f"  {fitted(formats.plain(step.message), room)}",
                (bar, BAR),
                (facts.rstrip(), QUIET),
            )
        )
    return lines


def _took(step: StepRecord, moment: datetime, *, alive: bool) -> int | None:
    """Return the milliseconds of a step; of the one that runs, the complete seconds until `moment`."""
    if step.state == "running" and alive:
        return (since_ms(step.started, moment) or 0) // 1000 * 1000 or None
    return step.elapsed_ms


def since_ms(stamp: str | None, moment: datetime) -> int | None:
    """Return the milliseconds from an ISO 8601 UTC stamp to `moment`."""
    return None if stamp is None else int((moment - formats.moment(stamp)).total_seconds() * 1000)


def local_clock(stamp: str) -> str:
    """Return the local time of day of an ISO 8601 UTC stamp."""
    return f"{formats.moment(stamp).astimezone():%H:%M:%S}"
