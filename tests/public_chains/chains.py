"""The applications whose chains are tried, and what each needs beside its own distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dialect = Literal["postgresql", "sqlite"]


@dataclass(frozen=True)
class PublicChain:
    """An application's chain.

    `imports`: what its scripts need to have been imported, as its own env.py does. `metadata`: an expression for the
    metadata that env.py configures. `models`: statements that leave the metadata of all tables in `made`, if the
    application may create its tables with `create_all`. `folder`: the part of its path that tells the scripts from
    others in the same distribution.
    """

    distribution: str
    requires: tuple[str, ...] = ()
    imports: str = ""
    metadata: str = "None"
    models: str = ""
    folder: dict[Dialect, str] | None = None


@dataclass(frozen=True)
class OwnEnvironment:
    """An application whose own env.py is run, with all that it imports, on PostgreSQL.

    `ini`: its alembic.ini, and `files`: further files that are written first, by name. `variables`: its configuration.
    In these texts {site} stands for its packages, {home} for a folder and {url} for the database's URL.
    """

    distribution: str
    requires: tuple[str, ...]
    ini: str
    variables: dict[str, str]
    files: dict[str, str]


OPENED_INI = """\
[alembic]
script_location = {home}/opened
version_locations = {site}/superset/migrations/versions
path_separator = os

[loggers]
keys = root
[handlers]
keys =
[formatters]
keys =
[logger_root]
handlers =
"""
OPENED_ENV = """\
import runpy
from importlib.util import find_spec
from pathlib import Path

from superset.app import create_app

with create_app().app_context():
    runpy.run_path(str(Path(find_spec("superset").origin).parent / "migrations" / "env.py"))
"""
SUPERSET_CONFIG = """\
import os

SECRET_KEY = "of a database that is thrown away"
SQLALCHEMY_DATABASE_URI = os.environ["SUPERSET_URL"]
"""
OWN_ENVIRONMENTS = (
    OwnEnvironment(
        "apache-airflow",
        ("asyncpg",),
        "{site}/airflow/alembic.ini",
        {"AIRFLOW_HOME": "{home}", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "{url}"},
        {},
    ),
    OwnEnvironment(
        "apache-superset",
        ("flask-caching==2.3.*", "cachelib<0.14", "rich"),  # newer releases do not fit superset 6.1
        "{home}/alembic.ini",
        {"SUPERSET_URL": "{url}", "SUPERSET_CONFIG_PATH": "{home}/superset_config.py"},
        {"alembic.ini": OPENED_INI, "opened/env.py": OPENED_ENV, "superset_config.py": SUPERSET_CONFIG},
    ),
)

CHAINS = (
    PublicChain("aodh"),
    PublicChain(
        "apache-airflow-core", models="import airflow.models as a; a.import_all_models(); made = a.base.Base.metadata"
    ),
    PublicChain("argilla-server"),
    PublicChain("arize-phoenix", imports="from phoenix.db.models import Base", metadata="Base.metadata"),
    PublicChain("barbican", imports="import barbican.model.models"),
    PublicChain("cinder"),
    PublicChain("ckan"),
    PublicChain("cloudkitty"),
    PublicChain("conda-store-server"),
    PublicChain("dagster", models="from dagster._core.storage.runs.schema import RunStorageSqlMetadata as made"),
    PublicChain("designate"),
    PublicChain("glance"),
    PublicChain("ihatemoney"),
    PublicChain("ironic", models="from ironic.db.sqlalchemy.models import Base; made = Base.metadata"),
    PublicChain("jupyterhub", models="from jupyterhub.orm import Base; made = Base.metadata"),
    PublicChain("keystone", imports="import keystone.conf; keystone.conf.configure()"),
    PublicChain("langflow-base"),
    PublicChain("lemur", ("alembic-autogenerate-enums",), imports="import alembic_autogenerate_enums"),
    PublicChain("magnum", models="from magnum.db.sqlalchemy.models import Base; made = Base.metadata"),
    PublicChain("masakari"),
    PublicChain("mistral"),
    PublicChain("neutron"),
    PublicChain("nova"),
    PublicChain("openstack-placement"),
    PublicChain("optuna", models="from optuna.storages._rdb.models import BaseModel; made = BaseModel.metadata"),
    PublicChain("prefect", folder={"postgresql": "versions/postgresql", "sqlite": "versions/sqlite"}),
    PublicChain("tacker", imports="import sqlalchemy.orm"),
    PublicChain("zenml", ("sqlmodel",)),
    PublicChain("zuul"),
)
