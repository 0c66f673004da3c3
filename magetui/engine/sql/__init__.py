"""Raw SQL of a script, read for what it locks.

Statements that change the schema are read word by word: their grammar is a row of keywords, and a parser of several
dialects takes most of them for opaque commands. Queries and changes of rows have a grammar worth a parser, and are
left to sqlglot. A statement that neither can tell anything of, or that runs code of its own (DO, CALL), says so.
"""

from magetui.engine.sql.statements import read

__all__ = ["read"]
