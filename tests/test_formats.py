"""Values as a person reads them: databases, sizes and dates."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from magetui.text import formats

LOCAL = "mage:***@127.0.0.1:5432/mage"


@pytest.mark.parametrize(
    ("url", "label"),
    [
        (f"postgresql://{LOCAL}", "mage@127.0.0.1:5432/mage"),
        (f"postgresql://{LOCAL}?options=-csearch_path%3Dlibrary", "mage@127.0.0.1:5432/mage schema library"),
        ("postgresql://mage@/mage?host=%2Fvar%2Frun%2Fpostgresql", "mage@/mage socket /var/run/postgresql"),
        ("postgresql://mage@db1/my%20data", "mage@db1/my data"),
        ("postgresql://a%40b:***@db1/x%2Fy", "a%40b@db1/x%2Fy"),  # decoded, it would be another URL
        ("postgresql://db1/mage?user=mage&password=***", "db1/mage?user=mage"),
        ("postgresql://db1/mage?options=-csearch_path%3Da%2Cb", "db1/mage?options=-csearch_path%3Da%2Cb"),
        ("postgresql://db1/a%1B%5B31m", "db1/a\\x1b[31m"),
        ("sqlite:////srv/scheduler.db", "/srv/scheduler.db"),
    ],
)
def test_a_database_is_named_without_percent_codes_and_without_a_credential(url: str, label: str) -> None:
    assert formats.place(url) == label


def test_a_database_in_a_list_is_named_without_its_role() -> None:
    assert formats.database(f"postgresql://{LOCAL}") == "127.0.0.1:5432/mage"


def test_a_socket_that_the_url_spells_with_percents_is_named_readably() -> None:
    address = "the socket /run/pg/.s.PGSQL.5432"
    assert formats.connected("postgresql://mage@/mage?host=%2Frun%2Fpg", address, None) == f" at {address}"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1 kB"),
        (8_192, "8 kB"),
        (4_136 * 1_024, "4 MB"),
        (2_200_000, "2.1 MB"),
        (10_190, "10 kB"),
        (348_160, "340 kB"),
        (999 * 1_024 + 600, "1 MB"),
    ],
)
def test_a_size_has_at_most_three_digits(count: int, text: str) -> None:
    assert formats.size(count) == text


def test_a_moment_of_another_day_has_its_date() -> None:
    now = datetime.now(timezone.utc)
    earlier, longer = now - timedelta(days=40), now - timedelta(days=800)
    assert formats.local_time(now.isoformat()) == now.astimezone().strftime("%H:%M:%S")
    assert earlier.astimezone().strftime("%m-%d") in formats.local_time(earlier.isoformat())
    assert formats.local_time(longer.isoformat()) == longer.astimezone().strftime("%Y-%m-%d")
