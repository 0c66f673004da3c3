"""Syntax trees of Python scripts, built by one thread at a time.

Some releases of Python 3.11 count the depth of a tree in one variable for all threads. If two threads parse at once,
they raise SystemError, "AST constructor recursion depth mismatch" (CPython issue 106905).
"""

from __future__ import annotations

import ast
import threading
import warnings

_turn = threading.Lock()


def tree_of(text: str | bytes, name: str = "a script") -> ast.Module:
    """Return the script's syntax tree. Raises `SyntaxError` or `ValueError`, which call the script `name`."""
    with _turn, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as warnings of invalid escape sequences
        try:
            return ast.parse(text, filename=name)
        except (RecursionError, MemoryError):  # the parser's own stack is full
            raise ValueError("its expressions are nested too deeply") from None
