"""The lines of the run screen, made from a run's record and the moment: what of it is said where.

Each part changes by itself and as seldom as it can, since what has not changed is not drawn again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content

from magetui.tui.theme import CRITICAL, GOOD, QUIET, STRONG, WARNING
from magetui.tui.widgets.sessions import session_rows

if TYPE_CHECKING:
    from magetui.engine.runs.follow import EarlierStep
    from magetui.engine.runs.record import Outcome, RunRecord, Wait
    from magetui.model.sessions import Session, StatementProgress

BAR_WIDTH = 20
MARKS = {"pending": "○", "running": "▶", "done": "●", "stopped": "✗", "undone": "○"}
OUTPUT_LINES = 12
AGAIN, SCHEMA = ("p", "plan it again"), ("e", "see what the schema says now")
NEXT: Mapping[Outcome, tuple[tuple[str, str], ...]] = {
    "running": (),
    "done": (),
    "failed": (SCHEMA, AGAIN),
    "cancelled": (AGAIN, SCHEMA),
    "lock-timeout": (("l", "see who holds it, then"), AGAIN),
    "statement-timeout": (("l", "see what keeps the server busy, then"), AGAIN),
    "refused": (("p", "plan anew, from what the database says now"),),
    "lost": (SCHEMA, AGAIN),
}
NO_SESSION = -1  # the number of our own session, where the server gives none


def title_line(record: RunRecord, moment: datetime) -> Content:
    """Which run it is, how far, for how long, and of which database."""
    from magetui.text import formats

    elapsed = record.elapsed_ms if record.elapsed_ms is not None else since_ms(record.started, moment)
    done = sum(step.state == "done" for step in record.steps)
    clock = formats.duration(elapsed // 1000 * 1000 if record.alive and elapsed else elapsed)
    count = len(record.steps)
    steps = f"step {min(done + 1, count)} of {count}" if record.alive else f"{done} of {count} done"
    place = f"   {steps} ·" if count else "  "
    to = "" if record.verb in formats.WITHOUT_VERSION_ROW else "to "
    return Content.assemble(
        (f" Run {record.run}", STRONG),
        f" · {formats.plain(record.verb)} {to}{formats.plain(record.target)}",
        (f"{place} {clock}   {formats.plain(formats.place(record.database))}", QUIET),
    )


def head_lines(record: RunRecord, moment: datetime, *, asked: bool, here: bool) -> list[Content]:
    """What is always in view: how it ended and what to do then, what keeps it from going on, or what it waits for.

    It is `here` where the database that is looked at is its own, so that keys act on that one.
    """
    from magetui.text import formats

    lines: list[Content] = []
    if not record.alive:
        style = GOOD if record.outcome == "done" else CRITICAL
        return [
            Content.styled(formats.OUTCOMES[record.outcome].upper(), style),
            Content(formats.run_conclusion(record)),
            *next_lines(record, here=here),
            Content.styled("w writes the report of this run to a file, y copies it", QUIET),
        ]
    if asked or record.cancel_requested:
        why = "the program that began it is gone, so " if record.line_dropped else ""
        said = f"CANCELLING: {why}the statement is asked to stop, and what it did is rolled back"
        lines.append(Content.styled(said, WARNING))
    if record.silent_since is not None:
        clock = local_clock(record.silent_since)
        said = f"  the server has not answered since {clock}; the run gives up if it stays silent"
        lines.append(Content.assemble(("NO ANSWER", WARNING), said))
    if record.broke is not None:
        clock = local_clock(record.broke)
        said = f"  the connection broke at {clock}; the server is tried again, to read what the database says now"
        lines.append(Content.assemble(("LOST", CRITICAL), said))
    lines += attempt_lines(record, moment)
    if record.wait is not None:
        wait = record.wait
        lines.append(Content.assemble(("WAITING", WARNING), f"  for {formats.wanted(wait.waits_for)}"))
        if wait.note:
            lines.append(Content(formats.plain(wait.note)))
    return lines


def next_steps(record: RunRecord) -> tuple[tuple[str, str], ...]:
    """What to do after a run that ended short: keys of the run screen, and what each is for."""
    from magetui.text import formats

    if record.verb in formats.WITHOUT_VERSION_ROW:
        return ()
    if record.session_left:
        return (("l", "see its session, which keeps its locks"), SCHEMA)
    kept = record.outcome in ("cancelled", "statement-timeout") and not record.unchanged
    return NEXT["failed" if kept else record.outcome]


def next_lines(record: RunRecord, *, here: bool) -> list[Content]:
    """The keys that come next, on one line; none for a run on another database than the one that is looked at."""
    steps = next_steps(record)
    if not steps:
        return []
    if not here:
        return [Content.styled("next  esc goes back; to act on this run's database, connect to it", QUIET)]
    parts: list[str | tuple[str, str]] = []
    for key, said in steps:
        parts += [("   " if parts else "next  ", QUIET), (key, STRONG), f"  {said}"]
    return [Content.assemble(*parts)]


def leaving_line(record: RunRecord, key: str) -> Content:
    """That leaving the screen of a live run stops nothing; `key` shows the run again."""
    if not record.alive:
        return Content("")
    return Content.styled(f"The run goes on when this screen is left; {key} shows it again.", QUIET)


def attempt_lines(record: RunRecord, moment: datetime) -> list[Content]:
    """Which attempt it is, after one that failed, or when the next one begins."""
    from magetui.text import formats

    if not record.attempts or record.attempts[-1].retry_in_ms is None:
        return []
    last = record.attempts[-1]
    left = (last.retry_in_ms or 0) - (since_ms(last.at, moment) or 0)
    now = f"attempt {last.number + 1} of {last.of}"
    if left <= 0 or record.wait is not None or record.statement is not None:
        return [Content.assemble((now, STRONG), (f"   {formats.one_line(last.error, 60)}", QUIET))]
    return [
        Content.assemble(
            (f"{now} begins in {left / 1000:.1f} s", WARNING), (f"   {formats.one_line(last.error)}", QUIET)
        )
    ]


def bar_lines(wait: Wait | None, moment: datetime) -> list[Content]:
    """The time waited against its limit: the one line that changes all the time."""
    from magetui.text import formats

    if wait is None:
        return []
    waited = since_ms(wait.since, moment) or 0
    if not wait.timeout_ms:
        return [Content(f"{formats.duration(waited // 1000 * 1000)}, without a limit")]
    bar = drawn_bar(waited, wait.timeout_ms)
    return [Content(f"{bar}  {min(waited, wait.timeout_ms) / 1000:.1f} of {wait.timeout_ms / 1000:g} s")]


def drawn_bar(done: int, total: int) -> str:
    """'█████░░░░░', of `BAR_WIDTH` columns."""
    full = round(min(1.0, done / total) * BAR_WIDTH)
    return "█" * full + "░" * (BAR_WIDTH - full)


def statement_lines(record: RunRecord, moment: datetime) -> list[Content]:
    """The statement that runs, or ran last."""
    from magetui.text import formats

    if record.statement is None or record.outcome == "done":
        return []
    took = record.statement.elapsed_ms
    if took is None and record.alive:
        took = (since_ms(record.statement.started, moment) or 0) // 1000 * 1000
    sql = formats.one_line(record.statement.sql, 600)
    return [Content.assemble(("statement  ", QUIET), (f"{formats.duration(took)}   " if took else "", QUIET), sql)]


def progress_lines(progress: StatementProgress | None) -> list[Content]:
    """How far the statement has come, as a bar where it is known how far it has to go."""
    from magetui.text import formats

    if progress is None:
        return []
    bar = drawn_bar(progress.done, progress.total) if progress.total else ""
    said = (formats.doing(progress), bar, formats.share(progress), formats.counted(progress), formats.phase(progress))
    return [Content("  ".join(part for part in said if part))]


def way_lines(record: RunRecord) -> list[Content]:
    """What the tree of sessions below it is."""
    wait = record.wait
    if wait is None:
        return []
    if not wait.blockers and not wait.waiting_behind:
        return [] if wait.note else [Content.styled("who is in the way cannot be seen", QUIET)]
    said = "processes in the way" if record.database.startswith("sqlite") else "in the way"
    said += ", and this run with those waiting behind us" if wait.waiting_behind else ""
    more = f" ({wait.more_behind} more: l shows them)" if wait.more_behind else ""
    return [Content.styled(said + more, QUIET)]


def sessions_in(record: RunRecord, wait: Wait, later_ms: int) -> list[Session]:
    """Everybody in a wait, ourselves among them, `later_ms` after it was told."""
    ours = own_session(record, wait)
    others = [
        replace(
            session,
            transaction_ms=None if session.transaction_ms is None else session.transaction_ms + later_ms,
            query_ms=None if session.query_ms is None else session.query_ms + later_ms,
        )
        for session in (*wait.blockers, *wait.waiting_behind)
    ]
    return [*others, ours] if wait.blockers or wait.waiting_behind else []


def own_session(record: RunRecord, wait: Wait) -> Session:
    """The run's own session; which of those in the way it waits for itself is read off what they hold.

    A journal tells them nearest first, and no more.
    """
    from magetui.model.sessions import Session

    relation = wait.waits_for.relation if wait.waits_for else None
    everything = wait.waits_for is not None and wait.waits_for.mode == "ACCESS EXCLUSIVE"  # is in conflict with all
    holders = [one.pid for one in wait.blockers if everything and any(h.relation == relation for h in one.holds)]
    queue = [
        one.pid
        for one in wait.blockers
        if relation is not None and one.pid not in holders and one.waits_for and one.waits_for.relation == relation
    ]
    nearest = [one.pid for one in wait.blockers[:1]]
    return Session(
        pid=wait.session if wait.session is not None else NO_SESSION,
        user=record.user,
        application=record.application,
        client=None,
        state="active",
        query=None,  # which stands above the tree
        transaction_ms=None,
        query_ms=None,
        waits_for=wait.waits_for,
        blocked_by=tuple(dict.fromkeys([*holders, *queue] or nearest)),
        queued_behind=tuple(queue),
    )


def body_lines(
    record: RunRecord,
    moment: datetime,
    earlier: Mapping[tuple[str, str], EarlierStep],
    *,
    width: int,
    height: int,
) -> list[Content]:
    """What there may be more of than there is room for: steps, who was in the way, output."""
    from magetui.text import formats

    groups = [step_lines(record, moment, earlier, width=width, room=max(4, height - 14))]
    told = [(one.at, formats.attempt(one)) for one in record.attempts]
    told += [(one.at, formats.signal(one)) for one in record.signals]
    groups.append([Content(f"{local_clock(at)}  {said}") for at, said in sorted(told)])
    if not record.alive and record.blockers:
        groups.append(session_lines("who was in the way", record.blockers, width, most_sessions(height)))
    if record.output:
        lines = [Content(f"  {formats.plain(line)}") for line in record.output[-OUTPUT_LINES:]]
        groups.append([Content.styled("what the scripts printed", QUIET), *lines])
    shown = [group for group in groups if group]
    return [line for number, group in enumerate(shown) for line in ([Content("")] if number else []) + group]


def step_lines(
    record: RunRecord, moment: datetime, earlier: Mapping[tuple[str, str], EarlierStep], *, width: int, room: int
) -> list[Content]:
    """The steps around the one that runs, with how long that one took in an `earlier` run; others are counted."""
    from magetui.text import formats

    place = next((i for i, s in enumerate(record.steps) if s.state in ("running", "stopped")), None)
    if place is None:
        place = sum(step.state == "done" for step in record.steps)
    first = max(0, min(place - room // 2, len(record.steps) - room))
    lines = [Content.styled(f"  {first} steps before", QUIET)] if first else []
    for step in record.steps[first : first + room]:
        took = step.elapsed_ms
        if step.state == "running":
            took = (since_ms(step.started, moment) or 0) // 1000 * 1000 or None
        style = {"running": STRONG, "done": GOOD, "stopped": CRITICAL}.get(step.state, QUIET)
        state = {"running": "running ", "stopped": "stopped ", "undone": "rolled back ", "pending": ""}.get(
            step.state, ""
        )
        last = f"{state}{formats.duration(took)}"
        before = earlier.get((step.revision, step.direction)) if step.state == "running" else None
        took_before = f"   took {formats.duration(before.elapsed_ms)} in run {before.run}" if before else ""
        message = formats.one_line(step.message, max(8, width - len(step.revision) - 16 - 6 - len(took_before)))
        lines.append(
            Content.assemble(
                (f"{MARKS[step.state]} ", style),
                (formats.plain(step.revision), STRONG if step.state == "running" else ""),
                f"  {message}  ",
                (f"{last}{took_before}", QUIET),
            )
        )
    after = len(record.steps) - first - room
    return [*lines, Content.styled(f"  {after} steps after", QUIET)] if after > 0 else lines


def session_lines(heading: str, sessions: Sequence[Session], width: int, most: int) -> list[Content]:
    """The tree of sessions; those that there is no room for are counted."""
    lines = [Content.styled(heading, QUIET), *(row.content for row in session_rows(sessions[:most], width))]
    return [*lines, Content(f"and {len(sessions) - most} more")] if len(sessions) > most else lines


def most_sessions(height: int) -> int:
    """How many sessions there is room for on a screen."""
    return max(1, (height - 12) // 2)


def since_ms(stamp: str | None, moment: datetime) -> int | None:
    """Milliseconds from an ISO 8601 UTC stamp to `moment`."""
    if stamp is None:
        return None
    return int((moment - datetime.fromisoformat(stamp.replace("Z", "+00:00"))).total_seconds() * 1000)


def local_clock(stamp: str) -> str:
    """The time of day here, of an ISO 8601 UTC stamp."""
    return f"{datetime.fromisoformat(stamp.replace('Z', '+00:00')).astimezone():%H:%M:%S}"
