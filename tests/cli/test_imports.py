"""What a verb imports is what it costs to start, and what may go wrong before it has said a word."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mage import COUNT
from tests.support.secret_stores import SecretsManager

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[2]
DRIVERS = {"psycopg2", "psycopg", "sqlite3", "pyodbc", "pymssql", "mssql_python"}
STORES = {"boto3", "botocore", "azure", "msal"}
UNDER_THE_ENGINE = ("magetui.backends", "magetui.model", "magetui.protocol", "magetui.runner")
# Our modules that define dozens of classes, which takes as long as a tenth of the first screen, and what needs them.
SLOW = {"magetui.model.operations", "magetui.model.plan", "magetui.protocol.events", "magetui.protocol.requests"}
# Runs a command line and tells, on stderr's last line, which modules came and which files' code was run.
WATCHED = """
import json, sys
ran = set()
sys.addaudithook(lambda event, args: ran.add(args[0].co_filename) if event == "exec" and args else None)
from magetui.cli.main import run
status = run(sys.argv[1:], None)
sys.stderr.write(json.dumps({"status": status, "modules": sorted(sys.modules), "ran": sorted(ran)}))
"""


def modules_after(statement: str) -> set[str]:
    """The modules that a clean interpreter has after the statement."""
    program = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout))


def packages_after(statement: str) -> set[str]:
    """The top-level packages that a clean interpreter has after the statement."""
    return {module.partition(".")[0] for module in modules_after(statement)}


def below(package: str, modules: set[str]) -> set[str]:
    """The modules that are in the package, at any depth."""
    return {module for module in modules if module.startswith(f"{package}.")}


def test_command_line_imports_nothing_heavy() -> None:
    loaded = packages_after("import magetui.cli.main")
    assert "magetui" in loaded
    assert not loaded & {"textual", "rich", "sqlalchemy", "alembic", *STORES, *DRIVERS}


@pytest.mark.parametrize("front_end", ["magetui.cli.main", "magetui.tui.launch"])
def test_front_ends_start_without_the_modules_of_plans_and_runs(front_end: str) -> None:
    loaded = modules_after(f"import {front_end}")
    assert front_end in loaded
    assert not [below(package, loaded) for package in UNDER_THE_ENGINE if below(package, loaded)]


def test_screen_is_drawn_before_the_libraries_of_databases_are_loaded() -> None:
    loaded = packages_after("import magetui.tui.launch")
    assert "textual" in loaded
    assert not loaded & {"sqlalchemy", "alembic", "boto3", "sqlglot", *DRIVERS}


def test_screen_is_drawn_before_what_only_other_screens_show_is_loaded() -> None:
    loaded = modules_after("import magetui.tui.launch")
    assert "magetui.tui.screens.main" in loaded
    assert not loaded & {"magetui.tui.widgets.consent", "magetui.text.run_conclusion", "magetui.text.preview"}
    assert below("magetui.tui.screens", loaded) == {"magetui.tui.screens.base", "magetui.tui.screens.main"}


def test_screen_reads_the_state_before_the_modules_of_evidence_plans_and_runs_are_loaded() -> None:
    loaded = modules_after("from magetui.tui.engine_loader import load_reading; load_reading()")
    assert "magetui.engine.diagnosis.diagnosis" in loaded
    assert not loaded & SLOW
    assert not below("magetui.engine.evidence", loaded) | below("magetui.engine.runs", loaded)


def modules_of(package: str) -> list[str]:
    """Every module of a package of ours, at any depth, but those that are started as a program."""
    folder = CHECKOUT / "magetui" / package
    files = (path.relative_to(CHECKOUT).with_suffix("") for path in folder.rglob("*.py"))
    names = [".".join(path.parts) for path in files if "demo_project" not in path.parts and path.stem != "__main__"]
    assert names
    return names


@pytest.mark.parametrize("package", ["backends", "config", "engine", "model", "protocol", "runner", "text"])
def test_lower_layers_import_no_textual(package: str) -> None:
    loaded = packages_after(f"import {', '.join(modules_of(package))}")
    assert not loaded & {"textual", "rich", *STORES}


def test_engine_imports_neither_alembic_nor_a_driver() -> None:
    loaded = packages_after(f"import {', '.join(modules_of('engine'))}")
    assert not loaded & {"alembic", "psycopg2", "pyodbc"}


def test_model_imports_the_standard_library_alone() -> None:
    loaded = packages_after(f"import {', '.join(modules_of('model'))}")
    assert loaded - {"__main__", "magetui"} <= sys.stdlib_module_names


def test_history_lists_forty_revisions_and_runs_no_script(mage_home: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, "--mage-path", str(mage_home), "history", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    told = json.loads(done.stderr.splitlines()[-1])
    document = json.loads(done.stdout)
    assert told["status"] == 0
    assert len(document["revisions"]) == COUNT
    assert document["problems"] == []
    assert [revision["revision"] for revision in document["revisions"] if revision["head"]] == ["39d36f1dab73"]
    assert any("magetui" in file for file in told["ran"])  # the hook does hear
    assert not [file for file in told["ran"] if file.startswith(str(mage_home))]
    loaded = {module.split(".")[0] for module in told["modules"]}
    assert not loaded & {"mage_ai", "textual", "sqlalchemy", "alembic", *STORES, *DRIVERS}
    assert not set(told["modules"]) & SLOW


@pytest.mark.parametrize("kept_in", ["a URL", "AWS Secrets Manager"])
def test_a_secret_stores_library_is_loaded_by_whoever_has_a_secret(
    mage_home: Path, tmp_path: Path, secrets_manager: SecretsManager, kept_in: str
) -> None:
    secret = kept_in == "AWS Secrets Manager"
    settings = secrets_manager.environment("prod/nowhere") if secret else {"DB_USER": "mage"}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, "--mage-path", str(mage_home), "diagnose"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), **settings},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    told = json.loads(done.stderr.splitlines()[-1])
    assert told["status"] == 3
    loaded = {module.split(".")[0] for module in told["modules"]}
    assert loaded & STORES == ({"boto3", "botocore"} if secret else set())


def test_history_needs_no_database(mage_home: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "magetui", "--mage-path", str(mage_home), "history"]
    environment = {
        **os.environ,
        "MAGE_DATABASE_CONNECTION_URL": "postgresql://nobody:x@no-such-host.invalid/mage",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert len(done.stdout.splitlines()) == COUNT
    assert done.stdout.startswith("head  39d36f1dab73")


def test_diagnosis_of_a_chain_without_branches_loads_neither_alembic_nor_a_parser_of_sql(
    mage_home: Path, mage_sqlite_url: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", WATCHED, "--mage-path", str(mage_home), "--url", mage_sqlite_url, "diagnose"]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    for _ in range(2):  # what the scripts do is asked of them once, by a child
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=60
        )
    told = json.loads(done.stderr.splitlines()[-1])
    assert told["status"] == 0
    assert not {name.partition(".")[0] for name in told["modules"]} & {"alembic", "sqlglot", "textual", "boto3"}
    assert set(told["modules"]) & SLOW == {"magetui.model.operations"}  # what evidence compares
    assert not below("magetui.runner", set(told["modules"])) | below("magetui.engine.preview", set(told["modules"]))
