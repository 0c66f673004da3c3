"""A plan as lines of text for the plan screen, in the order in which the operator needs to know them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from textual.content import Content

from magetui.text import formats
from magetui.tui.theme import CRITICAL, QUIET, STRONG, WARNING
from magetui.tui.verb_keys import REPAIRS
from magetui.tui.widgets.hanging import hanging
from magetui.tui.widgets.rows import Row, fitted
from magetui.tui.widgets.sql_text import sql_lines

if TYPE_CHECKING:
    from magetui.engine.preview.preview import Preview
    from magetui.engine.runs.follow import EarlierStep
    from magetui.model.plan import Plan, PlanStep

SQL_LINES_A_STEP = 200
SESSIONS_SHOWN = 5
# The order of the headings on the screen: first what hurts.
ORDER = ("fails", "loses", "first", "doubt", "waits", "owner", "locks")
ALARMING = frozenset(ORDER) - {"first", "locks"}


@dataclass(frozen=True)
class PlanFacts:
    """The facts beside the plan itself. `steps` and `preview` are None until the engine has answered."""

    lock_holders: tuple[tuple[int | None, str], ...] = ()  # pid and line of each session that holds locks
    earlier: Mapping[tuple[str, str], EarlierStep] = field(default_factory=dict)  # by revision and direction
    steps: tuple[PlanStep, ...] | None = None
    sql_problem: str | None = None  # why there is no SQL
    preview: Preview | None = None
    preview_problem: str | None = None  # why the locks and the data loss are not known

    @property
    def repairs(self) -> frozenset[str]:
        """The verbs that the plan's doubt, or its failure, names instead."""
        is_doubtful = self.preview is not None and bool(self.preview.fails or self.preview.doubt)
        return REPAIRS if is_doubtful else frozenset()


def plan_lines(
    plan: Plan, facts: PlanFacts, width: int, advise: Callable[[str], str], verified: str | None = None
) -> Content:
    """Return what the plan changes, for a screen of `width` columns. `advise` puts the screen's keys into a text.

    `verified` says what an earlier verification of a stamp's revision has found.
    """
    return Content("\n").join(
        [
            *_summary(plan, facts, width, advise, verified),
            *_preview(plan, facts, width, advise),
            *(_blockers(facts, width) if plan.verb != "stamp" and not plan.empty else ()),
        ]
    )


def _summary(
    plan: Plan, facts: PlanFacts, width: int, advise: Callable[[str], str], verified: str | None
) -> Iterator[Content]:
    from magetui.text import operations

    yield from hanging("", plan.summary, width, STRONG)
    for line in formats.created_first(plan):
        yield from hanging("", line, width)
    if plan.verb == "stamp" and not plan.empty:
        doubtful = facts.preview is not None and facts.preview.doubt is not None  # then the field for the name has v
        verify = "tab and v verify" if doubtful else "v verifies"
        verifies = f"{verify} first that the schema is what {plan.target_revision} makes."
        again = "" if verified is None else f"{verified} {verify} it again."
        yield from hanging("", again or verifies, width, QUIET)
    for step in plan.repair.all_steps if plan.repair is not None else ():
        yield from hanging("    ", operations.doing(step.operation), width)
    for note in plan.notes:
        yield from hanging("  ! ", advise(note), width, WARNING, WARNING)


def _preview(plan: Plan, facts: PlanFacts, width: int, advise: Callable[[str], str]) -> Iterator[Content]:
    """Yield the lock forecast and the data loss, when they are known."""
    from magetui.text import preview as previews

    if facts.preview_problem:
        yield from hanging("", advise(previews.unavailable(plan, facts.preview_problem)), width, WARNING)
    elif facts.preview is None:
        if not plan.empty and plan.verb != "stamp":
            yield Content.styled("reading the locks and the data loss …", QUIET)
    else:
        found = list(previews.overview(facts.preview, "a backup (B)"))
        before = ""
        for heading, text in sorted(found, key=lambda line: ORDER.index(line[0])):
            style = WARNING if heading in ALARMING else ""
            shown = "" if heading == before else heading
            yield from hanging(f"{shown:<7}", advise(text), width, style, STRONG)
            before = heading


