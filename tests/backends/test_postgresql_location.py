"""The location of a server: from the server itself behind a pooler, and from the driver if the URL does not name it."""

from __future__ import annotations

import pytest
from sqlalchemy.engine import make_url

from magetui.backends.postgresql.pooler import server_location
from magetui.backends.postgresql.server import names, wanted_path
from magetui.text import formats

URL = "postgresql://mage:***@db1:5432/mage"


@pytest.mark.parametrize(
    ("address", "port", "place"),
    [
        ("10.0.3.9", 5432, "it is 10.0.3.9:5432"),
        ("fd00::9", 5433, "it is [fd00::9]:5433"),
        ("127.0.0.1", 6000, "it listens on port 6000, on the machine that the pooler runs on"),
        ("::1", 6000, "it listens on port 6000, on the machine that the pooler runs on"),
        (None, None, "it listens on a Unix socket, on the machine that the pooler runs on"),
    ],
)
def test_server_behind_a_pooler_is_placed_from_its_own_end_of_the_line(
    address: str | None, port: int | None, place: str
) -> None:
    assert server_location(address, port) == place


@pytest.mark.parametrize(
    ("url", "address", "tls", "said"),
    [
        (URL, "db1:5432", "TLSv1.3", ", TLSv1.3"),
        (URL, "db1:5432", None, ", without TLS"),
        ("postgresql:///?service=prod", "db1:5432", "TLSv1.2", " at db1:5432, TLSv1.2"),
        (
            "postgresql:///mage",
            "the socket /run/postgresql/.s.PGSQL.5432",
            None,
            " at the socket /run/postgresql/.s.PGSQL.5432",
        ),
        ("postgresql://mage@127.0.0.1:5432/mage", "127.0.0.1:5432", None, ""),
        ("sqlite:///mage.db", None, None, ""),
    ],
)
def test_only_what_the_url_does_not_tell_is_said_of_a_connection(
    url: str, address: str | None, tls: str | None, said: str
) -> None:
    assert formats.connected(url, address, tls) == said


@pytest.mark.parametrize(
    ("options", "path", "schemas"),
    [
        ("-csearch_path%3Dteam", "team", ["team"]),
        ("-c%20statement_timeout%3D0%20-c%20search_path%3DTeam,public", "Team,public", ["team", "public"]),
        ("--search_path%3D%22A%5C%20b%22,c", '"A b",c', ["A b", "c"]),
        ("-c%20statement_timeout%3D0", None, []),
    ],
)
def test_search_path_of_a_url_is_read_as_libpq_and_the_server_do(
    options: str, path: str | None, schemas: list[str]
) -> None:
    wanted = wanted_path(make_url(f"postgresql://db1/mage?options={options}"))
    assert wanted == path
    assert names(wanted or "") == schemas
