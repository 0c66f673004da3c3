"""The entry point of the child: it reads one request on stdin, carries it out, and answers in the journal or on stdout.

`BOOT` starts it under the project's interpreter, with this program's directory last on `sys.path`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from magetui.protocol import codec, events, requests
from magetui.protocol.journal import Journal, cancel_path, now
from magetui.protocol.redaction import password_spellings, redact_url, secrets_of, store_secrets
from magetui.protocol.scripts import Scripts
from magetui.runner.output import capture_output
from magetui.runner.script_errors import error_text

# An empty entry on sys.path means the current folder, where a project may have a folder named 'alembic'.
BOOT = (
    "import sys; sys.path[:] = [p for p in sys.path if p] + [sys.argv[1]]; "
    "from magetui.runner.__main__ import main; main()"
)

LAST_WORDS_SIZE = 500  # bytes
OUTPUT_BYTES = 64 << 20  # of a child that only answers
SEVERAL_CPU_SECONDS = 1800  # of a child that answers many questions, one after the other


def main() -> None:
    """Carry out a request. Arguments: this program's directory; for a run, the journal's descriptor and stderr file."""
    request = requests.receive(0)
    if not isinstance(request, requests.Request):
        _answer(request)
        return
    descriptor = int(sys.argv[2])
    os.set_inheritable(descriptor, False)
    password = password_spellings(os.environ.get("PGPASSWORD", ""), redact_url(request.url))
    journal = Journal(descriptor, (*secrets_of(request.url), *password, *store_secrets(os.environ)))
    end_capture = capture_output(journal)
    last_words, wanted = LastWords(Path(sys.argv[3])), cancel_path(Path(sys.argv[3]))
    try:
        _execute(request, journal, _move_line_from_stdin(), wanted)
    except Exception as error:  # noqa: BLE001 - a bug of this program: the journal must say so
        traceback.print_exc()
        message = f"The program itself failed: {error_text(error)}"
        try:
            journal.append(events.RunEnded(at=now(), outcome="lost", current=None, elapsed_ms=0, error=message))
        except OSError as full:
            last_words.leave(f"{full.strerror}. The run was stopped; what it had not committed was rolled back.")
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(ValueError, OSError, AttributeError):  # a script has closed or replaced it
                stream.flush()
        end_capture()
        last_words.close()
        wanted.unlink(missing_ok=True)
    os._exit(0)  # do not wait for threads that env.py or a script left running


class LastWords:
    """The child's stderr file. Its space is allocated before the disk can be full. A killed child leaves it blank."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = False
        try:
            path.write_text(" " * LAST_WORDS_SIZE)
        except OSError:
            path.write_text("")  # the disk is full already; the journal cannot be written either

    def leave(self, words: str) -> None:
        """Write the words into the file, as far as they fit."""
        self._left = True
        with self._path.open("r+b") as file:
            file.write(words.encode()[:LAST_WORDS_SIZE].ljust(LAST_WORDS_SIZE))

    def close(self) -> None:
        """Remove the file, unless `leave` has written to it."""
        if not self._left:
            self._path.unlink(missing_ok=True)


def _move_line_from_stdin() -> int:
    """Move the pipe from the starting program away from stdin, so that scripts read nothing there."""
    line = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return line


def _make_importable(scripts: Scripts) -> None:
    """Let scripts import the modules of their project. No bytecode is written into an installed Mage."""
    sys.path.extend(path for path in scripts.sys_path if path not in sys.path)
    if scripts.kind == "mage":
        sys.dont_write_bytecode = True


def _execute(request: requests.Request, journal: Journal, line: int, wanted: Path) -> None:
    started = now()
    try:
        from magetui.runner.execute import Run

        _make_importable(request.scripts)
        run = Run(request, journal, line, wanted)
    except ImportError as error:
        message = f"The interpreter {sys.executable} lacks a package that migrating needs: {error}."
        journal.append(events.RunEnded(at=started, outcome="failed", current=None, elapsed_ms=0, error=message))
        return
    run.execute()


def _answer(request: requests.Question | requests.ReplayRequest | requests.SeveralRequest) -> None:
    """Write the answer to stdout. Output of scripts goes to stderr instead."""
    _limit_output()
    answer = os.dup(1)
    os.set_inheritable(answer, False)
    os.dup2(2, 1)
    _make_importable(request.scripts)
    if isinstance(request, requests.SeveralRequest):
        _answer_several(answer)
        os._exit(0)
    document = json.dumps(codec.encode(_value(request)))
    with suppress(ValueError):  # a script has closed it
        sys.stdout.flush()
    with os.fdopen(answer, "w") as file:
        file.write(document)
    os._exit(0)  # do not wait for threads that env.py or a script left running


def _answer_several(answer: int) -> None:
    """Write the answer to each request that follows, with its length, until the pipe of requests ends."""
    from magetui.runner.barrier import raise_barrier
    from magetui.runner.recorder import record

    barrier = raise_barrier(cpu_seconds=SEVERAL_CPU_SECONDS)
    with suppress(EOFError), os.fdopen(answer, "wb", buffering=0) as pipe:
        while True:
            request = requests.receive(0)
            assert isinstance(request, requests.RecordRequest)
            left = memoryview(requests.framed(json.dumps(codec.encode(record(request, barrier)))))
            while left:
                left = left[pipe.write(left) :]


def _limit_output() -> None:
    """Let no file of this process grow beyond `OUTPUT_BYTES`: a script may print without end."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    most = OUTPUT_BYTES if hard == resource.RLIM_INFINITY else min(OUTPUT_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))


def _value(request: requests.Question | requests.ReplayRequest) -> object:
    if isinstance(request, requests.ReplayRequest):
        from magetui.runner.replay import Replay

        return Replay(request, _move_line_from_stdin()).replayed()
    if isinstance(request, requests.ProbeRequest):
        from magetui.runner.probe import probe

        return probe(request)
    if isinstance(request, requests.CheckRequest):
        from magetui.runner.model_check import check

        return check(request)
    return _behind_a_barrier(request)


def _behind_a_barrier(
    request: requests.RenderRequest | requests.RenderRepairRequest | requests.HeadersRequest | requests.RecordRequest,
) -> object:
    """Answer a question whose scripts may not act."""
    from magetui.runner.barrier import raise_barrier

    barrier = raise_barrier()
    if isinstance(request, requests.RenderRequest):
        from magetui.runner.render import render

        return render(request, barrier)
    if isinstance(request, requests.RenderRepairRequest):
        from magetui.runner.repair import render_repair

        return render_repair(request)
    if isinstance(request, requests.HeadersRequest):
        from magetui.runner.script_headers import script_headers

        return script_headers(request, barrier)
    from magetui.runner.recorder import record

    return record(request, barrier)


if __name__ == "__main__":
    main()
