"""The graph of branches beside the revisions: each line that leaves a revision ends in another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from magetui.engine.revisions.graph import Chain
from magetui.engine.revisions.headers import Revision
from magetui.engine.revisions.lanes import lanes_of

SHAPES = {
    "a line": ("c<b b<a a", ["c ●", "b ●", "a ●"]),
    "a fork": ("c<a b<a a", ["c ●", "b │ ●", "a ●─┘"]),
    "a fork of three": ("d<a c<a b<a a", ["d ●", "c │ ●", "b │ │ ●", "a ●─┴─┘"]),
    "a merge": ("d<b,c c<a b<a a", ["d ●─┐", "c │ ●", "b ● │", "a ●─┘"]),
    "an octopus": ("e<b,c,d d<a c<a b<a a", ["e ●─┬─┐", "d │ │ ●", "c │ ● │", "b ● │ │", "a ●─┴─┘"]),
    "two bases": ("b<a d<c c a", ["b ●", "d │ ●", "c │ ●", "a ●"]),
    "two bases that merge": ("e<a,c c a", ["e ●─┐", "c │ ●", "a ●"]),
    "a merge into a line that is there": ("e<c d<b,c c<a b<a a", ["e ●", "d ├─●", "c ● │", "b │ ●", "a ●─┘"]),
    "a fork across another line": ("f<a e<d d<b c<a b a", ["f ●", "e │ ●", "d │ ●", "c │ │ ●", "b │ ● │", "a ●───┘"]),
    "a fork below a line that continues": (
        "f<b e<a d<b b<x a<x x",
        ["f ●", "e │ ●", "d │ │ ●", "b ●─┼─┘", "a │ ●", "x ●─┘"],
    ),
    "a branch that ended": ("e<d d b<a c<a a", ["e ●", "d ●", "b ●", "c │ ●", "a ●─┘"]),
    "a parent that no script has": ("c<z b<a a", ["c ●", "b ●", "a ●"]),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_line_of_the_graph_ends_in_a_revision(shape: str) -> None:
    text, expected = SHAPES[shape]
    pairs = [part.partition("<")[::2] for part in text.split()]
    revisions = tuple(
        Revision(name, tuple(filter(None, parents.split(","))), (), (), "", None, Path(name)) for name, parents in pairs
    )
    lanes = lanes_of(Chain(revisions, ()))
    assert [f"{name} {lane.drawn('●')}".rstrip() for name, lane in lanes.items()] == expected
