"""Column defaults in one spelling: a server keeps the value of a default, and spells it in its own way.

If a script says E'it\\'s', CAST('5' AS integer) or 1e-5, PostgreSQL reports 'it''s'::text, 5 or '1e-05'.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal

COLLATION = re.compile(r'\s+collate\s+(?:(?:"[^"]+"|[\w-]+)\.)?(?:"[^"]+"|[\w-]+)$', re.IGNORECASE)
CAST_BEHIND = re.compile(
    r"""::\s*(?:"[^"]+"|[a-z_][\w.]*)
        (?:[ ](?:varying|precision|with(?:out)?[ ]time[ ]zone))?
        (?:\(\d+(?:,[ ]?\d+)?\))?(?:\[\])*$""",
    re.VERBOSE | re.IGNORECASE,
)
CAST = re.compile(r"cast\s*\((.+)\s+as\s+[^()]+(?:\([\d\s,]+\))?[^()]*\)", re.IGNORECASE | re.DOTALL)
TYPED = re.compile(
    r"(?:int[248]?|integer|bigint|smallint|numeric|decimal|float[48]?|real|double\s+precision|bool|boolean|text|varchar"
    r"|json)\s+('(?:[^']|'')*')",
    re.IGNORECASE,
)
SIGNED = re.compile(r"([+-])\s*(.+)", re.DOTALL)
STRING = re.compile(r"'((?:[^']|'')*)'")
ESCAPED = re.compile(r"e'((?:[^'\\]|''|\\.)*)'", re.IGNORECASE | re.DOTALL)
ESCAPE = re.compile(r"\\(x[0-9a-f]{1,2}|u[0-9a-f]{4}|U[0-9a-f]{8}|[0-7]{1,3}|.)|''", re.DOTALL)
NATIONAL = re.compile(r"n('(?:[^']|'')*')", re.IGNORECASE)
DOLLARS = re.compile(r"(\$\w*\$)(.*)\1", re.DOTALL)
CONTROLS: Mapping[str, str] = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
OTHER_BASE = re.compile(r"0(?:x[0-9a-f_]+|o[0-7_]+|b[01_]+)", re.IGNORECASE)
NUMBER = re.compile(r"(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|" + OTHER_BASE.pattern, re.IGNORECASE)
FLOATS = frozenset({"real", "double precision"})
LONG_NUMBER = 40  # digits before or after the point, from which on a number is spelled with an exponent
EXACTLY = Context(prec=100_000, Emax=MAX_EMAX, Emin=MIN_EMIN)


def bare(text: str) -> str:
    """Return an expression without brackets, casts and collations; a string is returned in plain quotes."""
    shorter = text.strip()
    while True:
        before = shorter
        shorter = COLLATION.sub("", CAST_BEHIND.sub("", shorter)).strip()
        if shorter.startswith("(") and _encloses(shorter):
            shorter = shorter[1:-1].strip()
        elif cast := CAST.fullmatch(shorter):
            shorter = cast[1].strip()
        elif typed := TYPED.fullmatch(shorter) or NATIONAL.fullmatch(shorter):
            shorter = typed[1]
        if shorter == before:
            break
    if escaped := ESCAPED.fullmatch(shorter):
        return _quoted(ESCAPE.sub(_unescaped, escaped[1]))
    if dollars := DOLLARS.fullmatch(shorter):
        return _quoted(dollars[2])
    if signed := SIGNED.fullmatch(shorter):
        rest = bare(signed[2])
        value = rest.strip("' ")
        return f"{signed[1].replace('+', '')}{value}" if NUMBER.fullmatch(value) else shorter
    return shorter


def number_in(value: str, kind: str) -> str | None:
    """Return a number in one spelling, rounded as a column of that type keeps it; None if `value` is no number."""
    text = value.strip()
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text.removeprefix("+"))
    if kind in FLOATS:
        return _float(text, kind)
    if not NUMBER.fullmatch(digits):
        return None
    try:
        number = Decimal(int(digits, 0)) if OTHER_BASE.fullmatch(digits) else Decimal(digits)
        plain = EXACTLY.normalize(number)
    except ArithmeticError:
        return text  # larger than any column holds
    if not plain:
        return "0"
    return sign + (f"{plain:f}" if abs(plain.adjusted()) < LONG_NUMBER else str(plain))


def _float(text: str, kind: str) -> str | None:
    try:
        value = float(text) + 0.0  # a zero has no sign
        if kind == "real":
            return f"{struct.unpack('f', struct.pack('f', value))[0]:.7g}"
        return repr(value).removesuffix(".0")
    except (ValueError, OverflowError):
        return None


def _encloses(text: str) -> bool:
    """Return True if the last character closes the first bracket."""
    depth = 0
    for index, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return index == len(text) - 1
    return False


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _unescaped(match: re.Match[str]) -> str:
    """Return the character that an escape stands for (PostgreSQL manual, 4.1.2.2)."""
    escape = match[1]
    if escape is None:
        return "'"
    if escape[0] in "xuU" and len(escape) > 1:
        return chr(int(escape[1:], 16))
    if escape.isdigit():
        return chr(int(escape, 8))
    return CONTROLS.get(escape, escape)
