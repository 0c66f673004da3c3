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

from magetui.protocol import codec, events
from magetui.protocol.journal import Journal, now
from magetui.protocol.redaction import password_spellings, redact_url, secrets_of, store_secrets
from magetui.protocol.requests import (
    ProbeRequest,
    Question,
    RenderRepairRequest,
    RenderRequest,
    ReplayRequest,
    Request,
    Scripts,
    receive,
)

# An empty entry on sys.path is the current folder, where a project may keep a folder named 'alembic'.
BOOT = (
    "import sys; sys.path[:] = [p for p in sys.path if p] + [sys.argv[1]]; "
    "from magetui.runner.__main__ import main; main()"
)

LINE_LIMIT = 20_000  # characters of a line that a script prints
ROOM_FOR_LAST_WORDS = 500  # bytes


def main() -> None:
    """Read the request and run it. Arguments: our directory, the journal's descriptor (or '-'), a stderr file."""
    request = receive(0)
    if not isinstance(request, Request):
        _answer(request)
        return
    descriptor = int(sys.argv[2])
    os.set_inheritable(descriptor, False)
    beside = password_spellings(os.environ.get("PGPASSWORD", ""), redact_url(request.url))
    journal = Journal(descriptor, (*secrets_of(request.url), *beside, *store_secrets(os.environ)))
    finished = _capture_output(journal)
    last_words = LastWords(Path(sys.argv[3]))
    try:
        _execute(request, journal, _kept_line())
    except Exception as error:  # noqa: BLE001 - a fault of our own: the record must not end without a word
        traceback.print_exc()
        told = f"The program itself failed: {type(error).__name__}: {error}"
        try:
            journal.append(events.RunEnded(at=now(), outcome="lost", current=None, elapsed_ms=0, error=told))
        except OSError as full:
            last_words.leave(f"{full.strerror}. The run was stopped; what it had not committed was rolled back.")
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(ValueError, OSError, AttributeError):  # a script has closed it, or put another in its place
                stream.flush()
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


def _kept_line() -> int:
    """The pipe from whoever began the run, moved away from stdin, where scripts shall find nothing."""
    line = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return line


def _look_into(scripts: Scripts) -> None:
    """Let scripts import what lies beside them. An installed Mage is not ours to write bytecode into."""
    sys.path.extend(path for path in scripts.sys_path if path not in sys.path)
    if scripts.kind == "mage":
        sys.dont_write_bytecode = True


def _execute(request: Request, journal: Journal, line: int) -> None:
    started = now()
    try:
        from magetui.runner.execute import Run

        _look_into(request.scripts)
        run = Run(request, journal, line)
    except ImportError as error:
        journal.append(
            events.RunEnded(
                at=started,
                outcome="failed",
                current=None,
                elapsed_ms=0,
                error=f"The interpreter {sys.executable} lacks a package that migrating needs: {error}.",
            )
        )
        return
    run.execute()


def _answer(request: Question | ReplayRequest) -> None:
    """Answer with stdout kept for that: what scripts print goes to stderr."""
    answer = os.dup(1)
    os.set_inheritable(answer, False)
    os.dup2(2, 1)
    _look_into(request.scripts)
    if isinstance(request, ReplayRequest):
        from magetui.runner.replay import replay

        document = json.dumps(codec.encode(replay(request, _kept_line())))
    else:
        document = json.dumps(codec.encode(_told(request)))
    with suppress(ValueError):  # a script has closed it
        sys.stdout.flush()
    with os.fdopen(answer, "w") as file:
        file.write(document)
    if isinstance(request, ProbeRequest):
        os._exit(0)  # whatever env.py left running is not waited for


def _told(request: Question) -> object:
    from magetui.runner.render import refuse_connections, render

    refuse_connections()
    if isinstance(request, RenderRequest):
        return render(request)
    if isinstance(request, RenderRepairRequest):
        from magetui.runner.repair import render_repair

        return render_repair(request)
    if isinstance(request, ProbeRequest):
        from magetui.runner.probe import probe

        return probe(request)
    from magetui.runner.recorder import record

    return record(request)


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
        for descriptor in (1, 2):
            with suppress(OSError):  # a script has closed it
                os.close(descriptor)
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
