"""Which database is meant: Mage's own order, URLs as people write them, and those that are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url

from magetui.engine.errors import ConnectError, ProjectError
from magetui.engine.target.selection import Selection
from magetui.engine.target.target import database_file, mage_target, parse_target
from magetui.engine.workspace import Workspace
from tests.support import alembic_project
from tests.support.alembic_project import make_project

URL = "postgresql://mage:secret@db1:5432/orchestration"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder that Mage could be started in."""
    folder = tmp_path / "etl"
    folder.mkdir()
    return folder


# -- Mage's own order


def test_mage_takes_the_whole_url_first(project: Path) -> None:
    parts = {"DB_USER": "other", "DB_PASS": "other", "DB_NAME": "other", "MAGE_DATA_DIR": "/srv/mage"}
    target = mage_target({"MAGE_DATABASE_CONNECTION_URL": URL, **parts}, project)
    assert target.text == URL
    assert target.source == "MAGE_DATABASE_CONNECTION_URL"


@pytest.mark.parametrize("variable", ["AWS_DB_SECRETS_NAME", "AZURE_SECRET_DB_CONN_URL"])
def test_a_secret_store_comes_before_the_parts_and_is_not_passed_over(variable: str, project: Path) -> None:
    parts = {"DB_USER": "mage", "DB_PASS": "secret", "DB_NAME": "orchestration", "AWS_DEFAULT_REGION": ""}
    with pytest.raises(ConnectError, match=variable) as raised:
        mage_target({variable: "prod/mage", **parts}, project)
    assert raised.value.cause == "secret"
    assert mage_target({variable: "prod/mage", **parts, "MAGE_DATABASE_CONNECTION_URL": URL}, project).text == URL


def test_mage_puts_a_url_together_from_its_parts(project: Path) -> None:
    parts = {"DB_USER": "mage", "DB_PASS": "p@ss:w/rd%", "DB_NAME": "orchestration"}
    target = mage_target(parts, project)
    assert (target.url.host, target.url.port) == ("127.0.0.1", 5432)
    assert (target.url.username, target.url.password) == ("mage", "p@ss:w/rd%")
    assert target.url.database == "orchestration"
    elsewhere = mage_target({**parts, "DB_HOST": "db1", "DB_PORT": "6432"}, project)
    assert elsewhere.redacted == "postgresql://mage:***@db1:6432/orchestration"


@pytest.mark.parametrize("missing", ["DB_USER", "DB_PASS", "DB_NAME", "DB_HOST", "DB_PORT"])
def test_parts_of_which_one_is_empty_are_no_url(missing: str, project: Path) -> None:
    parts = {"DB_USER": "mage", "DB_PASS": "secret", "DB_NAME": "orchestration"}
    assert mage_target({**parts, missing: ""}, project).dialect == "sqlite"


def test_sqlite_lies_in_mages_default_folder(project: Path, tmp_path: Path) -> None:
    target = mage_target({}, project)
    assert target.url.database == str(tmp_path / "home" / ".mage_data" / "etl" / "mage-ai.db")
    assert "default" in target.source


@pytest.mark.parametrize(
    ("metadata", "environment", "expected"),
    [
        pytest.param("variables_dir: /srv/mage", {}, "/srv/mage/etl/mage-ai.db", id="absolute"),
        pytest.param("variables_dir: .data", {}, "{project}/.data/mage-ai.db", id="relative"),
        pytest.param("variables_dir: ~/kept  # by ops", {}, "{home}/kept/etl/mage-ai.db", id="home"),
        pytest.param(
            "project_type: standalone\nvariables_dir: \"{{ env_var('KEPT') }}\"\n",
            {"KEPT": "/srv/kept"},
            "/srv/kept/etl/mage-ai.db",
            id="template",
        ),
        pytest.param(
            "variables_dir: {{ env_var('KEPT') }}",
            {},
            "{home}/.mage_data/etl/mage-ai.db",
            id="template-of-nothing",
        ),
        pytest.param(
            "variables_dir: /srv/mage",
            {"MAGE_DATA_DIR": "/data"},
            "/data/etl/mage-ai.db",
            id="MAGE_DATA_DIR-wins",
        ),
    ],
)
def test_sqlite_lies_where_the_project_says(
    project: Path, tmp_path: Path, metadata: str, environment: dict[str, str], expected: str
) -> None:
    (project / "metadata.yaml").write_text(metadata)
    target = mage_target(environment, project)
    assert target.url.database == expected.format(project=project, home=tmp_path / "home")


