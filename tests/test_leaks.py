"""The search for credentials finds them however they are spelt: one that finds nothing would let every test pass."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from tests.support.command import Outcome
from tests.support.leaks import Written, nowhere, of_process
from tests.support.postgres import PASSWORD


@pytest.mark.parametrize("password", [PASSWORD, "plain-word", "Grüße an 'Otto'", 'back\\slash"quote'])
def test_a_password_is_found_however_it_is_spelt(tmp_path: Path, password: str) -> None:
    encoded = quote(password, safe="")
    spelt = [password, encoded, encoded.lower(), quote_plus(password), encoded.replace("%", "%%"), repr(password)]
    spelt += [
        json.dumps(password),
        json.dumps({"error": json.dumps(password)}),
        base64.b64encode(password.encode()).decode(),
    ]
    spelt += [f"postgresql://mage:{encoded}@db1/mage", password.replace("'", "''")]
    for text in spelt:
        file = tmp_path / "state" / "runs" / "1.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"before {text} after")
        for written in (text, text.encode(), Outcome(0, text, ""), Outcome(0, "", text), file, tmp_path):
            with pytest.raises(AssertionError, match=r"stands in"):
                nowhere(["", written], "something-else", password)
    nowhere(["postgresql://mage:***@db1/mage", Outcome(0, "done", "")], password)


def test_a_piece_of_a_password_is_found() -> None:
    for piece in ("s3cret", "connection to server at 'ss:w%rd", "w%25rd%231@db1"):
        with pytest.raises(AssertionError, match=r"stands in"):
            nowhere([piece])


def test_a_password_is_found_in_what_a_process_shows() -> None:
    inherited = {"PATH": os.environ["PATH"], "DB_PASS": PASSWORD}
    waits = [sys.executable, "-c", "print(flush=True); input()"]
    with tempfile.TemporaryFile() as file:
        file.write(PASSWORD.encode())
        file.flush()
        nowhere(shown_by(waits, inherited, {}, None))
        for arguments, added, stderr in (
            ([*waits, PASSWORD], {}, None),
            (waits, {"URL": PASSWORD}, None),
            (waits, {}, file.fileno()),
        ):
            seen = shown_by(arguments, inherited, added, stderr)
            with pytest.raises(AssertionError, match=r"stands in"):
                nowhere(seen)


def shown_by(
    arguments: list[str], inherited: dict[str, str], added: dict[str, str], stderr: int | None
) -> list[Written]:
    with subprocess.Popen(
        arguments, env={**inherited, **added}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seen = of_process(process.pid, inherited)
        process.communicate(b"\n")
    return seen
