"""The policy of consent, for the command line and the screen: what the operator answers before a change, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from magetui.config.targets import PRODUCTION, NamedTarget

if TYPE_CHECKING:
    from magetui.engine.preview.preview import Preview
    from magetui.model.plan import Plan, SignalAction

QUESTION = "Do it?"


@dataclass(frozen=True, slots=True)
class Consent:
    """The consent that a change needs: if `name` is None, a yes; otherwise this name of the database, typed."""

    prompt: str = QUESTION  # or why a yes is not enough, and the name to type
    name: str | None = None

    def is_given(self, answer: str) -> bool:
        """Return whether `answer` consents. An empty answer never does."""
        return answer.lower() in ("y", "yes") if self.name is None else answer == self.name


def plan_consent(plan: Plan, named: NamedTarget | None, preview: Preview | None) -> Consent:
    """Return the consent that a plan needs on the database, which may be the target `named`.

    The name is needed for a plan that may destroy data, for a stamp that the schema contradicts, and for every change
    of a production database. For these, a yes by habit would be too easy.
    """
    danger = None
    if plan.verb == "stamp" and preview is not None and preview.doubt is not None:
        danger = "The schema contradicts this stamp"
    elif plan.destroys:
        danger = "This may destroy data"
    production = f"{named.name}, which is {PRODUCTION}" if named is not None and named.production else None
    if danger is None and production is None:
        return Consent()
    reason = " on ".join(part for part in (danger, production) if part) if danger else f"This is {production}"
    return Consent(f"{reason}. To continue, type the database's name: {plan.database}", plan.database)


def signal_consent(action: SignalAction, pid: int, named: NamedTarget | None) -> Consent:
    """Return the consent to cancel the query of a session, or to end it: a yes, on a production database too.

    An incident on a production database is the usual reason for it, and the session is read again before the signal.
    """
    question = f"End session {pid}?" if action == "terminate" else f"Cancel the query of session {pid}?"
    return Consent(f"{question} It is on {named.called}." if named is not None and named.production else question)
