"""The consent that an act needs: what must be typed, and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from magetui.config.targets import NamedTarget
from magetui.engine.preview.data_loss import Losses
from magetui.engine.preview.preflight.answers import Cause, Preflight, StepAnswer
from magetui.engine.preview.preview import Preview
from magetui.model.plan import Direction, Loss, Plan, PlannedStep
from magetui.model.sessions import HeldLock, Session
from magetui.text.consent import Consent, changed_since, plan_consent, signal_consent, signal_losses

PRODUCTION = NamedTarget("prod-eu", "config.toml", production=True)
STAGING = NamedTarget("staging", "config.toml")
ON = " on prod-eu, which is PRODUCTION"


def plan(direction: Direction) -> Plan:
    verb: Any = {"upgrade": "migrate", "downgrade": "rollback", "stamp": "stamp"}[direction]
    steps = (PlannedStep("b", direction, "B"),)
    return Plan(verb, ("a",), "b", steps, ("b",), (), database="mage", url="postgresql://db1/mage")


def preview(*losses: Loss, undecidable: tuple[str, ...] = (), **facts: Any) -> Preview:
    return Preview((), Losses(losses, undecidable), **facts)


def column(rows: int | None, *, exact: bool = True) -> Loss:
    return Loss("column", None, "role", "entity", rows, exact)


NOTHING = preview()
EMPTY = preview(column(0))
ROWS = preview(column(30))
UNREAD = preview(undecidable=("a script runs SQL",))
FAILING = preview(preflight=Preflight((StepAnswer("b", "upgrade", (Cause("fails", None, "it exists"),)),)))
CONTRADICTED = preview(doubt="The schema does not match b.")
NOT_COMPARED = preview(not_compared="There is no comparison.")


@pytest.mark.parametrize(
    ("direction", "named", "known", "reason"),
    [
        ("upgrade", None, NOTHING, None),
        ("upgrade", STAGING, CONTRADICTED, "The schema contradicts the current revision"),
        ("upgrade", STAGING, NOT_COMPARED, None),
        ("upgrade", None, FAILING, "This will fail"),
        ("upgrade", PRODUCTION, NOTHING, "This is prod-eu, which is PRODUCTION"),
        # A column with values, or a statement that may take rows, is lost on the way up as on the way down.
        ("upgrade", None, ROWS, "This destroys data"),
        ("upgrade", None, UNREAD, "This may destroy data: not all losses are known"),
        ("downgrade", None, ROWS, "This destroys data"),
        ("downgrade", PRODUCTION, ROWS, f"This destroys data{ON}"),
        ("downgrade", None, preview(column(30, exact=False)), "This may destroy data"),
        ("downgrade", None, preview(column(0, exact=False)), "This may destroy data"),
        ("downgrade", None, preview(column(None, exact=False)), "This may destroy data"),
        (
            "downgrade",
            None,
            preview(column(0), undecidable=("SQL",)),
            "This may destroy data: not all losses are known",
        ),
        # Nothing is lost, and that is known completely.
        ("downgrade", None, NOTHING, None),
        ("downgrade", None, EMPTY, None),
        # Nothing is lost, but the tables may be those of another revision.
        ("downgrade", None, CONTRADICTED, "The schema contradicts the current revision"),
        # Nothing is lost yet, but a session may commit rows before the run gets its lock.
        (
            "downgrade",
            None,
            preview(column(0), uncommitted=(4711,)),
            "This may destroy data: a session has not committed its rows",
        ),
        # Losses that could not be read are not the same as no losses.
        ("upgrade", None, None, "It is not known which data this destroys"),
        ("downgrade", PRODUCTION, None, f"It is not known which data this destroys{ON}"),
        ("stamp", STAGING, NOTHING, None),
        ("stamp", STAGING, CONTRADICTED, "The schema contradicts this stamp"),
        ("stamp", PRODUCTION, CONTRADICTED, f"The schema contradicts this stamp{ON}"),
        ("stamp", None, NOT_COMPARED, "It is not known whether the schema contradicts this stamp"),
        ("stamp", None, None, "It is not known whether the schema contradicts this stamp"),
    ],
)
def test_the_name_is_needed_if_data_is_lost_or_may_be_and_on_production(
    direction: Direction, named: NamedTarget | None, known: Preview | None, reason: str | None
) -> None:
    consent = plan_consent(plan(direction), named, known)
    if reason is None:
        assert consent == Consent("Do it?", None)
        answers = ("y", "Yes", "", "n", "mage")
        assert [consent.is_given(answer) for answer in answers] == [True, True, False, False, False]
    else:
        assert consent == Consent(f"{reason}. To continue, type the database's name: mage", "mage")
        assert [consent.is_given(answer) for answer in ("mage", "y", "", "Mage")] == [True, False, False, False]


IDLE = Session(4711, "mage", "api", None, "idle", "COMMIT", None, None)
OPEN = replace(
    IDLE,
    state="idle in transaction",
    query="UPDATE role\nSET name = 'x'",
    transaction_ms=123_000,
    holds=(HeldLock("role", "ROW EXCLUSIVE"),),
)
HIDDEN = Session(4711, "other", None, None, None, None, None, None)
VACUUM = Session(4711, None, "autovacuum worker", None, "active", "VACUUM role", 5, 5)


@pytest.mark.parametrize(
    ("session", "named", "prompt", "typed"),
    [
        (IDLE, None, "End session 4711?", False),
        (IDLE, STAGING, "End session 4711?", False),
        (IDLE, PRODUCTION, "End session 4711? It is on prod-eu  PRODUCTION.", True),
        (OPEN, None, "End session 4711? What it has not committed is lost.", True),
        (OPEN, PRODUCTION, "End session 4711? What it has not committed is lost. It is on prod-eu  PRODUCTION.", True),
        (HIDDEN, None, "End session 4711? What it has not committed may be lost.", True),
    ],
)
def test_a_session_with_work_to_lose_or_on_production_is_ended_by_typing_its_pid(
    session: Session, named: NamedTarget | None, prompt: str, typed: bool
) -> None:
    consent = signal_consent("terminate", session, named)
    if typed:
        assert consent == Consent(f"{prompt} To continue, type its pid: 4711", "4711", "its pid")
    else:
        assert consent == Consent(prompt)


def test_the_loss_of_a_session_is_named_with_its_age_its_locks_and_its_last_statement() -> None:
    told = " ".join(signal_losses(OPEN, "terminate"))
    for fact in ("not committed is rolled back", "open for 2 min 3 s", "holds role (row exclusive)",
                 "Its last statement: UPDATE role SET name = 'x'"):  # fmt: skip
        assert fact in told
    assert signal_losses(IDLE, "terminate") == (
        "Its connection is closed, and its client sees an error. It has no open transaction, so no work is lost.",
    )
    assert "not known what is lost" in " ".join(signal_losses(HIDDEN, "cancel"))
    assert "harmless" in " ".join(signal_losses(VACUUM, "cancel"))
    assert signal_consent("cancel", VACUUM, None) == Consent("Cancel the query of session 4711?")


@pytest.mark.parametrize(
    ("shown", "now", "same"),
    [
        (ROWS, preview(column(31)), True),  # a database is in use
        (EMPTY, ROWS, False),
        (NOTHING, ROWS, False),
        (ROWS, EMPTY, False),
        (NOTHING, UNREAD, False),
        (NOTHING, CONTRADICTED, False),
        (NOTHING, FAILING, False),
        (NOTHING, None, False),
        (None, None, True),
    ],
)
def test_a_consent_holds_until_something_is_lost_that_was_not_shown(
    shown: Preview | None, now: Preview | None, same: bool
) -> None:
    made = plan("upgrade")
    assert (changed_since((made, shown), (made, now)) is None) is same
    assert changed_since((made, shown), (replace(made, current=("b",)), shown)) is not None
    assert "db2/mage" in str(changed_since((made, shown), (replace(made, url="postgresql://db2/mage"), shown)))


def test_a_first_migration_into_the_database_of_another_application_needs_its_name() -> None:
    nothing_applied = replace(plan("upgrade"), current=())
    consent = plan_consent(nothing_applied, None, preview(doubt="None of the 2 tables exists.", is_elsewhere=True))
    assert consent.name == "mage"
    assert consent.prompt.startswith("This may be the wrong database or schema.")
