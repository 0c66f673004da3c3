"""Telling others of a run's end: the operator's own command gets the record of the run as JSON on stdin.

A run may outlive this program, so a process of its own waits for the end. A shell joins two commands: `magetui runs N
--json`, which follows the run, and then the operator's, whose output goes to a file beside the records.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from magetui.engine.directories import package_root
from magetui.engine.runs.journals import runs_directory

if TYPE_CHECKING:
    from magetui.engine.workspace import Workspace

LOG = "notify.log"
OURSELVES = "import sys; sys.path.insert(0, sys.argv.pop(1)); from magetui.__main__ import main; main()"
WHEN_ENDED = 'record=$("$1" -c "$2" "$3" runs "$4" --json); shift 4; printf "%s\\n" "$record" | "$@"'


def notify_at_end(workspace: Workspace, run: int, command: Sequence[str]) -> str | None:
    """Start the process that runs `command` when the run has ended. Return why that is impossible, or None.

    The command gets this program's environment, since it may need a token of the pager from there.
    """
    log = runs_directory(workspace.environment) / LOG
    try:
        with log.open("wb") as output:
            subprocess.Popen(
                ["sh", "-c", WHEN_ENDED, "sh", sys.executable, OURSELVES, package_root(), str(run), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=dict(workspace.environment),
            )
    except OSError as error:
        return f"Nobody will be notified when run {run} ends: {error.strerror or error}. The run continues."
    return None
