"""No credential in anything that the program wrote: one search, over whatever there is to look at.

A credential is looked for as it is, as a URL, a configuration file, a JSON document, SQL or a header would spell it,
and in pieces: a URL that is cut at the wrong sign shows one of them.
"""

from __future__ import annotations

import base64
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.parse import quote, quote_plus

from tests.support.command import Outcome
from tests.support.postgres import PASSWORD

SHORTEST = 5  # characters of a piece that is looked for: a shorter one is a word that stands anywhere
Written = str | bytes | Path | Outcome


def nowhere(written: Iterable[Written], *secrets: str) -> None:
    """AssertionError where one of the secrets is in what was written: a text, an outcome, a file, or all of a folder.

    Without secrets, the password of the tests' servers is one. It says where, and shows what is around.
    """
    sought = {spelling for secret in secrets or (PASSWORD,) for spelling in spellings(secret)}
    for one in written:
        for place, content in _contents(one):
            lowered = content.lower()
            for spelling in sought:
                found = lowered.find(spelling)
                if found >= 0:
                    around = content[max(0, found - 60) : found + len(spelling) + 60]
                    raise AssertionError(f"{spelling!r} stands in {place}: … {around!r} …")


@cache
def spellings(secret: str) -> frozenset[bytes]:
    """The ways to write a secret and each of its pieces, in small letters."""
    found = {base64.b64encode(secret.encode()).rstrip(b"=")}
    for piece in pieces(secret):
        for encoded in (piece, quote(piece, safe=""), quote(piece), quote_plus(piece)):
            quoted = json.dumps(encoded)[1:-1]
            spelt = (encoded, quoted, json.dumps(quoted)[1:-1], repr(encoded)[1:-1], encoded.replace("'", "''"))
            found |= {one.encode() for each in spelt for one in (each, each.replace("%", "%%"))}
    return frozenset(one.lower() for one in found)


def pieces(secret: str) -> set[str]:
    """What of it is between two signs that a URL escapes, as short as can be: whatever is cut at such holds one."""
    cuts = [-1, *(match.start() for match in re.finditer(r"[^0-9A-Za-z._~-]", secret)), len(secret)]
    between = {secret[cuts[i] + 1 : end] for i in range(len(cuts)) for end in cuts[i + 1 :]}
    long_enough = {piece for piece in between if len(piece) >= SHORTEST} or {secret}
    return {one for one in long_enough if not any(other != one and other in one for other in long_enough)}


def of_process(pid: int, inherited: Mapping[str, str]) -> list[Written]:
    """What others may see of a process: its arguments, its environment past what was `inherited`, its open files.

    Files that have lost their name are among them, and are what a temporary file is.
    """
    process = Path("/proc", str(pid))
    variables = (process / "environ").read_bytes().split(b"\0")
    known = {f"{name}={value}".encode() for name, value in inherited.items()}
    seen: list[Written] = [(process / "cmdline").read_bytes(), b"\n".join(one for one in variables if one not in known)]
    for descriptor in (process / "fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            if stat.S_ISREG(descriptor.stat().st_mode):
                seen.append(descriptor.read_bytes())
    return seen


def _contents(written: Written) -> Iterator[tuple[str, bytes]]:
    if isinstance(written, Outcome):
        yield "stdout", written.stdout.encode(errors="replace")
        yield "stderr", written.stderr.encode(errors="replace")
    elif isinstance(written, str):
        yield "a text", written.encode(errors="replace")
    elif isinstance(written, bytes):
        yield "bytes", written
    elif written.is_dir():
        for path in sorted(written.rglob("*")):
            if path.is_symlink() or not path.is_file():
                yield f"the name {path}", os.fsencode(path.name)
            else:
                with suppress(FileNotFoundError):  # a run that still goes on has taken it away
                    yield from _contents(path)
    elif written.exists():  # a state directory is made by the first run
        yield str(written), os.fsencode(written.name) + b"\n" + written.read_bytes()
