"""SQL on the screen: complete, wrapped with a hanging indent, and as long as people write it."""

from __future__ import annotations

import pytest

from magetui.engine.sessions.tree import Branch
from magetui.model.sessions import Session
from magetui.tui.widgets.session_detail import detail_lines
from magetui.tui.widgets.sql_text import sql_lines

WIDTH = 60


@pytest.mark.slow
def test_a_seed_of_a_hundred_thousand_characters_on_one_line_is_shown_completely() -> None:
    values = ", ".join(f"({number}, 'row {number}')" for number in range(6_000))
    sql = f"INSERT INTO item (id, name) VALUES {values};"
    lines = [line.plain for line in sql_lines(sql, WIDTH)]
    assert max(map(len, lines)) <= WIDTH
    assert all(line.startswith("    ") for line in lines[1:])
    assert "".join(lines).replace(" ", "") == sql.replace(" ", "")


def test_a_word_without_spaces_and_wide_characters_is_broken_where_the_line_ends() -> None:
    sql = f"SELECT '{'数' * 100}'"
    lines = sql_lines(sql, WIDTH)
    assert max(line.cell_length for line in lines) <= WIDTH
    assert "".join(line.plain for line in lines).replace(" ", "") == sql.replace(" ", "")


def test_a_session_whose_query_is_blank_or_huge_is_shown() -> None:
    def shown(query: str) -> list[str]:
        session = Session(4711, "mage", "deploy", "10.0.3.7", "idle", query, None, 5)
        return [line.plain for line in detail_lines(Branch(session, 0, 0), [session], WIDTH, 6)]

    assert any("mage from 10.0.3.7" in line for line in shown(" \n "))
    assert shown("SELECT " + "x" * 100_000)[0].startswith("last query  SELECT")
