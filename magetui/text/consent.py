"""The policy of consent, for the command line and the screen: what the operator answers before an act, and why.

There is one rule. If data is lost or may be lost, if the schema contradicts a stamp, or if the database is a production
database or perhaps another application's, the operator types the name of what is hurt: the database's name for a plan,
the pid for a session. If nothing is lost, a yes is enough. What is not known counts as lost, and the question says what
is not known.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from magetui.config.targets import PRODUCTION, NamedTarget
from magetui.text import formats

if TYPE_CHECKING:
    from collections.abc import Hashable

    from magetui.engine.preview.data_loss import Losses
    from magetui.engine.preview.preview import Preview
    from magetui.model.plan import Plan, SignalAction
    from magetui.model.sessions import Session

QUESTION = "Do it?"
WRITTEN = {True: "It has written.", False: "It has written nothing so far, so there is nothing to roll back yet."}
QUERY_SHOWN = 100  # characters; the complete query is shown elsewhere


@dataclass(frozen=True, slots=True)
class Consent:
    """The consent that an act needs: a yes, or a typed `name` if it is set. `noun` says what it names."""

    prompt: str = QUESTION  # or why a yes is not enough, and the name to type
    name: str | None = None
    noun: str = "the database's name"

    def is_given(self, answer: str) -> bool:
        """Return whether `answer` consents. An empty answer never does."""
        return answer.lower() in ("y", "yes") if self.name is None else answer == self.name

    def refusal(self, answer: str) -> str:
        """Return why `answer`, which is another name, does not consent."""
        return f"'{formats.one_line(answer)}' is not {self.noun}. It is: {self.name}"


# -- plans


def plan_consent(plan: Plan, named: NamedTarget | None, preview: Preview | None) -> Consent:
    """Return the consent that a plan needs on the database, which may be the target `named`.

    `preview` is None if it could not be made: then nobody knows what the plan destroys.
    """
    on = f" on {named.name}, which is {PRODUCTION}" if named is not None and named.production else ""
    danger = _stamp_danger(preview, on) if plan.verb == "stamp" else _plan_danger(preview, on)
    if not danger and not on:
        return Consent()
    reason = danger or f"This is{on.removeprefix(' on')}"
    return Consent(f"{reason}. To continue, type the database's name: {plan.database}", plan.database)


def _stamp_danger(preview: Preview | None, on: str) -> str | None:
    if preview is None or preview.not_compared is not None:
        return f"It is not known whether the schema contradicts this stamp{on}"
    return f"The schema contradicts this stamp{on}" if preview.doubt is not None else None


def _plan_danger(preview: Preview | None, on: str) -> str | None:
    if preview is None:
        return f"It is not known which data this destroys{on}"
    doubtful = _doubtful(preview)
    if doubtful is not None:
        return f"{doubtful}{on}"
    losses = preview.losses
    if preview.uncommitted:
        return f"This may destroy data{on}: a session has not committed its rows"
    if any(loss.rows and loss.exact for loss in losses.known):
        return f"This destroys data{on}"
    if losses.undecidable:
        return f"This may destroy data{on}: not all losses are known"
    return f"This may destroy data{on}" if lost(losses) else None


def lost(losses: Losses) -> frozenset[Hashable]:
    """Return the known losses, each as what is lost, without those that were counted exactly as empty."""
    return frozenset(
        (loss.kind, loss.schema, loss.table, loss.column, loss.value)
        for loss in losses.known
        if loss.rows != 0 or not loss.exact
    )


def changed_since(shown: tuple[Plan, Preview | None], now: tuple[Plan, Preview | None]) -> str | None:
    """Return why the consent to a plan that was shown does not hold for the plan as it is made now, or None if it does.

    Counts may differ, since a database is in use. But a loss, failure or doubt that was not shown needs a new consent.
    """
    (plan, preview), (plan_now, preview_now) = shown, now
    if plan.url != plan_now.url:
        return f"This was planned for another database. The plan is now for {formats.place(plan_now.url)}."
    is_same = (preview is None) == (preview_now is None) and _dangers(preview) == _dangers(preview_now)
    return None if is_same and plan == plan_now else "The database has changed since this plan was made."


def _dangers(preview: Preview | None) -> Hashable:
    if preview is None:
        return None
    losses = preview.losses
    return (
        preview.doubt,
        preview.not_compared,
        len(preview.fails),
        losses.undecidable,
        lost(losses),
        preview.uncommitted,
    )


def _doubtful(preview: Preview) -> str | None:
    if preview.is_elsewhere and preview.doubt is not None:
        return "This may be the wrong database or schema"
    if preview.fails:
        return "This will fail"
    # The plan is made for another schema: a rollback drops what another revision may have made.
    return "The schema contradicts the current revision" if preview.doubt is not None else None


# -- sessions


def signal_consent(action: SignalAction, session: Session, named: NamedTarget | None) -> Consent:
    """Return the consent to cancel the query of a session, or to end it.

    An open transaction counts as data that is lost: nobody else can see what it has changed.
    """
    question = signal_question(action, session)
    reasons = []
    if may_lose_work(session):
        reasons.append(
            " What it has not committed is lost." if session.state else " What it has not committed may be lost."
        )
    if named is not None and named.production:
        reasons.append(f" It is on {named.called}.")
    if not reasons:
        return Consent(question)
    pid = str(session.pid)
    return Consent(f"{question}{''.join(reasons)} To continue, type its pid: {pid}", pid, "its pid")


def signal_question(action: SignalAction, session: Session) -> str:
    return f"End session {session.pid}?" if action == "terminate" else f"Cancel the query of session {session.pid}?"


def may_lose_work(session: Session) -> bool:
    """Return whether the session has an open transaction, as far as this role may see, or may have one."""
    if session.is_background:
        return False
    is_open = session.transaction_ms is not None or session.holds or session.waits_for is not None
    return bool(is_open) or session.state is None


def signal_losses(session: Session, action: SignalAction) -> tuple[str, ...]:
    """Return what the action costs, as sentences for the operator who is asked for consent."""
    if session.is_background:
        return (
            "This is a process of the server itself, not a client. Cancelling it is harmless: the server does its work "
            "again later.",
        )
    if not may_lose_work(session):
        stays = "Its query is cancelled" if action == "cancel" else "Its connection is closed"
        return (f"{stays}, and its client sees an error. It has no open transaction, so no work is lost.",)
    if action == "terminate":
        first = "Its connection is closed. What it has not committed is rolled back, and its client sees an error."
    else:
        first = (
            "The session stays, and its query is cancelled. What its transaction has not committed is rolled back, "
            "and its client sees an error."
        )
    return (first, *_transaction(session))


def _transaction(session: Session) -> tuple[str, ...]:
    """Return the transaction that is lost: since when, with which locks, and its last statement."""
    from magetui.text.terminal import holds

    if session.state is None:
        return ("This role may not see what the session does, so it is not known what is lost.",)
    sentences = []
    if session.transaction_ms is not None:
        sentences.append(f"Its transaction has been open for {formats.duration(session.transaction_ms)}.")
        if session.has_written is not None:
            sentences.append(WRITTEN[session.has_written])
    if session.holds or session.has_mutex:
        sentences.append(f"It {holds(session)}.")
    if session.query:
        sentences.append(f"Its last statement: {formats.one_line(session.query, QUERY_SHOWN)}")
    return tuple(sentences)
