"""The child's way in: reads one request on stdin, carries it out, and answers in the journal (or on stdout).

It is started by `BOOT`, under whatever interpreter the project wants, with our directory last on `sys.path`.
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from magetui.runner import events
from magetui.runner.journal import Journal, now
from magetui.runner.redaction import secrets_of
from magetui.runner.request import RenderRequest, Request, decode

# An empty entry on sys.path is the current folder, where a project may keep a folder named 'alembic'.
BOOT = (
    "import sys; sys.path[:] = [p for p in sys.path if p] + [sys.argv[1]]; "
    "from magetui.runner.__main__ import main; main()"
)

LINE_LIMIT = 20_000  # characters of a line that a script prints
ROOM_FOR_LAST_WORDS = 500  # bytes


def main() -> None:
    """Read the request and run it. Arguments: our directory, the journal's descriptor (or '-'), a stderr file."""
    request = decode(sys.stdin.buffer.read())
    if isinstance(request, RenderRequest):
        _answer_render(request)
        return
    descriptor = int(sys.argv[2])
    os.set_inheritable(descriptor, False)
    journal = Journal(descriptor, secrets_of(request.url))
    finished = _capture_output(journal)
    last_words = LastWords(Path(sys.argv[3]))
    try:
        sys.path.extend(path for path in request.scripts.sys_path if path not in sys.path)
        _execute(request, journal)
    except Exception as error:  # noqa: BLE001 - a fault of our own: the record must not end without a word
        traceback.print_exc()
        told = f"The program itself failed: {type(error).__name__}: {error}"
        try:
            journal.append(events.RunEnded(at=now(), outcome="lost", marker=None, elapsed_ms=0, error=told))
        except OSError as full:
            last_words.leave(f"{full.strerror}. The run was stopped; what it had not committed was rolled back.")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        finished()
        last_words.close()


class LastWords:
    """The file where the child's first complaints went, kept to its end for why the journal could not be written.

    Its room is taken while there is some. A child that is killed leaves it blank.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = False
        try:
            path.write_text(" " * ROOM_FOR_LAST_WORDS)
        except OSError:
            path.write_text("")  # so full already that the journal says nothing more either

    def leave(self, words: str) -> None:
        self._left = True
        with self._path.open("r+b") as file:
            file.write(words.encode()[:ROOM_FOR_LAST_WORDS].ljust(ROOM_FOR_LAST_WORDS))

    def close(self) -> None:
        """Remove it, unless words were left in it."""
        if not self._left:
            self._path.unlink(missing_ok=True)


def _execute(request: Request, journal: Journal) -> None:
    started = now()
    try:
        from magetui.runner.execute import Run

        run = Run(request, journal)
    except ImportError as error:
        journal.append(
            events.RunEnded(
                at=started,
                outcome="failed",
                marker=None,
                elapsed_ms=0,
                error=f"The interpreter {sys.executable} lacks a package that migrating needs: {error}.",
            )
        )
        return
    run.execute()


def _answer_render(request: RenderRequest) -> None:
    """Render with stdout kept for the answer: what scripts print goes to stderr."""
    answer = os.dup(1)
    os.dup2(2, 1)
    from magetui.runner.render import render

    document = json.dumps(render(request))
    sys.stdout.flush()
    with os.fdopen(answer, "w") as file:
        file.write(document)


def _capture_output(journal: Journal):  # type: ignore[no-untyped-def]
    """Send descriptors 1 and 2 to the journal, a line an event; returns what ends the capture."""
    read_end, write_end = os.pipe()
    os.dup2(write_end, 1)
    os.dup2(write_end, 2)
    os.close(write_end)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # a pipe's is not, and what is printed is news

    def follow() -> None:
        with os.fdopen(read_end, errors="replace") as file:
            for line in _lines(file):
                with suppress(OSError):  # the disk is full: go on reading, or the script would wait for us
                    journal.append(events.OutputPrinted(at=now(), text=line))

    thread = threading.Thread(target=follow, name="output", daemon=True)
    thread.start()

    def finished() -> None:
        os.close(1)
        os.close(2)
        thread.join(timeout=2)

    return finished


def _lines(file: TextIO) -> Iterator[str]:
    """The lines of `file` without their ends, cut where they are longer than anybody reads."""
    while piece := file.readline(LINE_LIMIT):
        line, left_out = piece.rstrip("\n"), 0
        while not piece.endswith("\n") and (piece := file.readline(LINE_LIMIT)):
            left_out += len(piece.rstrip("\n"))
        yield f"{line} … {left_out:,} characters more" if left_out else line


if __name__ == "__main__":
    main()
