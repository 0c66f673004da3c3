"""A script's own SQL as the operations it amounts to, as far as its text tells.

Most of it changes rows, which a schema does not show; most of the rest is one of Alembic's operations in other words.
What is neither is `Unclear`: it may have done anything to the tables that it names, or to all where it names none.
Of what makes or alters one table in a way that is not read here, it is known which table, and that it is there then.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from functools import lru_cache

from magetui.engine.sql.statement import Statement, parser_of
from magetui.model.operations import (
    AddEnumValue,
    AlterColumn,
    CreateType,
    DropType,
    Operation,
    RenameEnumValue,
    RenameIndex,
    RenameType,
    Unclear,
    UnclearTable,
)

NAME = r'(?:"(?:[^"]|"")+"|[^\W\d][\w$]*)'
QUALIFIED = rf"(?:(?P<schema>{NAME})\s*\.\s*)?(?P<name>{NAME})"
ANY_NAME = rf"{NAME}(?:\s*\.\s*{NAME})?"
TEXT = r"'((?:[^']|'')*)'"
# What changes rows, settings, rights or comments and leaves the schema alone.
NOT_OF_THE_SCHEMA = re.compile(
    r"(?:update|insert|delete|merge|truncate|copy|select|values|set|reset|show|comment|grant|revoke|analyze|vacuum"
    r"|reindex|refresh|cluster|lock|notify|begin|commit|savepoint|release|pragma|explain)\b",
    re.IGNORECASE,
)
ADD_VALUE = re.compile(
    rf"alter\s+type\s+{QUALIFIED}\s+add\s+value\s+(?P<unless>if\s+not\s+exists\s+)?{TEXT}(?:\s+(?:before|after)\s+{TEXT})?",
    re.IGNORECASE,
)
RENAME_VALUE = re.compile(rf"alter\s+type\s+{QUALIFIED}\s+rename\s+value\s+{TEXT}\s+to\s+{TEXT}", re.IGNORECASE)
RENAME_INDEX = re.compile(
    rf"alter\s+index\s+(?:if\s+exists\s+)?{QUALIFIED}\s+rename\s+to\s+(?P<new>{NAME})", re.IGNORECASE
)
RENAME_TYPE = re.compile(rf"alter\s+type\s+{QUALIFIED}\s+rename\s+to\s+(?P<new>{NAME})", re.IGNORECASE)
CREATE_ENUM = re.compile(rf"create\s+type\s+{QUALIFIED}\s+as\s+enum\s*\((?P<values>.*)\)", re.IGNORECASE | re.DOTALL)
DROP_TYPE = re.compile(rf"drop\s+type\s+(?:if\s+exists\s+)?{QUALIFIED}(?:\s+(?:cascade|restrict))?", re.IGNORECASE)
# What makes or drops other things than tables and types, by itself; with CASCADE it may take a table's parts along.
BESIDE_TABLES = re.compile(
    r"(?:create(?:\s+or\s+replace)?|drop|alter)(?:\s+(?:constraint|event|temp|temporary|recursive|materialized))*"
    r"\s+(?P<what>trigger|function|procedure|routine|aggregate|view|rule|policy|sequence|publication|subscription"
    r"|extension|statistics|operator|cast|collation|role|user|default\s+privileges)\b(?!.*\bcascade\b)",
    re.IGNORECASE | re.DOTALL,
)
# The same of schemas, domains and composite types, and what else alters an index or a database; but a schema that is
# renamed takes its tables along, and a domain its columns' types.
BESIDE_TABLES_TOO = re.compile(
    rf"(?:(?:create|drop)\s+(?:schema|domain|database)|alter\s+(?:schema|domain|database|index))\b"
    r"(?!.*\b(?:cascade|rename|create)\b)"
    rf"|create\s+type\s+{ANY_NAME}\s*(?:\Z|as\s*(?:\(|range\b))"
    rf"|alter\s+type\s+{ANY_NAME}\s+(?:owner\b|(?:add|drop|alter|rename)\s+attribute\b(?!.*\bcascade\b))",
    re.IGNORECASE | re.DOTALL,
)
ONE_TABLE = re.compile(
    r"(?P<verb>create|alter)\s+(?:(?:unlogged|foreign|virtual|global)\s+)?table\s+(?:if\s+(?:not\s+)?exists\s+)?"
    rf"(?:only\s+)?{QUALIFIED}|create\s+(?:unique\s+)?index\b[^()]*?\bon\s+(?:only\s+)?"
    rf"(?:(?P<its_schema>{NAME})\s*\.\s*)?(?P<its_name>{NAME})",
    re.IGNORECASE,
)
TEMPORARY = re.compile(r"(?:create|drop)\s+(?:(?:global|local)\s+)?temp(?:orary)?\s+table\b", re.IGNORECASE)
# After these words a table may be gone, or have another name.
TAKES_TABLES = re.compile(r"\bdrop\s+(?:foreign\s+|virtual\s+)?table\b|\brename\b|\bset\s+schema\b", re.IGNORECASE)
BODY = re.compile(r"(\$\w*\$).*?\1|\bbegin\b.*\bend\b", re.IGNORECASE | re.DOTALL)
# How scripts give a column a new enum type; so common that it is not worth loading a parser for.
RETYPE = re.compile(
    rf"alter\s+table\s+{QUALIFIED}\s+alter\s+(?:column\s+)?(?P<column>{NAME})\s+(?:set\s+data\s+)?type\s+(?P<type>\w+)"
    rf"\s+using\s+(?P<using>{NAME}::text::\w+)",
    re.IGNORECASE,
)
LEADING_COMMENT = re.compile(r"(?:\s+|--[^\n]*\n|/\*.*?\*/)+", re.DOTALL)


@lru_cache(maxsize=4_096)
def operations_of(sql: str, dialect: str) -> tuple[Operation, ...]:
    """What the statements in `sql` do to the schema; empty where they leave it alone."""
    text = _bare(sql)
    if not text or _leaves_tables_alone(text):
        return ()
    made = _of_a_type(text)
    if made is not None:
        return (made,)
    try:
        return tuple(_parsed(text, dialect))
    except Exception:  # noqa: BLE001 - whatever the parser raises, or makes of what nobody has seen it make yet
        return (_unclear(text),)


def _leaves_tables_alone(text: str) -> bool:
    """Whether it is one statement that changes nothing of a table or a type."""
    if match := BESIDE_TABLES.match(text) or BESIDE_TABLES_TOO.match(text):
        return ";" not in BODY.sub("", text[match.end() :])
    return bool(NOT_OF_THE_SCHEMA.match(text)) and ";" not in text


def _bare(sql: str) -> str:
    """Without comments before it, and without the semicolon behind it."""
    text = sql.strip()
    if comment := LEADING_COMMENT.match(text):
        text = text[comment.end() :]
    return text.rstrip("; \n\t")


def _of_a_type(text: str) -> Operation | None:  # noqa: PLR0911 - a case each
    if match := ADD_VALUE.fullmatch(text):
        return AddEnumValue(*_named(match), _text(match[4]), match["unless"] is not None)
    if match := RENAME_VALUE.fullmatch(text):
        return RenameEnumValue(*_named(match), _text(match[3]), _text(match[4]))
    if match := RENAME_INDEX.fullmatch(text):
        return RenameIndex(*_named(match), _name(match["new"]))
    if match := RENAME_TYPE.fullmatch(text):
        return RenameType(*_named(match), _name(match["new"]))
    if match := CREATE_ENUM.fullmatch(text):
        return CreateType(*_named(match), tuple(_text(value) for value in re.findall(TEXT, match["values"])))
    if match := DROP_TYPE.fullmatch(text):
        return DropType(*_named(match))
    if match := RETYPE.fullmatch(text):
        name, schema = _named(match)
        return AlterColumn(name, schema, _name(match["column"]), type=match["type"], using=match["using"])
    return None


def _named(match: re.Match[str]) -> tuple[str, str | None]:
    return _name(match["name"]), _name(match["schema"]) if match["schema"] else None


def _name(written: str) -> str:
    """An identifier as the catalog has it (manual, 4.1.1: unquoted ones are folded to lower case)."""
    return written[1:-1].replace('""', '"') if written.startswith('"') else written.lower()


def _text(written: str) -> str:
    return written.replace("''", "'")


# -- everything else, through a parser


def _parsed(text: str, dialect: str) -> Iterator[Operation]:
    import sqlglot

    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # it warns of what it does not know; so do we, as Unclear
    folds = dialect == "postgresql"
    for statement in sqlglot.parse(text, read=parser_of(dialect)):
        if statement is None:
            continue
        own = statement.sql(dialect=parser_of(dialect))
        made = _of_a_type(own) if folds else None
        if made is not None:
            yield made
        elif not any(beside.match(own) for beside in (NOT_OF_THE_SCHEMA, BESIDE_TABLES, BESIDE_TABLES_TOO, TEMPORARY)):
            yield from Statement(statement, dialect, text).operations() or [_unclear(own)]


def _unclear(text: str) -> Unclear:
    words = frozenset(re.findall(r"[^\W\d]\w*", text.lower()))
    takes_tables = bool(TAKES_TABLES.search(text))
    match = ONE_TABLE.match(text)
    if match is None or takes_tables or ";" in text:
        return Unclear(words, takes_tables)
    name, schema = match["name"] or match["its_name"], match["schema"] or match["its_schema"]
    makes = (match["verb"] or "").lower() == "create"
    return UnclearTable(words, False, _name(name), _name(schema) if schema else None, makes)
