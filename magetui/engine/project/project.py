"""The project: where the migration scripts come from, an installed Mage, an `alembic.ini` or a `pyproject.toml`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from sqlalchemy.engine import URL

from magetui.engine.errors import ConnectError, ProjectError
from magetui.engine.project.alembic_ini import read_alembic_files
from magetui.engine.project.env_py import Configured, Environment
from magetui.engine.project.mage import Mage, find_mage
from magetui.engine.target.selection import Selection
from magetui.engine.target.target import Target, parse_target
from magetui.protocol.redaction import redact_url
from magetui.protocol.requests import Scripts

MAGE_MUTEX_KEY = 1  # what Mage itself passes to pg_advisory_lock when it starts
PLACEHOLDER = "driver://"  # what 'alembic init' writes as the URL, to be replaced
PLACEHOLDER_DIALECT = "sqlalchemy.dialects:driver"  # in SQLAlchemy's error about it
MAGE_VARIABLES = (
    "MAGE_DATABASE_CONNECTION_URL",
    "AWS_DB_SECRETS_NAME",
    "AZURE_SECRET_DB_CONN_URL",
    "DB_USER",
)


@dataclass(frozen=True, slots=True)
class Project:
    """Migration scripts and how to run them; `url` is what an alembic.ini says literally."""

    kind: Literal["mage", "alembic"]
    version: str | None  # of Mage
    location: Path  # mage_ai's folder, or the alembic.ini
    folder: Path  # where its scripts expect to be run
    scripts: Scripts
    found: str
    url: str | None = field(default=None, repr=False)
    url_place: str = ""  # where that URL stands
    databases: tuple[str, ...] = ()  # sections of an alembic.ini that each name a database
    doubt: str | None = None  # why env.py could not be asked what it configures
    others: tuple[str, ...] = ()  # redacted URLs of further databases that env.py works on

    @property
    def version_locations(self) -> tuple[Path, ...]:
        return tuple(Path(place) for place in self.scripts.version_locations)

    @property
    def mutex_key(self) -> int:
        """Mage's own key for Mage's chain; for others one of 63 bits made from the version table's name."""
        if self.kind == "mage":
            return MAGE_MUTEX_KEY
        name = f"magetui:{self.scripts.version_table_schema or ''}.{self.scripts.version_table}"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1

    @property
    def name(self) -> str:
        return f"mage-ai {self.version or ''}".rstrip() if self.kind == "mage" else self.folder.name


def find_project(
    environment: Mapping[str, str],
    project_path: Path,
    chosen: Selection = Selection(),  # noqa: B008 - it is frozen
) -> Project:
    """The project that flags name; else Alembic's files in the folder, unless Mage's variables are set; else Mage.

    Raises `ProjectError` where there is none.
    """
    if chosen.config is not None:
        return alembic_project(Path(chosen.config), chosen.name)
    if not project_path.is_dir():
        raise ProjectError(f"--project-path {project_path} is not a folder.")
    file = has_alembic(project_path)
    mage_meant = chosen.mage_path is not None or any(environment.get(name) for name in MAGE_VARIABLES)
    if file is not None and not mage_meant:
        return alembic_project(file, chosen.name)
    mage = find_mage(environment, chosen.mage_path, chosen.python)
    if mage is not None:
        return mage_project(mage, project_path)
    if file is not None:
        return alembic_project(file, chosen.name)
    raise ProjectError(
        f"There are no migration scripts to look at: no alembic.ini or [tool.alembic] in {project_path.resolve()}, and "
        "no installed Mage was found. Name one: --config path/to/alembic.ini, --mage-path path/to/site-packages, or "
        "--python the interpreter that Mage runs under."
    )


def mage_project(mage: Mage, project_path: Path) -> Project:
    return Project(
        kind="mage",
        version=mage.version,
        location=mage.package,
        folder=project_path.resolve(),
        scripts=Scripts(
            kind="mage",
            script_location=str(mage.migrations),
            version_locations=(str(mage.migrations / "versions"),),
            sys_path=(str(mage.package.parent),),
        ),
        found=mage.found,
    )


