"""The SQL that a script writes itself, read as the operations that it amounts to."""
