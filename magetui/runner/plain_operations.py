"""Recorded operations with plain values only, and with names as the server stores them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from magetui.model import operations as recorded
from magetui.model.identifiers import stored
from magetui.protocol import codec
from magetui.runner.custom_operations import unclear

# The fields that are names, or lists of names. An indexed expression is no name.
NAMES = frozenset(
    """table schema name new_name column columns primary_key primary_key_name referred_schema referred_table
    referred_columns type""".split()  # noqa: SIM905 - to be read, not scrolled
)
NAME = re.compile(r"[^\W\d][\w$]*")


def plain_operation(operation: recorded.Operation, dialect: str) -> recorded.Operation:
    """Return the operation with plain values. If a value is something else, such as a column, nothing is known of it.

    PostgreSQL cuts names, and SQLAlchemy does not refuse a name that is too long only because of its bytes.
    """
    try:
        values = codec.encode(operation)
        plain: recorded.Operation = codec.decode(
            recorded.Operation, _with_stored_names(values) if dialect == "postgresql" else values
        )
    except (TypeError, ValueError):
        return unclear(operation.kind, *(getattr(operation, field.name) for field in fields(operation)))
    return plain


def _with_stored_names(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _with_stored_names(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_stored_names(item, key) for item in value]
    return stored(value) if key in NAMES and isinstance(value, str) and NAME.fullmatch(value) else value
