"""The verb `verify`: it announces what it builds, asks if the server has live data, and prints every difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from magetui.cli.consent import require_consent
from magetui.cli.output import answer, complain
from magetui.config.settings import Settings
from magetui.engine.verify import plan_replay, verify
from magetui.engine.workspace import Workspace
from magetui.text import documents
from magetui.text.consent import Consent

DIFFERENT = 3


def verified(settings: Settings, values: Mapping[str, Any]) -> int:
    """Run the verb and return its exit status: 3 if the live schema differs."""
    from magetui.text.terminal import wrapped
    from magetui.text.verification import announced, judge

    workspace = Workspace(settings.selection)
    chain = workspace.chain
    rehearsal = plan_replay(workspace, values.get("r"))
    for sentence in announced(chain, rehearsal, workspace.clean):
        for line in wrapped(sentence, 78):
            complain(line)
    if rehearsal.needs_consent:
        require_consent(values, Consent())
    verification = verify(workspace, rehearsal)
    verdict = judge(chain, verification, workspace.clean)
    answer(
        settings,
        lambda: documents.verification_document(verification, verdict),
        lambda text: text.verification(verdict),
    )
    return 0 if verification.equal else DIFFERENT
