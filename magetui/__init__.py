"""magetui: recover a database whose Alembic migrations have gone wrong."""

try:
    from magetui._version import __version__ as __version__
except ImportError:  # a checkout that was never built
    __version__ = "0+unbuilt"
