"""Connects the scheduler's database to Alembic: on the database itself, or as SQL text with --sql."""

from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

URL = context.config.get_main_option("sqlalchemy.url")
assert URL is not None, "alembic.ini has no sqlalchemy.url"

if context.is_offline_mode():
    context.configure(url=URL, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(URL, poolclass=NullPool).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
