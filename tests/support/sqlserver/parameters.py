"""The procedure calls of the drivers ([MS-TDS] 2.2.6.6): parameters are written into their statement as literals."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Any

SP_EXECUTESQL, SP_EXECUTE, SP_PREPEXEC, SP_UNPREPARE = 10, 12, 13, 15
INTN, BITN, NTEXT, NVARCHAR, VARCHAR, VARBINARY = 0x26, 0x68, 0x63, 0xE7, 0xA7, 0xA5
NAMES = {"sp_executesql": SP_EXECUTESQL, "sp_execute": SP_EXECUTE, "sp_prepexec": SP_PREPEXEC}
TYPES = "[sys].sp_datatype_info_100"  # pyodbc asks for the sizes of types, and does without them
MAX = 0xFFFF


@dataclass(frozen=True)
class Call:
    """The statement to execute (None: nothing to do), and the handle to return, if the statement was prepared."""

    sql: str | None
    handle: int | None = None


def called(body: bytes, prepared: dict[int, str]) -> Call:
    """Return what a call executes. `prepared` has the statements that the session has prepared, by handle."""
    reader = _Reader(body)
    length = reader.unpack("<H")
    name = "" if length == MAX else reader.text(length)
    if name == TYPES:
        return Call(None)
    procedure = NAMES[name] if name else reader.unpack("<H")
    reader.unpack("<H")  # options
    values = reader.parameters()
    if procedure == SP_UNPREPARE:
        return Call(None)
    if procedure == SP_EXECUTE:
        return Call(_written(prepared[values[0][1]], [value for _, value in values[1:]]))
    if procedure == SP_EXECUTESQL:
        statement, parameters = values[0][1], values[2:]
        return Call(_named(statement, values[1][1] if len(values) > 1 else "", parameters))
    assert procedure == SP_PREPEXEC, procedure
    handle = len(prepared) + 1
    declared, statement, parameters = values[1][1] or "", values[2][1], values[3:]
    prepared[handle] = statement
    return Call(_named(statement, declared, parameters), handle)


def _named(statement: str, declared: str, parameters: list[tuple[str, Any]]) -> str:
    """Return the statement with each parameter that `declared` names replaced by its value."""
    names = re.findall(r"@\w+", declared)
    values = dict(zip(names, (value for _, value in parameters), strict=False))
    return re.sub(r"@P?\w+", lambda match: _literal(values[match[0]]) if match[0] in values else match[0], statement)


def _written(statement: str, values: list[Any]) -> str:
    names = list(dict.fromkeys(re.findall(r"@P\w+", statement)))
    literals = dict(zip(names, map(_literal, values), strict=False))
    return re.sub(r"@P\w+", lambda match: literals.get(match[0], match[0]), statement)


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "N'" + str(value).replace("'", "''") + "'"


class _Reader:
    """A cursor on a call's bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def unpack(self, layout: str) -> Any:
        [value] = struct.unpack_from(layout, self._data, self._at)
        self._at += struct.calcsize(layout)
        return value

    def take(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]

    def text(self, characters: int) -> str:
        return self.take(2 * characters).decode("utf-16-le")

    def parameters(self) -> list[tuple[str, Any]]:
        """Return the names and values of all parameters."""
        found = []
        while self._at < len(self._data):
            name = self.text(self.unpack("<B"))
            self.take(1)  # flags
            found.append((name, self._parameter()))
        return found

    def _parameter(self) -> Any:
        kind = self.unpack("<B")
        if kind in (INTN, BITN):
            self.take(1)
            length = self.unpack("<B")
            return int.from_bytes(self.take(length), "little", signed=kind == INTN) if length else None
        if kind == NTEXT:
            self.take(9)  # the longest length, and the collation
            length = self.unpack("<i")
            return None if length < 0 else self.take(length).decode("utf-16-le")
        assert kind in (NVARCHAR, VARCHAR, VARBINARY), hex(kind)
        longest = self.unpack("<H")
        if kind != VARBINARY:
            self.take(5)  # the collation
        data = self._chunks() if longest == MAX else self._short()
        if data is None or kind == VARBINARY:
            return data
        return data.decode("utf-16-le" if kind == NVARCHAR else "latin-1")

    def _short(self) -> bytes | None:
        length = self.unpack("<H")
        return None if length == MAX else self.take(length)

    def _chunks(self) -> bytes | None:
        if self.unpack("<Q") == 2**64 - 1:
            return None
        data = b""
        while length := self.unpack("<I"):
            data += self.take(length)
        return data
