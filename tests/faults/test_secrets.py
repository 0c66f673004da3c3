"""Secrets in every spelling, in every place: what env.py prints, what a migration's SQL says, what `ps` shows."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from magetui.protocol.redaction import password_spellings, redact
from tests.support.alembic_project import Revision, make_project
from tests.support.command import Magetui
from tests.support.databases import SqliteDatabase

SECRET = "Tr0ub4dor&3 'quo\"te\\ü:"
# What programs print of a password: each line is an expression of Python with `secret`.
SPELLINGS = (
    "secret",
    "repr(secret)",
    "repr({'a': secret})",
    "str({'a': secret})",
    "json.dumps(secret)",
    "json.dumps({'a': [secret]}, ensure_ascii=False)",
    "json.dumps(json.dumps(secret))[3:-3]",
    "shlex.quote(secret)",
    "urllib.parse.quote(secret)",
    "urllib.parse.quote_plus(secret)",
    "urllib.parse.quote(secret, safe='')",
    "re.sub('%..', lambda m: m[0].lower(), urllib.parse.quote(secret, safe=''))",
    'secret.replace("\'", "\'\'")',
    "secret.replace('\\\\', '\\\\\\\\').replace(\"'\", \"''\")",
    "secret.replace('\\\\', '\\\\\\\\').replace(':', '\\\\:')",
    "html.escape(secret)",
    "repr(secret.encode())",
    "secret.encode().hex()",
    "base64.b64encode(secret.encode()).decode()",
    "base64.urlsafe_b64encode(secret.encode()).decode()",
    "base64.b64encode(b'mage:' + secret.encode()).decode()",
    "base64.b64encode(b'a' + secret.encode() + b'after').decode()",
    "base64.b64encode(b'ab' + secret.encode() + b'x').decode()",
)
OTHERS = (
    "CREATE USER bob PASSWORD E'ge\\\\heim'",
    "CREATE USER bob PASSWORD $$geheim$$",
    "CREATE USER bob ENCRYPTED PASSWORD $tag$geheim$tag$",
    "ALTER ROLE bob PASSWORD U&'\\0067eheim'",
    "ALTER ROLE bob WITH LOGIN PASSWORD 'geheim' VALID UNTIL '2030-01-01'",
    "ALTER LOGIN bob WITH PASSWORD = N'geheim und laenger'",
    "DO $do$ BEGIN EXECUTE format('CREATE USER %I PASSWORD %L', 'bob', 'geheim'); END $do$",
    "SELECT set_config('app.password', 'geheim', false)",
    "SET LOCAL app.api_key TO 'geheim'",
    "SET app.secret = 'geheim'",
    'INSERT INTO settings VALUES (\'{"smtp_password": "geheim", "port": 25}\')',
    'INSERT INTO settings VALUES (\'{\\"token\\": \\"geheim\\"}\')',
    "CREATE USER MAPPING FOR bob SERVER s OPTIONS (user 'bob', password 'geheim')",
    "SELECT dblink_connect('host=db1 user=bob password=geheim')",
    "CREATE SUBSCRIPTION s CONNECTION 'postgresql://bob:geheim@db1/d' PUBLICATION p",
)


def pieces(secret: str) -> list[str]:
    return [secret[start : start + 6] for start in range(len(secret) - 5)]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_password_is_hidden_however_a_program_spells_it(spelling: str) -> None:
    import base64
    import html
    import json
    import re
    import urllib.parse

    names = {"base64": base64, "html": html, "json": json, "re": re, "urllib": urllib, "shlex": shlex}
    written = eval(spelling, {**names, "secret": SECRET})
    shown = redact(f"password is: {written}!", password_spellings(SECRET, ""))
    assert not [piece for piece in pieces(SECRET) if piece in shown], shown
    kept = shown.replace("password is: ", "")
    assert len(kept) < 16, shown  # of base64, a character or two may depend on what stands beside the secret


@pytest.mark.parametrize("sql", OTHERS)
def test_a_password_of_somebody_else_in_sql_is_hidden(sql: str) -> None:
    shown = redact(sql, ())
    assert "eheim" not in shown, shown
    assert "heim" not in shown, shown


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER TABLE user ADD COLUMN password VARCHAR(255) DEFAULT '' NOT NULL",
        "CREATE TABLE token (id integer, token varchar(64))",
        "UPDATE role SET name = 'token' WHERE name = 'secret'",
        "COMMENT ON COLUMN user.password IS 'a hash, never the password itself'",
    ],
)
def test_words_about_passwords_stay(sql: str) -> None:
    assert redact(sql, ()) == sql


@pytest.mark.slow
def test_neither_the_plan_nor_the_record_shows_passwords_that_a_migration_sets(
    magetui: Magetui, sqlite_database: SqliteDatabase, state_dir: Path, tmp_path: Path
) -> None:
    lines = "import logging\n" + "\n".join(f"logging.getLogger('alembic').warning({sql!r})" for sql in OTHERS)
    lines += '\nop.execute("insert into settings values (\'{\\"password\\": \\"geheim\\"}\')")'
    first = Revision("rev1", None, "one", "op.create_table('settings', sa.Column('value', sa.String))", "pass")
    project = make_project(
        tmp_path / "project", (first, Revision("rev2", "rev1", "two", lines, "pass")), sqlite_database.url
    )
    told = [
        magetui("--config", project.ini, *verb)
        for verb in (("plan", "migrate"), ("plan", "migrate", "--json"), ("migrate", "--yes"), ("runs", 1, "--report"))
    ]
    assert [done.status for done in told] == [0] * 4, told
    assert sqlite_database.rows("select value from settings") == [('{"password": "geheim"}',)]
    shown = "".join(done.stdout + done.stderr for done in told) + (state_dir / "runs" / "1.jsonl").read_text()
    assert "eheim" not in shown


@pytest.mark.slow
@pytest.mark.parametrize("given", ["--url {}", "--url={}", "--scratch-url {}"])
def test_a_password_in_the_arguments_is_not_left_for_ps(given: str, tmp_path: Path) -> None:
    url = "postgresql://mage:geheim@127.0.0.1:1/d"
    gate = tmp_path / "gate"
    (tmp_path / "site").mkdir()
    os.mkfifo(gate)
    # The program stops where it would connect, until somebody opens the pipe: its arguments can be read meanwhile.
    held = f"import sys\nif '(hidden)' in ' '.join(sys.orig_argv):\n    open({str(gate)!r}).read()\n"
    (tmp_path / "site" / "sitecustomize.py").write_text(held)
    words = [*Magetui.command("locks"), *given.format(url).split(" ")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PGPASSWORD": ""}
    process = subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    with gate.open("w"):  # the program has started again, and waits here
        shown = Path(f"/proc/{process.pid}/cmdline").read_text()  # what ps prints
    assert "geheim" not in shown
    assert "(hidden)" in shown
    _, complaint = process.communicate(timeout=30)
    assert "geheim" not in complaint
    if not given.startswith("--scratch"):
        assert "postgresql://mage:***@127.0.0.1:1/d (from --url)" in complaint


@pytest.mark.slow
def test_no_process_that_holds_a_password_dumps_its_memory(
    magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    lines = "import resource\nprint('limit', resource.getrlimit(resource.RLIMIT_CORE)[0])"
    project = make_project(tmp_path / "project", (Revision("rev1", None, "one", lines, "pass"),), sqlite_database.url)
    words = " ".join(map(shlex.quote, Magetui.command("--config", project.ini, "migrate", "--yes")))
    done = subprocess.run(
        ["/bin/sh", "-c", f"ulimit -c unlimited; exec {words}"], cwd=tmp_path, check=False, capture_output=True
    )
    assert done.returncode == 0, done
    assert b"limit 1\n" in done.stderr or b"limit 0\n" in done.stderr, done


@pytest.mark.slow
def test_a_lock_file_that_is_a_link_is_not_followed(
    magetui: Magetui, sqlite_database: SqliteDatabase, tmp_path: Path
) -> None:
    project = make_project(tmp_path / "project", (Revision("rev1", None, "one", "pass", "pass"),), sqlite_database.url)
    target = tmp_path / "precious"
    target.write_text("keep me")
    target.chmod(0o640)
    Path(f"{sqlite_database.path}.magetui-lock").symlink_to(target)
    done = magetui("--config", project.ini, "migrate", "--yes", "--lock-timeout-seconds", 1)
    assert done.status != 0, done
    assert "is a link, which is not followed" in " ".join(done.stderr.split()), done
    assert target.read_text() == "keep me"
    assert target.stat().st_mode & 0o777 == 0o640
