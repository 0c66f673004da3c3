"""An env.py that runs only inside its application, as that of `flask db`: another env.py opens the application first.

The recipe is in docs/connections.md. The application is real: `flask db init` and `flask db migrate` made its files.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.command import Magetui
from tests.support.databases import SqliteDatabase
from tests.support.environments import environment

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("real_starts")]

SHOP = """\
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

db = SQLAlchemy()


class Order(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(50))


def create_app():
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = "{url}"
    db.init_app(app)
    Migrate(app, db, version_table="shop_version")
    return app
"""
INI = """\
[alembic]
script_location = %(here)s/opened
version_locations = %(here)s/../migrations/versions
prepend_sys_path = %(here)s/..
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
ENV = """\
import runpy
from pathlib import Path

from shop import create_app

with create_app().app_context():
    runpy.run_path(str(Path(__file__).parents[2] / "migrations" / "env.py"))
"""


@dataclass(frozen=True)
class Shop:
    """The application's folder, and the configuration of the recipe."""

    folder: Path
    python: Path
    ini: Path

    def flask(self, *words: str) -> str:
        command = [str(self.python), "-m", "flask", "--app", "shop", "db", *words]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done
        return done.stdout


@pytest.fixture(scope="session")
def flask() -> Path:
    """Made before a test has a home of its own, which the installer would fill."""
    return environment("flask-migrate", ("flask-migrate",))


@pytest.fixture
def shop(tmp_path: Path, sqlite_database: SqliteDatabase, flask: Path) -> Shop:
    python = flask / "bin" / "python"
    made = Shop(tmp_path / "shop", python, tmp_path / "shop" / "ops" / "alembic.ini")
    (made.ini.parent / "opened").mkdir(parents=True)
    (made.folder / "shop.py").write_text(SHOP.replace("{url}", sqlite_database.url))
    made.flask("init")
    made.flask("migrate", "-m", "first")
    sqlite_database.path.unlink(missing_ok=True)
    made.ini.write_text(INI)
    (made.ini.parent / "opened" / "env.py").write_text(ENV)
    return made


def test_an_application_of_flask_db_is_migrated_checked_and_rolled_back(
    magetui: Magetui, shop: Shop, sqlite_database: SqliteDatabase
) -> None:
    common = ("--config", shop.ini, "--python", shop.python)
    done = magetui(*common, "migrate", "--yes")
    assert done.status == 0, done
    [(current,)] = sqlite_database.rows("select version_num from shop_version")
    assert f"{current} (head)" in shop.flask("current")
    assert magetui(*common, "check").status == 0
    models = shop.folder / "shop.py"
    models.write_text(models.read_text().replace("    name = db", "    mood = db.Column(db.Text)\n    name = db"))
    grown = magetui(*common, "check", "--json")
    assert grown.status == 3, grown
    assert [operation["does"] for operation in grown.json["operations"]] == [["adds order.mood (TEXT, null)"]]
    assert magetui(*common, "rollback", "--revision", "-1", "--yes").status == 0
    assert sqlite_database.rows("select version_num from shop_version") == []


def test_the_version_table_of_the_application_is_found_if_the_url_is_named(
    magetui: Magetui, shop: Shop, sqlite_database: SqliteDatabase
) -> None:
    shop.flask("upgrade")
    told = magetui("--config", shop.ini, "--python", shop.python, "--url", sqlite_database.url, "diagnose", "--json")
    assert told.status == 0, told
    assert len(told.json["current"]) == 1
