"""Connects the scheduler's database to Alembic: on the database itself, or as SQL text with --sql."""

from alembic import context
from sqlalchemy import engine_from_config
from sqlalchemy.pool import NullPool

SECTION = context.config.get_section(context.config.config_ini_section, {})

if context.is_offline_mode():
    context.configure(url=SECTION["sqlalchemy.url"], literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with engine_from_config(SECTION, poolclass=NullPool).connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
