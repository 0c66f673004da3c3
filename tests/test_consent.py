"""The consent that a change needs: what must be typed, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from magetui.config.targets import NamedTarget
from magetui.engine.preview.data_loss import Losses
from magetui.engine.preview.preview import Preview
from magetui.model.plan import Direction, Plan, PlannedStep
from magetui.text.consent import Consent, plan_consent, signal_consent

PRODUCTION = NamedTarget("prod-eu", "config.toml", production=True)
STAGING = NamedTarget("staging", "config.toml")
CONTRADICTED = Preview((), Losses(()), doubt="The schema does not look like b.")


def plan(direction: Direction) -> Plan:
    verb = {"upgrade": "migrate", "downgrade": "rollback", "stamp": "stamp"}[direction]
    steps = (PlannedStep("b", direction, "B"),)
    return Plan(verb, ("a",), "b", steps, ("b",), (), database="mage", url="postgresql://db1/mage")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("direction", "named", "preview", "reason"),
    [
        ("upgrade", None, None, None),
        ("upgrade", STAGING, CONTRADICTED, None),
        ("upgrade", PRODUCTION, None, "This is prod-eu, which is PRODUCTION"),
        ("downgrade", None, None, "This may destroy data"),
        ("downgrade", PRODUCTION, None, "This may destroy data on prod-eu, which is PRODUCTION"),
        ("stamp", STAGING, None, None),
        ("stamp", STAGING, CONTRADICTED, "The schema contradicts this stamp"),
        ("stamp", PRODUCTION, CONTRADICTED, "The schema contradicts this stamp on prod-eu, which is PRODUCTION"),
    ],
)
def test_the_name_is_needed_for_danger_and_for_production(
    direction: Direction, named: NamedTarget | None, preview: Preview | None, reason: str | None
) -> None:
    consent = plan_consent(plan(direction), named, preview)
    if reason is None:
        assert consent == Consent("Do it?", None)
        assert [consent.is_given(answer) for answer in ("y", "Yes", "", "n", "mage")] == [
            True,
            True,
            False,
            False,
            False,
        ]
    else:
        assert consent == Consent(f"{reason}. To continue, type the database's name: mage", "mage")
        assert [consent.is_given(answer) for answer in ("mage", "y", "", "Mage")] == [True, False, False, False]


def test_a_session_needs_a_yes_and_the_question_names_production() -> None:
    assert signal_consent("cancel", 4711, None) == Consent("Cancel the query of session 4711?")
    assert signal_consent("terminate", 4711, STAGING) == Consent("End session 4711?")
    on_production = signal_consent("terminate", 4711, replace(STAGING, production=True))
    assert on_production == Consent("End session 4711? It is on staging  PRODUCTION.")
