"""A plan as lines for the plan screen: what is known of it so far, in the order in which somebody has to know it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from textual.content import Content

from magetui.tui.theme import QUIET, STRONG, WARNING
from magetui.tui.widgets.rows import fitted

if TYPE_CHECKING:
    from magetui.engine.preview.preview import Preview
    from magetui.engine.runs.follow import EarlierStep
    from magetui.model.plan import OnDisconnect, Plan, PlanStep

SQL_LINES_A_STEP = 200
SESSIONS_SHOWN = 5
LINE_WORDS: Mapping[OnDisconnect, str] = {
    "continue": "If this line drops, the run goes on; o lets it be cancelled instead.",
    "cancel": "If this line drops, the run is cancelled; o lets it go on instead.",
}


@dataclass(frozen=True)
class Foreseen:
    """What is known beside the plan itself; `steps` and `preview` None while they are being asked for."""

    holding: tuple[tuple[int | None, str], ...] = ()  # sessions with locks, and each as a line
    earlier: Mapping[tuple[str, str], EarlierStep] = field(default_factory=dict)
    steps: tuple[PlanStep, ...] | None = None
    unrendered: str | None = None  # why there is no SQL
    preview: Preview | None = None
    unforetold: str | None = None  # why nobody knows what it locks and loses


def plan_lines(plan: Plan, foreseen: Foreseen, on_disconnect: OnDisconnect, width: int) -> Content:
    """The whole plan, for a screen of `width` columns."""
    return Content("\n").join(
        [
            *_summary(plan, on_disconnect, width),
            *_foretold(plan, foreseen, width),
            *(_in_the_way(foreseen, width) if plan.verb != "stamp" and not plan.empty else ()),
            Content(""),
            *_steps(plan, foreseen),
        ]
    )


def _summary(plan: Plan, on_disconnect: OnDisconnect, width: int) -> Iterator[Content]:
    from magetui.text import formats, terminal

    yield Content.styled(formats.plain(plan.summary), STRONG)
    if plan.creates_schema is not None:
        yield Content(formats.creating(plan.creates_schema))
    if not plan.empty:
        yield Content.styled(LINE_WORDS[on_disconnect], QUIET)
    if plan.verb == "stamp" and not plan.empty:
        yield Content.styled(f"v verifies first that the schema is what {plan.target_revision} makes.", QUIET)
    if plan.destroys:
        yield Content("What is dropped goes with the data in it.")
    yield from (Content(fitted(line, width).rstrip()) for line in terminal.repair_lines(plan))


def _foretold(plan: Plan, foreseen: Foreseen, width: int) -> Iterator[Content]:
    """Whom it locks out and what it loses, once that is known."""
    from magetui.text import formats
    from magetui.text import preview as previews
    from magetui.text.terminal import wrapped

    if foreseen.unforetold:
        yield Content.styled(previews.unavailable(plan, foreseen.unforetold), WARNING)
    elif foreseen.preview is None:
        if not plan.empty and plan.verb != "stamp":
            yield Content.styled("looking what it would lose …", QUIET)
    else:
        for heading, text in previews.overview(foreseen.preview, "a backup (B)"):
            first, *more = wrapped(formats.plain(text), width - 7)
            style = WARNING if heading in ("doubt", "loses", "fails") else ""
            yield Content.assemble((f"{heading:<7}", STRONG), (first, style))
            yield from (Content.styled(f"       {line}", style) for line in more)


def _in_the_way(foreseen: Foreseen, width: int) -> Iterator[Content]:
    """Those that the run would wait for now; as long as that is not known, all that hold locks."""
    pids = foreseen.preview.blockers if foreseen.preview is not None else None
    sessions = [line for pid, line in foreseen.holding if pids is None or pid in pids]
    if sessions:
        sure = "are in the way now" if pids is not None else "hold locks now, and may be in the way"
        yield Content.styled(f"Sessions that {sure}:", WARNING)
    yield from (Content(f"  {fitted(line, width - 2).rstrip()}") for line in sessions[:SESSIONS_SHOWN])
    if len(sessions) > SESSIONS_SHOWN:
        yield Content(f"  and {len(sessions) - SESSIONS_SHOWN} more: l shows them")


def _steps(plan: Plan, foreseen: Foreseen) -> Iterator[Content]:
    from magetui.text import formats

    for number, step in enumerate(plan.steps, start=1):
        head = f"{number:>3}  {step.direction:<9} {step.revision}  {step.message}"
        before = foreseen.earlier.get((step.revision, step.direction))
        took = f"   took {formats.duration(before.elapsed_ms)} in run {before.run}" if before else ""
        yield Content.assemble(formats.plain(head), (took, QUIET))
        if foreseen.preview is not None and foreseen.preview.steps:
            warnings = foreseen.preview.steps[number - 1].warnings
            yield from (Content.styled(f"       ! {formats.plain(warning)}", WARNING) for warning in warnings)
        if foreseen.steps is not None and number <= len(foreseen.steps):
            yield from _sql(foreseen.steps[number - 1])
    if foreseen.unrendered:
        yield Content.styled(formats.plain(foreseen.unrendered), QUIET)
    elif foreseen.steps is None and not plan.empty:
        yield Content.styled("       rendering the SQL …", QUIET)


def _sql(step: PlanStep) -> Iterator[Content]:
    from magetui.text import formats

    shown = [line for line in (step.sql or "").splitlines() if line.strip()][:SQL_LINES_A_STEP]
    yield from (Content.styled(f"       {formats.plain(line)}", "ansi_cyan") for line in shown)
    if step.problem:
        yield Content.styled(f"       {formats.one_line(step.problem)}", QUIET)
