"""magetui: recover a database whose Alembic migrations have gone wrong."""

__version__ = "0.1.0"
