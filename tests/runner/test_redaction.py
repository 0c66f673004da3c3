"""No credential leaves the program, however it was spelt and wherever it stood."""

from __future__ import annotations

import time
from urllib.parse import quote, quote_plus

import pytest
from sqlalchemy.engine import make_url

from magetui.protocol.events import RunEnded, decode, encode
from magetui.protocol.redaction import HIDDEN, redact, redact_url, secrets_of

# Passwords that somebody has had: each breaks another way of looking for them.
PASSWORDS = (
    "hunter2",
    "p@ss",
    "p@ss@elk",
    "co:lon",
    "sla/sh",
    "100%sure",
    "per%cent",
    "ha#sh",
    "what?why=no",
    "s3cret/p@ss:w%rd#1",
    "semi;colon",
    "am&persand",
    "sp ace",
    "pl+us",
    "[brackets]",
    "{braces}",
    "clo}se",
    "quo'te",
    'double"quote',
    "back\\slash",
    "Grüße",
    "elk=owl=x",
    "://@/",
)
NOT_IN_A_QUERY = frozenset(p for p in PASSWORDS if set(p) & set("&# "))


def fragments(password: str) -> list[str]:
    """What of a password may not show: all of it, and every piece of four characters or more."""
    return [password[start : start + 4] for start in range(max(1, len(password) - 3))]


def assert_hidden(password: str, text: str) -> None:
    for spelt in (password, quote(password, safe=""), quote_plus(password)):
        for fragment in fragments(spelt):
            assert fragment not in text


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_before_the_host_is_hidden_encoded_or_not(password: str) -> None:
    for spelt in (password, quote(password, safe="")):
        shown = redact_url(f"postgresql://mage:{spelt}@db1:5432/orchestration?sslmode=require")
        assert shown == f"postgresql://mage:{HIDDEN}@db1:5432/orchestration?sslmode=require"


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_in_the_query_is_hidden(password: str) -> None:
    spellings = [quote(password, safe=""), quote_plus(password)]
    if password not in NOT_IN_A_QUERY:
        spellings.append(password)
    for spelt in spellings:
        for key in ("password", "PASSWORD", "sslpassword", "passfile"):
            shown = redact_url(f"postgresql://db1/orchestration?user=mage&{key}={spelt}&sslmode=require")
            assert_hidden(password, shown)
            assert shown.endswith("&sslmode=require")


@pytest.mark.parametrize("password", PASSWORDS)
def test_a_password_in_odbc_connect_is_hidden(password: str) -> None:
    braced = "{" + password.replace("}", "}}") + "}"
    for value in (password, braced) if not set(password) & set(";{} &") else (braced,):
        keywords = f"DRIVER={{ODBC Driver 18 for SQL Server}};SERVER=db1;UID=mage;PWD={value};ENCRYPT=yes;"
        encoded = quote_plus(keywords)
        for text in (keywords, encoded):
            shown = redact_url(f"mssql+pyodbc://?odbc_connect={text}")
            assert_hidden(password, shown)
            if text == encoded or "&" not in password:
                assert shown == f"mssql+pyodbc://mage:{HIDDEN}@db1"
        cut = redact_url(f"mssql+pyodbc://?odbc_connect={keywords};ENCRYPT={{yes")  # no grammar reads this
        assert_hidden(password, cut)
        assert "ENCRYPT" in cut
        url = make_url(f"mssql+pyodbc://?odbc_connect={encoded}")
        assert_hidden(password, redact_url(url.render_as_string(hide_password=True)))
        said = f"('28000', \"Login failed, {keywords} refused, the key '{password}'\")"
        assert_hidden(password, redact(said, secrets_of(url.render_as_string(hide_password=False))))


@pytest.mark.parametrize("password", PASSWORDS)
@pytest.mark.parametrize(
    "beginning",
    ["postgresql//mage", "postgresql:/mage", "mage", "postgresql://ma/ge", "postgresql://mage@srv", "://"],
)
def test_what_is_no_url_hides_its_password_too(beginning: str, password: str) -> None:
    shown = redact_url(f"{beginning}:{password}@db1:5432/orchestration")
    assert shown.endswith("@db1:5432/orchestration")
    assert_hidden(password, shown.removesuffix("@db1:5432/orchestration"))


@pytest.mark.parametrize("password", PASSWORDS)
def test_what_drivers_and_scripts_repeat_is_hidden(password: str) -> None:
    encoded = quote(password, safe="")
    secrets = secrets_of(f"postgresql://mage:{encoded}@db1/orchestration")
    for said in (
        f'connection to server at "db1" failed: password "{password}" is wrong',
        f"could not parse postgresql://mage:{encoded}@db1/orchestration",
        f"could not parse postgresql://mage:{quote_plus(password)}@db1/orchestration",
        f"connect(host='db1', password={password!r})" if repr(password)[1:-1] == password else password,
    ):
        assert_hidden(password, redact(said, secrets))


def test_the_rest_of_a_url_stays_for_the_operator_to_read() -> None:
    for url in (
        "postgresql://db1:5432/orchestration?options=-c+search_path%3Dmage",
        "postgresql://mage@db1/orchestration",
        "sqlite:////var/lib/mage/mage-ai.db",
        "mssql+pyodbc://?odbc_connect=DRIVER%3D%7BFreeTDS%7D%3BUID%3Dmage",  # it names no server
    ):
        assert redact_url(url) == url
        assert secrets_of(url) == ()


def test_a_password_that_is_the_users_name_too_does_not_tear_messages_apart() -> None:
    secrets = secrets_of("postgresql://mage:mage@db1/mage")
    assert redact('database "mage" does not exist', secrets) == 'database "mage" does not exist'
    assert redact("at postgresql://mage:mage@db1/mage", secrets) == f"at postgresql://mage:{HIDDEN}@db1/mage"


def test_a_password_that_is_a_word_of_ours_leaves_the_journal_readable() -> None:
    ended = RunEnded(at="2026-01-01T00:00:00Z", outcome="done", current=("abandoned",), elapsed_ms=1, error="done")
    read = decode(encode(ended, lambda text: redact(text, ("done",))))
    assert isinstance(read, RunEnded)
    assert (read.outcome, read.current, read.error) == ("done", ("abandoned",), HIDDEN)


def test_keywords_of_a_libpq_string_are_hidden() -> None:
    for said in ("password=hunter2", "password = 'hunt er2'", r"password='hunt\'er2'", "PGPASSWORD=hunter2"):
        shown = redact(f"could not connect with host=db1 {said} dbname=mage", ())
        assert "hunt" not in shown
        assert "er2" not in shown
        assert shown.startswith("could not connect with host=db1 ")
        assert shown.endswith(" dbname=mage")


@pytest.mark.slow
@pytest.mark.parametrize(
    "piece",
    ["QUJDREVGR0hJSktM/+", " ", "a:", "a", "a://b:", "password=", "pwd={", "pwd='", "%3b", "password ", ";"],
)
@pytest.mark.parametrize("beginning", ["", "password=", "a://b:"])
def test_a_megabyte_in_one_word_takes_its_length_in_time_and_not_its_square(beginning: str, piece: str) -> None:
    def seconds(length: int) -> float:
        text = beginning + piece * (length // len(piece))
        taken = []
        for _ in range(3):
            began = time.thread_time()
            redact(text, ("hunter2",))
            taken.append(time.thread_time() - began)
        return min(taken)

    assert seconds(200_000) < 4 * max(seconds(100_000), 0.005)  # what is quadratic takes seconds
