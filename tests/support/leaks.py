"""A search for credentials in everything that the program wrote.

The search knows the spellings of a credential in a URL, a configuration file, a JSON document, SQL and a header. It
also looks for pieces: a URL that is split at the wrong character shows one piece.
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

SHORTEST = 5  # characters: a shorter piece is a word that may occur anywhere
Written = str | bytes | Path | Outcome


def nowhere(written: Iterable[Written], *secrets: str) -> None:
    """Check that no secret occurs in a text, an outcome, a file or a folder.

    Without secrets, search for the password of the tests' servers. AssertionError with the name of the text or file
    and the surrounding text if a secret occurs.
    """
    sought = {spelling for secret in secrets or (PASSWORD,) for spelling in spellings(secret)}
    for item in written:
        for name, content in _contents(item):
            lowered = content.lower()
            for spelling in sought:
                start = lowered.find(spelling)
                if start >= 0:
                    around = content[max(0, start - 60) : start + len(spelling) + 60]
                    raise AssertionError(f"{spelling!r} stands in {name}: … {around!r} …")


@cache
def spellings(secret: str) -> frozenset[bytes]:
    """Return the spellings of a secret and of each of its pieces, in lower case."""
    variants = {base64.b64encode(secret.encode()).rstrip(b"=")}
    for piece in pieces(secret):
        for encoded in (piece, quote(piece, safe=""), quote(piece), quote_plus(piece)):
            quoted = json.dumps(encoded)[1:-1]
            spelt = (encoded, quoted, json.dumps(quoted)[1:-1], repr(encoded)[1:-1], encoded.replace("'", "''"))
            variants |= {text.encode() for word in spelt for text in (word, word.replace("%", "%%"))}
    return frozenset(variant.lower() for variant in variants)


def pieces(secret: str) -> set[str]:
    """Return the shortest pieces between two characters that a URL escapes.

    A URL that is split at such characters contains one of these pieces.
    """
    cuts = [-1, *(match.start() for match in re.finditer(r"[^0-9A-Za-z._~-]", secret)), len(secret)]
    between = {secret[cuts[i] + 1 : end] for i in range(len(cuts)) for end in cuts[i + 1 :]}
    long_enough = {piece for piece in between if len(piece) >= SHORTEST} or {secret}
    return {piece for piece in long_enough if not any(other != piece and other in piece for other in long_enough)}


def of_process(pid: int, inherited: Mapping[str, str]) -> list[Written]:
    """Return what other users may see of a process: arguments, environment without `inherited`, and open files.

    The open files include deleted files, such as temporary files.
    """
    process = Path("/proc", str(pid))
    variables = (process / "environ").read_bytes().split(b"\0")
    known = {f"{name}={value}".encode() for name, value in inherited.items()}
    added = b"\n".join(variable for variable in variables if variable not in known)
    seen: list[Written] = [(process / "cmdline").read_bytes(), added]
    for descriptor in (process / "fd").iterdir():
        with suppress(OSError):  # the process has closed it
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
                with suppress(FileNotFoundError):  # a run that continues has deleted it
                    yield from _contents(path)
    elif written.exists():  # the first run makes a state directory
        yield str(written), os.fsencode(written.name) + b"\n" + written.read_bytes()
