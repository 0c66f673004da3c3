"""The verb that verifies: says what it would build and where, asks where live data is, and tells every difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magetui.cli.consent import consent
from magetui.cli.output import answer, complain
from magetui.config import Settings
from magetui.engine.verify import plan_replay, verify
from magetui.engine.workspace import Workspace
from magetui.text import documents

DIFFERENT = 3


def verified(settings: Settings, values: Mapping[str, Any]) -> int:
    """The verb's exit status: 3 where the live schema differs."""
    from magetui.text.terminal import wrapped
    from magetui.text.verification import announced, judge

    workspace = Workspace(settings.selection)
    chain = workspace.chain
    rehearsal = plan_replay(workspace, values.get("r"))
    for sentence in announced(chain, rehearsal, workspace.clean):
        for line in wrapped(sentence, 78):
            complain(line)
    if rehearsal.needs_consent:
        consent(values, "Go on?")
    found = verify(workspace, rehearsal)
    verdict = judge(chain, found, workspace.clean)
    answer(settings, lambda: documents.verification_document(found, verdict), lambda text: text.verification(verdict))
    return 0 if found.equal else DIFFERENT