def _blockers(facts: PlanFacts, width: int) -> Iterator[Content]:
    """Yield the sessions that would block the run now. Before these are known, yield every session with locks."""
    pids = facts.preview.blockers if facts.preview is not None else None
    sessions = [line for pid, line in facts.lock_holders if pids is None or pid in pids]
    if facts.lock_holders and not sessions:
        others = formats.some([str(pid) for pid, _line in facts.lock_holders if pid is not None], SESSIONS_SHOWN)
        yield from hanging("", f"Nobody blocks this now. Sessions with other locks: {others}.", width, QUIET)
    if sessions:
        what = "hold locks now and may block this plan" if pids is None else "block this plan now"
        yield from hanging("", f"Sessions that {what}. It waits up to the lock timeout:", width, WARNING)
    for line in sessions[:SESSIONS_SHOWN]:
        first, *more = hanging("  ", line, width)
        yield from (first, *(Content("    ") + rest for rest in more))
    if len(sessions) > SESSIONS_SHOWN:
        yield Content(f"  and {len(sessions) - SESSIONS_SHOWN} more: l shows them")


def step_rows(plan: Plan, facts: PlanFacts, width: int) -> list[Row]:
    """Return a row for each step: its number, a mark if something is to be known about it, and the revision."""
    rows = []
    for number, step in enumerate(plan.steps, start=1):
        mark, style = _mark(facts, number)
        arrow = {"upgrade": "↑", "downgrade": "↓"}.get(step.direction, " ")
        head = f"{number:>{len(str(len(plan.steps)))}} {arrow} {formats.plain(step.revision)}  "
        message = formats.plain(step.message)
        content = Content.assemble((mark, style), fitted(f"{head}{message}", max(8, width - len(mark))))
        rows.append(Row(str(number), content, f"{step.revision} {message}", step.revision))
    return rows


def _mark(facts: PlanFacts, number: int) -> tuple[str, str]:
    from magetui.text import preview as previews

    if facts.preview is None:
        return "  ", ""
    causes = previews.causes(facts.preview, number)
    if any(cause.answer == "fails" for cause in causes):
        return "! ", CRITICAL
    return ("! ", WARNING) if causes or _warnings(facts, number) else ("  ", "")


def _warnings(facts: PlanFacts, number: int) -> Sequence[str]:
    steps = facts.preview.steps if facts.preview is not None else ()
    return steps[number - 1].warnings if number <= len(steps) else ()


def first_to_see(plan: Plan, facts: PlanFacts) -> int:
    """Return the number of the first step that will fail, else of the first one with a warning, else 1."""
    marks = [_mark(facts, number)[1] for number in range(1, len(plan.steps) + 1)]
    return next((marks.index(style) + 1 for style in (CRITICAL, WARNING) if style in marks), 1)


def step_lines(
    plan: Plan, facts: PlanFacts, number: int, width: int, advise: Callable[[str], str]
) -> Iterator[Content]:
    """Yield one step in full: revision, time in an earlier run, warnings, and its SQL."""
    from magetui.text import preflight
    from magetui.text import preview as previews

    step = plan.steps[number - 1]
    before = facts.earlier.get((step.revision, step.direction))
    took = f"   took {formats.duration(before.elapsed_ms)} in run {before.run}" if before else ""
    *lines, last = hanging("", f"{step.direction} {step.revision}  {step.message}", width, STRONG)
    yield from (*lines, Content.assemble(last, (took, QUIET)))
    for warning in _warnings(facts, number):
        yield from hanging("! ", advise(warning), width, WARNING, WARNING)
    for cause in previews.causes(facts.preview, number) if facts.preview is not None else ():
        first, *more = preflight.cause_lines(cause)
        style = CRITICAL if cause.answer == "fails" else WARNING
        yield from hanging("! ", advise(first), width, style, style)
        for line in more:
            yield from hanging("  ", line, width, QUIET)
    if facts.steps is not None and number <= len(facts.steps):
        yield from _sql(facts.steps[number - 1], width, advise)
    if facts.sql_problem:
        yield from hanging("", advise(facts.sql_problem), width, QUIET)
    elif facts.steps is None and not plan.empty:
        yield Content.styled("rendering the SQL …", QUIET)


def _sql(step: PlanStep, width: int, advise: Callable[[str], str]) -> Iterator[Content]:
    shown = [line for line in (step.sql or "").splitlines() if line.strip()]
    yield from sql_lines("\n".join(shown[:SQL_LINES_A_STEP]), width)
    if len(shown) > SQL_LINES_A_STEP:
        yield Content.styled(f"and {len(shown) - SQL_LINES_A_STEP} more lines", QUIET)
    if step.problem:
        yield from hanging("", advise(formats.one_line(step.problem)), width, QUIET)
