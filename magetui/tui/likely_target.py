"""The revision that a changing verb most likely means, with which its plan screen opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from magetui.verbs import verb

if TYPE_CHECKING:
    from magetui.engine.diagnosis.diagnosis import Diagnosis
    from magetui.engine.revisions.graph import Chain
    from magetui.model.plan import ChangeVerb


WHICH_REVISION = (
    "Which revision is the database at? Type its id, or a unique part of the id. With a wrong revision, Alembic skips "
    "operations that are missing, or repeats operations that were run. e on the main screen shows which revision the "
    "schema matches."
)


def which_revision(diagnosis: Diagnosis | None, connect: str) -> str:
    """Return what to think of before a revision is typed for a stamp. `connect` is the key of the connect screen."""
    findings = diagnosis.findings if diagnosis is not None else ()
    elsewhere = next((f for f in findings if f.code == "version-table-elsewhere" and f.severity == "critical"), None)
    if elsewhere is None:
        return WHICH_REVISION
    schemas = " and ".join(map(str, elsewhere.facts["schemas"]))
    return f"There is a version table in another schema, {schemas}: {connect} (Connect) leads there. {WHICH_REVISION}"


def likely_target(
    name: ChangeVerb, chain: Chain | None, diagnosis: Diagnosis | None, selected: str | None
) -> tuple[str, str | None]:
    """Return the likely target revision of a verb, and the unknown current revision that `stamp` would replace.

    The likely target is the revision at the cursor, `selected`, if the verb can go there. For a stamp, the other
    possibility is the revision that the schema matches. If there is none, the operator must type the revision.
    """
    if not verb(name).takes_revision:
        return "", None  # the schema determines their revision
    if chain is None or diagnosis is None:
        return {"rollback": "-1", "stamp": ""}.get(name, "head"), None
    current = diagnosis.current
    applied = chain.applied(current)
    if name == "migrate":
        head = "head" if len(chain.heads) == 1 else "heads"
        return selected if selected and selected not in applied else head, None
    if name == "rollback":
        return selected if selected in applied and selected not in current else "-1", None
    if name == "repair":
        known = [row for row in current if row in chain.by_id]
        return selected or (known[0] if len(known) == 1 else "head"), None
    return selected or _matching_revision(diagnosis), next(iter(chain.unknown(current)), None)


def _matching_revision(diagnosis: Diagnosis) -> str:
    """Return the only revision that the schema matches, or "" if there is none or more than one."""
    matches: list[list[str]] = next((f.facts["fits"] for f in diagnosis.findings if "fits" in f.facts), [])
    if len(matches) != 1 or len(matches[0]) > 1:
        return ""
    return str(matches[0][0]) if matches[0] else "base"