def test_the_projects_own_folder_gets_no_name_appended(project: Path) -> None:
    assert mage_target({"MAGE_DATA_DIR": str(project)}, project).url.database == str(project / "mage-ai.db")


# -- what was pointed at comes before what is found


def test_a_flag_wins_over_the_environment_and_the_project(tmp_path: Path, mage_home: Path) -> None:
    ini = make_project(tmp_path / "p", alembic_project.linear(1), "sqlite:////srv/project.db").ini
    environment = {"MAGE_DATABASE_CONNECTION_URL": URL}
    for selection in (Selection(config=str(ini), trust=True), Selection(mage_path=str(mage_home))):
        flagged = Selection(url="sqlite:////srv/flag.db", config=selection.config, mage_path=selection.mage_path)
        target = Workspace(flagged, environment).target
        assert (target.redacted, target.source) == ("sqlite:////srv/flag.db", "--url")
    by_config = Workspace(Selection(config=str(ini), trust=True), environment).target
    assert (by_config.redacted, by_config.source) == ("sqlite:////srv/project.db", f"sqlalchemy.url in {ini}")
    by_mage = Workspace(Selection(mage_path=str(mage_home)), environment).target
    assert by_mage.source == "MAGE_DATABASE_CONNECTION_URL"


@pytest.mark.slow
def test_a_project_whose_env_py_makes_the_url_asks_for_it(tmp_path: Path) -> None:
    ini = make_project(tmp_path / "p", alembic_project.linear(1), "").ini
    with pytest.raises(ConnectError, match=r"could not be asked for it.*Give the database with --url"):
        _ = Workspace(Selection(config=str(ini), trust=True), {}).target


def test_nothing_to_look_at_says_what_to_name(project: Path) -> None:
    with pytest.raises(ProjectError, match=r"Give --config .*, --mage-path .*, or --python"):
        _ = Workspace(Selection(project_path=str(project), trust=True), {}).target


def test_a_database_without_scripts_can_still_be_looked_at(project: Path) -> None:
    workspace = Workspace(Selection(project_path=str(project), trust=True), {"MAGE_DATABASE_CONNECTION_URL": URL})
    assert workspace.target.redacted == "postgresql://mage:***@db1:5432/orchestration"


# -- URLs as people write them


@pytest.mark.parametrize(
    ("written", "user", "password", "host"),
    [
        ("mage:secret@db1", "mage", "secret", "db1"),
        ("mage:p%40ss@db1", "mage", "p@ss", "db1"),
        ("mage:p@ss@db1", "mage", "p@ss", "db1"),
        ("mage:p:a:ss@db1", "mage", "p:a:ss", "db1"),
        ("mage:p/a/ss@db1", "mage", "p/a/ss", "db1"),
        ("mage:p#ss@db1", "mage", "p#ss", "db1"),
        ("mage:p?ss=no@db1", "mage", "p?ss=no", "db1"),
        ("mage:p@s?ss=no@db1", "mage", "p@s?ss=no", "db1"),
        ("mage:p@other:5433/x@db1", "mage", "p@other:5433/x", "db1"),
        ("mage:100%@db1", "mage", "100%", "db1"),
        ("mage:%zz@db1", "mage", "%zz", "db1"),
        ("mage:p%40@ss@db1", "mage", "p%40@ss", "db1"),
        ("mage:s3cret/p@ss:w%rd#1@db1", "mage", "s3cret/p@ss:w%rd#1", "db1"),
        ("mage:a b@db1", "mage", "a b", "db1"),
        ("mage:[p]@[::1]", "mage", "[p]", "::1"),
        ("mage@server1:secret@db1", "mage@server1", "secret", "db1"),
        ("mage@server1:p@ss@db1", "mage@server1", "p@ss", "db1"),
        ("mage:@db1", "mage", "", "db1"),
        ("mage@db1", "mage", None, "db1"),
    ],
)
def test_a_password_is_understood_as_it_was_written(written: str, user: str, password: str | None, host: str) -> None:
    target = parse_target(f"postgresql://{written}:6432/orchestration?sslmode=require", "here")
    url = target.url
    assert (url.username, url.password, url.host) == (user, password, host)
    assert (url.port, url.database, dict(url.query)) == (6432, "orchestration", {"sslmode": "require"})
    again = parse_target(target.text, "again")
    assert again.url == url


