"""Defaults as the values that they are, whatever the spelling: a server keeps the value, and spells it in its own way.

A script says E'it\\'s', CAST('5' AS integer) or 1e-5 where PostgreSQL then says 'it''s'::text, 5 or '1e-05'.
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
LONG_NUMBER = 40  # with so many digits before or after the point it is spelled with an exponent
EXACTLY = Context(prec=100_000, Emax=MAX_EMAX, Emin=MIN_EMIN)


def bare(text: str) -> str:
    """What brackets, casts and collations leave of an expression; a string in plain quotes, however it was quoted."""
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
    """A number in one spelling, rounded as a column of that type keeps it; None where it is none."""
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
        return (
            f"{struct.unpack('f', struct.pack('f', value))[0]:.7g}"
            if kind == "real"
            else repr(value).removesuffix(".0")
        )
    except (ValueError, OverflowError):
        return None


def _encloses(text: str) -> bool:
    """Whether the first bracket is closed by the last character."""
    depth = 0
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return place == len(text) - 1
    return False


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _unescaped(match: re.Match[str]) -> str:
    """What one escape stands for (manual, 4.1.2.2)."""
    said = match[1]
    if said is None:
        return "'"
    if said[0] in "xuU" and len(said) > 1:
        return chr(int(said[1:], 16))
    if said.isdigit():
        return chr(int(said, 8))
    return CONTROLS.get(said, said)
