"""The text of the scripts that a run applies, which it keeps beside its journal, in a file only its owner can read.

`applied_scripts` finds them again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from magetui.engine.revisions.graph import Chain
from magetui.model.plan import Plan
from magetui.protocol import codec
from magetui.protocol.private_files import read_document, write_document

FORMAT = 1
LONGEST = 1_000_000  # bytes of one script


@dataclass(frozen=True, slots=True)
class AppliedScript:
    """A script as a run applied it. `run` is that run's number."""

    revision: str
    name: str  # of its file
    digest: str  # SHA-256 of its content, in hexadecimal digits
    text: str
    run: int = 0


@dataclass(frozen=True, slots=True)
class KeptScripts:
    format: int
    database: str  # redacted
    version_table: str  # with its schema, if that is not the default one
    scripts: tuple[AppliedScript, ...]


def scripts_path(journal: Path) -> Path:
    return journal.with_suffix(".scripts.json")


def keep_scripts(journal: Path, chain: Chain, plan: Plan, version_table: str, clean: Callable[[str], str]) -> None:
    """Keep the scripts that the plan upgrades to, beside the run's journal. Raises `OSError`.

    A script in which `clean` finds a credential is not kept: it has no way back without its release.
    """
    digests = {content.file: content.digest for content in plan.contents}
    kept = []
    for step in plan.steps:
        script = chain.by_id.get(step.revision)
        if script is None or step.direction != "upgrade" or script.path.stat().st_size > LONGEST:
            continue
        text = script.path.read_bytes().decode("utf-8", "surrogateescape")
        if clean(text) != text:
            continue
        kept.append(AppliedScript(step.revision, script.path.name, digests.get(str(script.path), ""), text))
    if kept:
        write_document(scripts_path(journal), codec.encode(KeptScripts(FORMAT, plan.url, version_table, tuple(kept))))


def read_scripts(journal: Path) -> KeptScripts | None:
    """Return the scripts that a run kept; None if it kept none in this format. Raises `OSError` and `ValueError`."""
    document = codec.decode(KeptScripts, read_document(scripts_path(journal)))
    return document if document.format == FORMAT else None
