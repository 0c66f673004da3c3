"""Public applications' chains, migrated by Alembic and then diagnosed. A tool, not a part of the test run."""