def alembic_project(file: Path, name: str | None = None) -> Project:
    """A project by its alembic.ini or pyproject.toml, read as Alembic reads it but running nothing.

    Raises `ProjectError` where the file cannot be read or names no scripts.
    """
    files = read_alembic_files(file, name)
    location = files.ini if files.toml is None or file.suffix != ".toml" else files.toml
    if files.toml is not None and (files.ini is None or "script_location" not in files.ini.read_text(errors="replace")):
        location = files.toml
    assert location is not None
    return Project(
        kind="alembic",
        version=None,
        location=location,
        folder=file.resolve().parent,
        scripts=Scripts(
            kind="alembic",
            script_location=str(files.script_folder),
            version_locations=tuple(str(place) for place in files.version_folders),
            config_file=None if files.ini is None else str(files.ini),
            toml_file=None if files.toml is None else str(files.toml),
            section=files.section,
            prepended=files.prepended,
            several=len(files.databases) > 1,
        ),
        found=str(location),
        url=files.url,
        url_place=files.url_place,
        databases=files.databases,
    )


def has_alembic(folder: Path) -> Path | None:
    """The alembic.ini of a folder, or its pyproject.toml where that has a table for Alembic."""
    ini, toml = folder / "alembic.ini", folder / "pyproject.toml"
    if ini.is_file():
        return ini
    if toml.is_file() and "[tool.alembic" in toml.read_text(encoding="utf-8", errors="replace"):
        return toml
    return None


def configured(project: Project, environment: Environment, url: URL | None) -> Project:
    """The project with what its env.py configures for the database of `url`."""
    one = of_database(environment, url, project.folder)
    others = tuple(
        dict.fromkeys(
            redact_url(other.url) for other in environment.databases if other.url and one and other.url != one.url
        )
    )
    several = project.scripts.several or bool(others)
    scripts = replace(project.scripts, several=several)
    if one is not None:
        scripts = replace(
            scripts,
            version_table=one.version_table or scripts.version_table,
            version_table_schema=one.version_table_schema or scripts.version_table_schema,
            arguments=one.arguments,
            naming=one.naming,
        )
    return replace(project, scripts=scripts, doubt=environment.error if one is None else None, others=others)


def project_target(project: Project, environment: Environment, *, named: bool) -> Target:
    """The database that the scripts are for: the one that env.py connects to, where it says so, else the literal URL.

    `named`: whether the operator named the section that the literal URL stands in. Raises `ConnectError` where none
    can be told.
    """
    literal = None
    if project.url is not None and not project.url.startswith(PLACEHOLDER):
        literal = parse_target(project.url, project.url_place, project.folder)
    made = {one.url: one for one in environment.databases if one.url and not one.url.startswith(PLACEHOLDER)}
    if literal is not None and (named or not made or _matching(environment, literal.url, project.folder) is not None):
        return literal
    if len(made) == 1:
        [url] = made
        also = f"; {project.url_place} is another one" if literal is not None else ""
        return parse_target(url, f"made by env.py in {project.scripts.script_location}{also}", project.folder)
    if project.databases:
        raise ConnectError(
            "bad-url",
            f"{project.location} names several databases: {', '.join(project.databases)}. "
            f"Say which one with --name {project.databases[0]}, or with --url.",
        )
    if made:
        shown = ", ".join(redact_url(url) for url in made)
        raise ConnectError("bad-url", f"env.py works on {len(made)} databases: {shown}. Name one of them with --url.")
    if project.url is not None and PLACEHOLDER_DIALECT in (environment.error or PLACEHOLDER_DIALECT):
        raise ConnectError(
            "bad-url",
            f"{project.url_place} is still what 'alembic init' wrote, and env.py makes no other. "
            "Write the database's URL there, or name it with --url.",
        )
    why = f"could not be asked for it ({environment.error})" if environment.error else "connects to none"
    raise ConnectError(
        "bad-url",
        f"{project.location} has no sqlalchemy.url, so its env.py makes the URL itself, and that {why}. "
        "Name the database with --url: a run is refused where env.py connects to another one.",
    )


def of_database(environment: Environment, url: URL | None, folder: Path) -> Configured | None:
    """What env.py configures for that database; where it works on one alone, for that."""
    found = None if url is None else _matching(environment, url, folder)
    alone = len({one.url for one in environment.databases}) == 1
    return environment.databases[0] if found is None and alone else found


def _matching(environment: Environment, url: URL, folder: Path) -> Configured | None:
    wanted = _named(url)
    return next((one for one in environment.databases if one.url and _place(one.url, folder) == wanted), None)


def _place(text: str, folder: Path) -> tuple[object, ...] | None:
    try:
        return _named(parse_target(text, "env.py", folder).url)
    except ConnectError:
        return None


def _named(url: URL) -> tuple[object, ...]:
    """What names a database, whatever the driver and the user."""
    return (url.get_backend_name(), url.host, url.port, url.database)
