"""Advice for the screen: each command and flag in a sentence becomes the key or the field that does the same there.

The engine words its advice for the command line, where it can be copied. This is the one place that rewords it, so that
both front ends say the same thing, and each says it in its own terms.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from magetui.verbs import VERBS, verb

KeyOf = Callable[[str], str]  # the key of an action of the screen

PANES: Mapping[str, str] = {"history": "Revisions", "schema": "Schema"}  # verbs that are panes on the screen
NAMES = "|".join(sorted((v.name for v in VERBS if v.key is not None or v.name in PANES), key=len, reverse=True))
PLANNED = "|".join(v.name for v in VERBS if v.changes)
COMMAND = rf"(?:plan (?={PLANNED}))?(?P<verb>{NAMES})"
# A verb's name alone, in quotes, stays: both front ends know it.
QUOTED = re.compile(rf"'(?:magetui {COMMAND}(?P<rest>(?: [^'\n]+)?)|(?P<short>{NAMES})(?P<flags> [^'\n]*--[^'\n]+))'")
# Without quotes, a command stands at the end of a sentence, or on a line of its own.
BARE = re.compile(rf"(?:^[ ]*|(?<=: ))magetui {COMMAND}(?P<rest>(?: [\w@/-]+)*)(?=[.]?$|[.] )", re.MULTILINE)
POSITIONAL = re.compile(r"(?<!\S)(?P<value>[^\s-]\S*|-\d+)")
FLAG = re.compile(r"--(?P<name>[a-z-]+)(?: (?P<value>[^\s-]\S*|-\d+))?")
URL = re.compile(r"(?<![\w-])(?<!from )--url(?: URL)?\b")  # '(from --url)' is where a URL comes from, no advice
TRUST = re.compile(r"answer yes when magetui asks in a terminal, or add --trust\b")
WORDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"(?<=[Tt])his command (?=shows|sets)", "his key "),
        (r"--in-doubt run\b", "a (run it)"),
        (r"--in-doubt skip\b", "a twice (skip it)"),
        (r"--revision(?: [A-Z])?\b", "the field 'revision'"),
        (r"--replace-unknown-revision(?: [A-Z])?\b", "replacing an unknown revision"),
        (r"--lock-timeout-seconds(?: S)?\b", "a longer lock timeout"),
        (r"--output(?: FILE)?\b", "the field 'file'"),
        (r"--pg-dump(?: PATH)?\b", "the field 'pg_dump'"),
    )
)


def verbs_in(text: str) -> tuple[str, ...]:
    """Return the verbs that a text names as commands, in its order: their keys are worth showing beside it."""
    found = [(m.start(), m["verb"] or m["short"]) for m in QUOTED.finditer(text)]
    found += [(m.start(), m["verb"]) for m in BARE.finditer(text)]
    return tuple(dict.fromkeys(name for _at, name in sorted(found)))


def for_screen(text: str, key_of: KeyOf) -> str:
    """Return a text with the keys of the screen in place of commands and flags. `key_of` names the key of an action."""

    def of_quoted(match: re.Match[str]) -> str:
        return _key(match["verb"] or match["short"], match["rest"] or match["flags"] or "", key_of)

    def of_bare(match: re.Match[str]) -> str:
        return _key(match["verb"], match["rest"], key_of)

    text = BARE.sub(of_bare, QUOTED.sub(of_quoted, text))
    for pattern, words in WORDS:
        text = pattern.sub(words, text)
    text = TRUST.sub(lambda _match: f"press {key_of('trust')} (Trust)", text)
    return URL.sub(lambda _match: f"{key_of('connect')} (Connect)", text)


def _key(name: str, rest: str, key_of: KeyOf) -> str:
    """Return 'b (Roll back) for 42a1', which does what `magetui rollback --revision 42a1` does."""
    flags = {match["name"]: match["value"] for match in FLAG.finditer(rest)}
    positional = POSITIONAL.search(FLAG.sub("", rest))
    value = flags.get("revision") or (positional["value"] if positional else None)
    label = PANES.get(name) or verb(name).label
    key = f"{key_of(label.lower() if name in PANES else name)} ({label})"
    if name == "locks" and (pid := flags.get("terminate") or flags.get("cancel")):
        return f"{key}, then {'K' if 'terminate' in flags else 'C'} on session {pid}"
    if name == "runs" and value is not None:
        then = ", then x" if "cancel" in flags else ", then w" if "report" in flags else ""
        return f"{key}, run {value}{then}"
    if name == "verify" and value is not None:  # the plan of a stamp verifies its revision
        return f"{_key('stamp', f' {value}', key_of)}, then {key_of('verify')}"
    return key if value is None else f"{key} for {value}"
