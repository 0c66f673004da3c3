"""The project: an installed Mage, or the folder of an `alembic.ini` or a `pyproject.toml`, with its migration scripts.

The modules beside this one each read one source: `alembic_ini`, `env_py`, `mage`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from magetui.engine.errors import ConnectError, ProjectError
from magetui.engine.project.alembic_ini import read_alembic_files
from magetui.engine.project.mage import find_mage
from magetui.engine.target.selection import Selection
from magetui.engine.target.target import Target, address, parse_target
from magetui.engine.target.url_options import setting
from magetui.protocol.redaction import redact_url
from magetui.protocol.scripts import Scripts

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

    from magetui.protocol.answers import Configured, Environment

MAGE_MUTEX_KEY = 1  # the key that Mage itself passes to pg_advisory_lock when it starts
PLACEHOLDER = "driver://"  # the start of the URL that 'alembic init' writes
PLACEHOLDER_DIALECT = "sqlalchemy.dialects:driver"  # in SQLAlchemy's error about that URL
MAGE_VARIABLES = ("MAGE_DATABASE_CONNECTION_URL", "AWS_DB_SECRETS_NAME", "AZURE_SECRET_DB_CONN_URL", "DB_USER")


@dataclass(frozen=True, slots=True)
class Project:
    """Migration scripts and how to run them. `url` is the literal text of an alembic.ini."""

    kind: Literal["mage", "alembic"]
    version: str | None  # of Mage
    location: Path  # mage_ai's folder, or the alembic.ini
    folder: Path  # the working directory that its scripts expect
    scripts: Scripts
    found: str
    url: str | None = field(default=None, repr=False)
    url_source: str = ""  # the option and file of that URL
    databases: tuple[str, ...] = ()  # sections of an alembic.ini that each name a database
    doubt: str | None = None  # the error, if env.py could not be asked
    others: tuple[str, ...] = ()  # what env.py works on too: redacted URLs, and other version tables of this database

    @property
    def version_locations(self) -> tuple[Path, ...]:
        return tuple(Path(folder) for folder in self.scripts.version_locations)

    @property
    def mutex_key(self) -> int:
        """Return Mage's own key for Mage's chain, else 63 bits of a hash of the version table's name."""
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
    """Return the project of the flags, else Alembic's files in the folder, else the installed Mage.

    If one of Mage's variables is set, Mage comes before Alembic's files. Raises `ProjectError` if there is no project.
    """
    if chosen.config is not None:
        return alembic_project(Path(chosen.config), chosen.name)
    if not project_path.is_dir():
        raise ProjectError(f"--project-path {project_path} is not a folder.")
    file = find_alembic_file(project_path)
    prefers_mage = chosen.mage_path is not None or any(environment.get(name) for name in MAGE_VARIABLES)
    if file is not None and not prefers_mage:
        return alembic_project(file, chosen.name)
    mage = find_mage(environment, chosen.mage_path, chosen.python)
    if mage is not None:
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
    if file is not None:
        return alembic_project(file, chosen.name)
    raise ProjectError(
        f"No migration scripts were found: no alembic.ini or [tool.alembic] in {project_path.resolve()}, and no "
        "installed Mage. Give --config path/to/alembic.ini, --mage-path path/to/site-packages, or --python with the "
        "interpreter that Mage runs under."
    )


def alembic_project(file: Path, name: str | None = None) -> Project:
    """Return the project of an alembic.ini or pyproject.toml without running code. Raises `ProjectError`."""
    files = read_alembic_files(file, name)
    return Project(
        kind="alembic",
        version=None,
        location=files.location,
        folder=file.resolve().parent,
        scripts=files.scripts,
        found=str(files.location),
        url=files.url,
        url_source=files.url_source,
        databases=files.databases,
    )


def find_alembic_file(folder: Path) -> Path | None:
    """Return the folder's alembic.ini, or its pyproject.toml if that has a table for Alembic."""
    ini, toml = folder / "alembic.ini", folder / "pyproject.toml"
    if ini.is_file():
        return ini
    if toml.is_file() and "[tool.alembic" in toml.read_text(encoding="utf-8", errors="replace"):
        return toml
    return None


