"""Syntax trees of scripts, made by one thread at a time.

Some releases of Python 3.11 count how deep a tree is in one place for all threads, and end with a SystemError, "AST
constructor recursion depth mismatch", where two make one at once (CPython issue 106905).
"""

from __future__ import annotations

import ast
import threading
import warnings

_turn = threading.Lock()


def tree_of(text: str | bytes, name: str = "a script") -> ast.Module:
    """The tree of a script, which an error calls `name`. Raises `SyntaxError` or `ValueError` where it is none."""
    with _turn, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whatever Python thinks of a stranger's escapes
        return ast.parse(text, filename=name)
