"""Frozen dataclasses to and from JSON values, by their type hints: the one codec of journal, cache, requests, answers.

A dataclass is an object with a key for each field, a tuple is a list, None is null. Classes that may stand in the same
place are a family: their base class has a class variable `TAG`, which names the class variable that tells the classes
apart. That variable is written as a key of the object:

    class Event:                    class RunEnded(Event):
        TAG: ClassVar = "event"         event: ClassVar = "run-ended"
        event: ClassVar = ""            outcome: str

    {"event": "run-ended", "outcome": "done"}

The decoder ignores keys that no field has, so that a journal can be read by an older version. A value that does not fit
its type hint raises `CodecError`. The hints of a class are resolved once, so the modules of these classes import the
names in their hints at run time, not under `TYPE_CHECKING`.

It needs only the standard library, since it also runs under the interpreter of the project.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints, overload

FORMAT = 2  # of journals and caches; 1 named some fields otherwise, and had no format number

SCALARS = (str, int, bool)
Decoder = Callable[[Any], Any]
T = TypeVar("T")


class CodecError(ValueError):
    """A JSON value does not fit its type hint. The message names the class and the field, but not the value."""


# -- values to JSON


def encode(value: object) -> Any:
    """Return the JSON value of a dataclass, or of a container of dataclasses. Raises `TypeError` for other classes."""
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(encode(item) for item in value)
    kind: Any = type(value)
    tag, names = _shape(kind)
    return {**tag, **{name: encode(getattr(value, name)) for name in names}}


@cache
def _shape(kind: type[Any]) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """Return the tag of a dataclass as a key and a value, if it has one, and the names of its fields."""
    tag = getattr(kind, "TAG", None)
    return {} if tag is None else {tag: getattr(kind, tag)}, tuple(field.name for field in fields(kind))


# -- JSON to values


@overload
def decode(hint: type[T], value: object) -> T: ...


@overload
def decode(hint: object, value: object) -> Any: ...


def decode(hint: Any, value: object) -> Any:
    """Return the value that `encode` made into JSON. Raises `CodecError`, and `TypeError` for an unknown type hint."""
    return _decoder(hint)(value)


@cache
def _decoder(hint: Any) -> Decoder:
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return lambda value: value
    if hint in SCALARS:
        return _scalar(hint)
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is Literal:
        return _literal(frozenset(arguments))
    if origin is not None:
        return _container(hint, origin, arguments)
    return _tagged((hint,)) if hasattr(hint, "TAG") else _dataclass(hint)


def _container(hint: Any, origin: Any, arguments: tuple[Any, ...]) -> Decoder:
    if origin is Mapping:
        inner = _decoder(arguments[1])
        return _checked(dict, "object", lambda value: {key: inner(part) for key, part in value.items()})
    if origin is frozenset or (origin is tuple and arguments[1:] == (...,)):
        item = _decoder(arguments[0])
        return _checked(list, "list", lambda value: origin(map(item, value)))
    if origin is tuple:
        return _fixed_tuple(tuple(map(_decoder, arguments)))
    raise TypeError(f"The codec does not know the type hint {hint}")


def _scalar(kind: type[Any], *others: type[Any]) -> Decoder:
    allowed = (kind, *others)

    def read(value: Any) -> Any:
        if isinstance(value, allowed):
            return value
        raise _mismatch(kind.__name__, value)

    return read


def _literal(allowed: frozenset[Any]) -> Decoder:
    def read(value: Any) -> Any:
        if isinstance(value, (str, int)) and value in allowed:
            return value
        raise _mismatch(" | ".join(map(repr, sorted(allowed))), value)

    return read


def _union(hints: tuple[Any, ...]) -> Decoder:
    """Return the decoder of an optional value, or of one that belongs to any of several families."""
    others = tuple(hint for hint in hints if hint is not types.NoneType)
    if len(others) == len(hints):
        return _tagged(others)
    if len(others) == 1 and others[0] in SCALARS:
        return _scalar(others[0], types.NoneType)
    inner = _decoder(others[0]) if len(others) == 1 else _tagged(others)
    return lambda value: None if value is None else inner(value)


def _checked(kind: type[Any], expected: str, convert: Decoder) -> Decoder:
    def read(value: Any) -> Any:
        if not isinstance(value, kind):
            raise _mismatch(expected, value)
        return convert(value)

    return read


def _fixed_tuple(items: tuple[Decoder, ...]) -> Decoder:
    def read(value: Any) -> Any:
        if not isinstance(value, list) or len(value) != len(items):
            raise _mismatch(f"list of {len(items)}", value)
        return tuple(item(part) for item, part in zip(items, value, strict=True))

    return read


@cache
def _dataclass(kind: type[Any]) -> Decoder:
    if not is_dataclass(kind):
        raise TypeError(f"The codec does not know the type hint {kind}")
    hints = get_type_hints(kind)
    decoders = {field.name: _decoder(hints[field.name]) for field in fields(kind)}
    required = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}

    def read(value: dict[str, Any]) -> Any:
        made = {}
        for name, part in value.items():
            decoder = decoders.get(name)
            if decoder is not None:
                try:
                    made[name] = decoder(part)
                except CodecError as error:
                    raise CodecError(f"{kind.__name__}.{name}: {error}") from None
        if not required <= made.keys():
            missing = ", ".join(sorted(required - made.keys()))
            raise CodecError(f"{kind.__name__}: no value for {missing}")
        return kind(**made)

    return _checked(dict, kind.__name__, read)


def _tagged(families: tuple[Any, ...]) -> Decoder:
    """Return the decoder of a value whose tag names its class, among the classes of some families."""
    if not all(is_dataclass(family) and hasattr(family, "TAG") for family in families):
        raise TypeError(f"The codec cannot tell the classes of the union {families} apart: they have no TAG")
    key: str = families[0].TAG
    known: dict[str, Any] = {tag: kind for family in families for tag, kind in kinds(family).items()}

    def read(value: Any) -> Any:
        tag = value.get(key) if isinstance(value, dict) else None
        kind = known.get(tag) if isinstance(tag, str) else None
        if kind is None:
            raise _mismatch(f"object with a known {key!r}", value)
        return _dataclass(kind)(value)

    return read


def kinds(family: type[T]) -> Mapping[str, type[T]]:
    """Return the classes of a family by their tags. A base class whose tag is empty is not among them."""
    # `slots=True` makes each class twice. The second class, which the name in its module means, comes last and stays.
    return {tag: kind for kind in _subclasses(family) if (tag := getattr(kind, kind.TAG))}  # type: ignore[attr-defined]


def _subclasses(kind: type[T]) -> Iterator[type[T]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from _subclasses(subclass)


def _mismatch(expected: str, value: object) -> CodecError:
    return CodecError(f"expected {expected}, got {type(value).__name__}")
