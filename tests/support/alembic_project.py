"""Small real Alembic projects, valid and broken, because `magetui` serves any project and not only Mage.

A project looks as `alembic init` and a few `alembic revision` leave it: an `alembic.ini` with the URL, an `env.py`
and one file for each revision.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

INI = """\
[alembic]
script_location = %(here)s/migrations
sqlalchemy.url = {url}

[loggers]
keys = root,alembic

[handlers]
keys = console

[formatters]
keys = plain

[logger_root]
level = WARNING
handlers = console
qualname =

[logger_alembic]
level = INFO
handlers =
qualname = alembic

[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = plain

[formatter_plain]
format = %(levelname)s [%(name)s] %(message)s
"""

ENV = '''\
"""Runs this project's migrations, on a database or as SQL text."""
from logging.config import fileConfig

from alembic import context
from sqlalchemy import engine_from_config, pool

if context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name)


def write_sql():
    context.configure(url=context.config.get_main_option("sqlalchemy.url"), literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()


def change_database():
    section = context.config.get_section(context.config.config_ini_section, {})
    engine = engine_from_config(section, prefix="sqlalchemy.", poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()


if context.is_offline_mode():
    write_sql()
else:
    change_database()
'''

MAKO = '''\
"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
"""
from alembic import op
import sqlalchemy as sa

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade():
    ${upgrades if upgrades else "pass"}


def downgrade():
    ${downgrades if downgrades else "pass"}
'''

SCRIPT = '''\
"""{message}

Revision ID: {id}
Revises: {revises}
Create Date: {created}

"""
from alembic import op
import sqlalchemy as sa

revision = {id!r}
down_revision = {down!r}
branch_labels = {branch_labels!r}
depends_on = {depends_on!r}


def upgrade():
{upgrade}


def downgrade():
{downgrade}
'''


@dataclass(frozen=True)
class Revision:
    """One script. `upgrade` and `downgrade` hold the lines of its two functions, which may use `op` and `sa`."""

    id: str
    down: str | tuple[str, ...] | None
    message: str
    upgrade: str = "pass"
    downgrade: str = "pass"
    branch_labels: tuple[str, ...] | None = None
    depends_on: str | tuple[str, ...] | None = None
    created: str = "2024-05-01 12:00:00.000000"

    @property
    def file_name(self) -> str:
        """Return the name that Alembic would choose: the id and the words of the message."""
        return f"{self.id}_{re.sub(r'[^a-z0-9]+', '_', self.message.lower()).strip('_')}.py"

    @property
    def text(self) -> str:
        """Return the script's source."""
        revises = ", ".join(self.down) if isinstance(self.down, tuple) else self.down or ""
        return SCRIPT.format(
            id=self.id,
            down=self.down,
            revises=revises,
            message=self.message,
            created=self.created,
            branch_labels=self.branch_labels,
            depends_on=self.depends_on,
            upgrade=_indented(self.upgrade),
            downgrade=_indented(self.downgrade),
        )


@dataclass(frozen=True)
class AlembicProject:
    """The paths of a project's parts."""

    directory: Path
    ini: Path
    versions: Path

    def add(self, revision: Revision) -> Path:
        """Write another script and return its path."""
        path = self.versions / revision.file_name
        path.write_text(revision.text)
        return path


def _indented(lines: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in lines.splitlines())


def make_project(directory: Path, revisions: Sequence[Revision], url: str) -> AlembicProject:
    """Write a project into directory, which need not exist. The alembic.ini contains url unchanged."""
    versions = directory / "migrations" / "versions"
    versions.mkdir(parents=True)
    (directory / "migrations" / "env.py").write_text(ENV)
    (directory / "migrations" / "script.py.mako").write_text(MAKO)
    ini = directory / "alembic.ini"
    ini.write_text(INI.replace("{url}", url.replace("%", "%%")))  # ConfigParser interpolates
    project = AlembicProject(directory, ini, versions)
    for revision in revisions:
        project.add(revision)
    return project


def table(number: int, down: int | None = None) -> Revision:
    """Return the revision `rev<number>`, which creates the table `t<number>` and follows `rev<down>`."""
    return Revision(
        id=f"rev{number}",
        down=None if down is None else f"rev{down}",
        message=f"Create t{number}",
        upgrade=(
            f'op.create_table("t{number}",\n'
            '    sa.Column("id", sa.Integer, primary_key=True),\n'
            '    sa.Column("name", sa.String(50), nullable=False))'
        ),
        downgrade=f'op.drop_table("t{number}")',
    )


def linear(count: int) -> tuple[Revision, ...]:
    """Return rev1 to rev<count>. Each follows its predecessor and creates its own table."""
    return tuple(table(number, number - 1 if number > 1 else None) for number in range(1, count + 1))


def failing_in_the_middle() -> tuple[Revision, ...]:
    """Return rev1 to rev3; rev2 creates t2 and then alters a table that does not exist."""
    first, second, third = linear(3)
    wrong = Revision(
        id=second.id,
        down=second.down,
        message="Create t2 and fail",
        upgrade=f'{second.upgrade}\nop.add_column("no_such_table", sa.Column("extra", sa.Integer))',
        downgrade=second.downgrade,
    )
    return first, wrong, third


def two_heads() -> tuple[Revision, ...]:
    """Return a chain in which rev2 and rev3 both follow rev1."""
    return table(1), table(2, down=1), table(3, down=1)


def cycle() -> tuple[Revision, ...]:
    """Return a chain in which rev1 follows rev3, which follows rev2, which follows rev1."""
    return table(1, down=3), table(2, down=1), table(3, down=2)


def duplicate() -> tuple[Revision, ...]:
    """Return a chain in which two files claim to be rev2."""
    again = Revision(id="rev2", down="rev1", message="Create t2 a second time")
    return table(1), table(2, down=1), again


def missing_parent() -> tuple[Revision, ...]:
    """Return a chain in which rev3 follows rev2, which does not exist."""
    return table(1), table(3, down=2)


def syntax_error() -> tuple[Revision, ...]:
    """Return a chain in which rev2 is not valid Python."""
    return table(1), Revision(id="rev2", down="rev1", message="Not Python", upgrade="op.create_table(")


def no_scripts() -> tuple[Revision, ...]:
    """Return no revisions: a project that was set up and never used."""
    return ()