def test_an_at_sign_in_the_query_is_no_end_of_a_password() -> None:
    url = parse_target("postgresql://db1:5432/orchestration?user=mage@server1", "here").url
    assert (url.host, url.database, url.query["user"]) == ("db1", "orchestration", "mage@server1")
    url = parse_target("postgresql://mage:p%40ss@db1/orchestration?application_name=a@b", "here").url
    assert (url.host, url.password, url.query["application_name"]) == ("db1", "p@ss", "a@b")


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("", "cannot be understood"),
        ("nonsense", "cannot be understood"),
        ("postgresql//mage:secret@db1/x", r"cannot be understood: 'postgresql//mage:\*\*\*@db1/x'"),
        ("mage:secret@db1/x", "cannot be understood"),
        ("postgresql://mage:secret@db1:port/x", "cannot be understood"),
        ("sqlite:/x.db", "cannot be understood"),
        ("postgres://mage:secret@db1/x", "starts with postgres://; SQLAlchemy wants postgresql://"),
        ("foo://mage:secret@db1/x", "no database kind or driver 'foo'"),
        ("postgresql+foo://mage:secret@db1/x", r"no database kind or driver 'postgresql\+foo'"),
    ],
)
def test_a_url_that_cannot_be_is_told_in_a_sentence(written: str, sentence: str) -> None:
    with pytest.raises(ConnectError, match=sentence) as raised:
        parse_target(written, "--url")
    assert raised.value.cause == "bad-url"
    assert raised.value.message.endswith("or sqlite:////path/to/file.db.")
    assert "secret" not in str(raised.value)
    assert raised.value.__cause__ is None or "secret" not in str(raised.value.__cause__)


def test_a_target_does_not_show_its_credentials() -> None:
    target = parse_target(f"{URL}?password=other1&sslpassword=other2", "here")
    for shown in (
        repr(target),
        str(target),
        target.redacted,
        target.clean(f"secret other1 other2 {target.text}"),
    ):
        for credential in ("secret", "other1", "other2"):
            assert credential not in shown


def test_a_database_kind_that_is_not_supported_is_told(tmp_path: Path) -> None:
    ini = make_project(tmp_path / "p", alembic_project.linear(1), "mysql://mage:secret@db1/x").ini
    with pytest.raises(ConnectError, match="does not know the database kind 'mysql'") as raised:
        _ = Workspace(Selection(config=str(ini), trust=True), {}).backend
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("sqlite:///file:rel.db?uri=true", "file:{folder}/rel.db"),
        ("sqlite:///file:data/rel.db?mode=ro&uri=true", "file:{folder}/data/rel.db"),
        ("sqlite:///file:a%2520b.db?uri=true", "file:{folder}/a b.db"),
        ("sqlite:///file:/srv/mage.db?uri=true", "file:/srv/mage.db"),
        ("sqlite:///file::memory:?uri=true", "file::memory:"),
        ("sqlite:///file:shared?mode=memory&cache=shared&uri=true", "file:shared"),
        ("sqlite:///rel.db", "{folder}/rel.db"),
    ],
)
def test_a_relative_file_is_the_projects_however_it_is_written(project: Path, written: str, meant: str) -> None:
    target = parse_target(written, "--url", project)
    assert target.url.database == meant.format(folder=project.resolve())
    assert target.url.query == make_url(written).query


def test_a_uri_in_a_folder_with_reserved_characters_is_the_file_that_sqlite_opens(tmp_path: Path) -> None:
    folder = tmp_path / "50% of #1"
    folder.mkdir()
    target = parse_target("sqlite:///file:rel.db?uri=true", "--url", folder)
    engine = create_engine(target.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("create table t (id integer)")
    engine.dispose()
    assert (folder / "rel.db").is_file()
    assert database_file(target.url) == folder.resolve() / "rel.db"