def with_env_options(project: Project, environment: Environment, url: URL | None) -> Project:
    """Return the project with the options that its env.py configures for the database of `url`."""
    calls = () if url is None else _matching(environment, url, project.folder)
    options = _of_search_path(calls, url)
    if options is None and len({call.url for call in environment.databases}) == 1:
        options = environment.databases[0]  # env.py works on a single database, so it is that one
    if options is None:
        return replace(project, doubt=environment.error)
    urls = [call.url for call in environment.databases if call.url and call.url != options.url]
    tables = [_version_table(call) for call in calls if _version_table(call) != _version_table(options)]
    others = tuple(dict.fromkeys([*(redact_url(other) for other in urls), *tables]))
    scripts = replace(
        project.scripts,
        several=project.scripts.several or bool(others),
        version_table=options.version_table or project.scripts.version_table,
        version_table_schema=options.version_table_schema or project.scripts.version_table_schema,
        arguments=options.arguments,
        naming=options.naming,
    )
    return replace(project, scripts=scripts, doubt=None, others=others)


def project_target(project: Project, environment: Environment, *, named: bool) -> Target:
    """Return env.py's database, else the literal URL's, which wins if its section is `named`. Raises `ConnectError`."""
    urls = list(
        dict.fromkeys(call.url for call in environment.databases if call.url and not call.url.startswith(PLACEHOLDER))
    )
    literal = None
    if project.url is not None and not project.url.startswith(PLACEHOLDER):
        try:
            literal = parse_target(project.url, project.url_source, project.folder)
        except ConnectError:
            if named or not urls:
                raise  # otherwise env.py replaces it, such as Airflow's scheme://localhost/airflow
    if literal is not None and (named or not urls or _matching(environment, literal.url, project.folder)):
        return literal
    if len(urls) == 1:
        note = f"; {project.url_source} is another one" if literal is not None else ""
        return parse_target(urls[0], f"made by env.py in {project.scripts.script_location}{note}", project.folder)
    if project.databases:
        raise ConnectError(
            "bad-url",
            f"{project.location} names several databases: {', '.join(project.databases)}. "
            f"Choose one with --name {project.databases[0]}, or with --url.",
        )
    if urls:
        shown = ", ".join(redact_url(url) for url in urls)
        raise ConnectError("bad-url", f"env.py works on {len(urls)} databases: {shown}. Choose one with --url.")
    if project.url is not None and PLACEHOLDER_DIALECT in (environment.error or PLACEHOLDER_DIALECT):
        raise ConnectError(
            "bad-url",
            f"{project.url_source} is still the text that 'alembic init' wrote, and env.py makes no other URL. "
            "Write the database's URL there, or give it with --url.",
        )
    why = f"could not be asked for it ({environment.error})" if environment.error else "connects to no database"
    raise ConnectError(
        "bad-url",
        f"{project.location} has no sqlalchemy.url, so its env.py makes the URL itself, and env.py {why}. "
        "Give the database with --url: a run is refused if env.py connects to another database.",
    )


def _matching(environment: Environment, url: URL, folder: Path) -> tuple[Configured, ...]:
    wanted = address(url)
    return tuple(call for call in environment.databases if call.url and _address_of(call.url, folder) == wanted)


def _of_search_path(calls: Sequence[Configured], url: URL | None) -> Configured | None:
    """Return the call whose version table is in the first schema of the URL's search_path, else the first call."""
    schema = "" if url is None else (setting(url, "search_path") or "").partition(",")[0].strip().strip('"')
    return next((call for call in calls if call.version_table_schema == schema), next(iter(calls), None))


def _version_table(call: Configured) -> str:
    return ".".join(filter(None, (call.version_table_schema, call.version_table or "alembic_version")))


def _address_of(text: str, folder: Path) -> tuple[object, ...] | None:
    try:
        return address(parse_target(text, "env.py", folder).url)
    except ConnectError:
        return None
