"""The tokens of a TDS response, as bytes ([MS-TDS] 2.2.7)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

DONE, DONE_PROCEDURE, DONE_IN_PROCEDURE = 0xFD, 0xFE, 0xFF
ERROR, ENVIRONMENT, LOGIN_ACKNOWLEDGED, COLUMNS, ROW, STATUS, RETURN_VALUE = 0xAA, 0xE3, 0xAD, 0x81, 0xD1, 0x79, 0xAC
FEATURES = bytes.fromhex("AEFF")  # none of them
COLLATION = bytes.fromhex("0904D00034")  # SQL_Latin1_General_CP1_CI_AS
VERSION = (16, 0, 4165)
INTN, FLTN, NVARCHAR, VARBINARY = 0x26, 0x6D, 0xE7, 0xA5
MAX = 0xFFFF
LONGEST = 4000  # characters of an NVARCHAR that is no NVARCHAR(MAX)


def prelogin(encryption: bytes) -> bytes:
    """Return the answer to a client's first message."""
    major, minor, build = VERSION
    options = [(0, struct.pack(">BBHH", major, minor, build, 0)), (1, encryption), (2, b"\0"), (3, b""), (4, b"\0")]
    offset = 5 * len(options) + 1
    header = values = b""
    for token, value in options:
        header += struct.pack(">BHH", token, offset + len(values), len(value))
        values += value
    return header + b"\xff" + values


def logged_in(database: str) -> bytes:
    major, minor, build = VERSION
    program = "Microsoft SQL Server"
    acknowledged = b"\1\x74\0\0\4" + _short_text(program) + struct.pack(">BBH", major, minor, build)
    return (
        _environment(1, _short_text(database) + _short_text("master"))
        + _environment(7, bytes((len(COLLATION),)) + COLLATION + b"\0")
        + struct.pack("<BH", LOGIN_ACKNOWLEDGED, len(acknowledged))
        + acknowledged
        + _environment(4, _short_text("4096") + _short_text("4096"))
        + done()
    )


def transaction_changed(before: int, now: int, *, rolled_back: bool) -> bytes:
    """Return what tells a client that a transaction has begun (`now`), or ended (`before`)."""
    kind = 8 if now else 10 if rolled_back else 9
    new, old = (b"\x08" + struct.pack("<Q", number) if number else b"\0" for number in (now, before))
    return _environment(kind, new + old)


def error(number: int, text: str, severity: int) -> bytes:
    body = struct.pack("<IBB", number, 1, severity) + _text(text) + _short_text("fake") + b"\0" + struct.pack("<I", 1)
    return struct.pack("<BH", ERROR, len(body)) + body


def done(
    *, kind: int = DONE, more: bool = False, error: bool = False, count: int | None = None, attention: bool = False
) -> bytes:
    status = more * 0x01 | error * 0x02 | (count is not None) * 0x10 | attention * 0x20
    return struct.pack("<BHHQ", kind, status, 0, count or 0)


def return_status() -> bytes:
    return struct.pack("<Bi", STATUS, 0)


def returned(handle: int | None) -> bytes:
    """Return the handle of a prepared statement, the output parameter of sp_prepexec; nothing for None."""
    if handle is None:
        return b""
    head = struct.pack("<BH", RETURN_VALUE, 0) + _short_text("") + struct.pack("<BIH", 1, 0, 0)
    return head + bytes((INTN, 4, 4)) + struct.pack("<i", handle)


def rows(names: Sequence[str], values: Sequence[Sequence[Any]]) -> bytes:
    kinds = [_kind([row[number] for row in values]) for number in range(len(names))]
    metadata = struct.pack("<BH", COLUMNS, len(names))
    for name, kind in zip(names, kinds, strict=True):
        metadata += struct.pack("<IH", 0, 0x0009) + _type(kind) + _short_text(name)
    lines = (
        bytes((ROW,)) + b"".join(_value(kind, value) for kind, value in zip(kinds, row, strict=True)) for row in values
    )
    return metadata + b"".join(lines)


def _kind(values: Sequence[Any]) -> tuple[int, bool]:
    """Return the type of a column with these values, and whether it is a type of any length (MAX)."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, int) for value in known):
        return INTN, False
    if known and all(isinstance(value, (int, float)) for value in known):
        return FLTN, False
    if known and all(isinstance(value, bytes) for value in known):
        return VARBINARY, False
    return NVARCHAR, any(len(str(value)) > LONGEST for value in known)


def _type(kind: tuple[int, bool]) -> bytes:
    if kind[0] in (INTN, FLTN):
        return bytes((kind[0], 8))
    size = struct.pack("<BH", kind[0], MAX if kind[1] else 8000)
    return size + (COLLATION if kind[0] == NVARCHAR else b"")


def _value(kind: tuple[int, bool], value: Any) -> bytes:
    if kind[0] in (INTN, FLTN):
        number = struct.pack("<q" if kind[0] == INTN else "<d", value) if value is not None else b""
        return bytes((len(number),)) + number
    data = value if isinstance(value, bytes) else str(value).encode("utf-16-le")
    if kind[1]:
        return b"\xff" * 8 if value is None else struct.pack("<QI", len(data), len(data)) + data + bytes(4)
    return struct.pack("<H", MAX) if value is None else struct.pack("<H", len(data)) + data


def _environment(kind: int, values: bytes) -> bytes:
    return struct.pack("<BHB", ENVIRONMENT, len(values) + 1, kind) + values


def _text(text: str) -> bytes:
    return struct.pack("<H", len(text)) + text.encode("utf-16-le")


def _short_text(text: str) -> bytes:
    return bytes((len(text),)) + text.encode("utf-16-le")
