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
