"""The configuration files: which source wins, what is wrong with a file, what a file of a project may not set."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from magetui.config.keys import ACTIONS
from magetui.config.options import OPTIONS, TARGET_OPTIONS
from magetui.config.settings import DEFAULT, Settings, settings_of
from magetui.config.targets import named_target
from magetui.engine.errors import ConnectError, UsageError
from magetui.engine.target import passwords
from magetui.engine.target.passwords import Passwords, ask_password
from magetui.engine.target.recents import MOST, recent_targets, remember
from magetui.engine.target.selection import Selection
from magetui.engine.target.target import parse_target
from magetui.engine.workspace import Workspace
from magetui.tui.app import MagetuiApp
from magetui.tui.screens.main import MainScreen
from magetui.tui.widgets.fields import masked

SECRET = "verysecret-1"


class Files:
    """The operator's file and the project's, and what comes of them."""

    def __init__(self, folder: Path) -> None:
        self.own = folder / "home" / "config" / "magetui" / "config.toml"
        self.own.parent.mkdir(parents=True)
        self.project = folder / "project" / "magetui.toml"
        self.project.parent.mkdir()

    def settings(
        self, own: str = "", project: str = "", environment: Mapping[str, str] | None = None, **flags: object
    ) -> Settings:
        for path, text in ((self.own, own), (self.project, project)):
            path.write_text(text)
            path.chmod(0o600)
        told = {"XDG_CONFIG_HOME": str(self.own.parents[1]), **(environment or {})}
        return settings_of({"project_path": str(self.project.parent), **flags}, told, terminal=True)

    def complaint(self, own: str = "", project: str = "", **flags: str) -> str:
        with pytest.raises(UsageError) as raised:
            self.settings(own, project, None, **flags)
        assert raised.value.status == 2
        assert SECRET not in raised.value.message
        return raised.value.message


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


# -- which of several sayings counts


def test_the_nearest_saying_counts_and_is_named(files: Files) -> None:
    own, project, environment = "lock_retries = 1", "lock_retries = 2", {"MAGETUI_LOCK_RETRIES": "3"}
    for settings, value, source in (
        (files.settings(), 0, DEFAULT),
        (files.settings(own), 1, str(files.own)),
        (files.settings(own, project), 2, str(files.project)),
        (files.settings(own, project, environment), 3, "MAGETUI_LOCK_RETRIES"),
        (files.settings(own, project, environment, lock_retries=4), 4, "--lock-retries"),
    ):
        assert (settings.lock_retries, settings.origins["lock_retries"].source) == (value, source)


def test_a_limit_of_nothing_is_said_and_wins_over_a_file(files: Files) -> None:
    settings = files.settings("lock_timeout_seconds = 5\nlock_retries = 3", lock_timeout_seconds=0.0, lock_retries=0)
    assert (settings.lock_timeout_seconds, settings.lock_retries) == (0, 0)
    assert settings.origins["lock_retries"].source == "--lock-retries"


def test_what_guards_is_not_taken_back_by_a_projects_file(files: Files) -> None:
    settings = files.settings("read_only = true", "read_only = false")
    assert settings.selection.read_only
    assert settings.origins["read_only"].source == str(files.own)
    assert files.settings("", "read_only = true").selection.read_only
    # Whoever says so at the moment means it.
    assert not files.settings("read_only = true", "", {"MAGETUI_READ_ONLY": "0"}).selection.read_only


def test_paths_are_taken_from_the_files_folder(files: Files) -> None:
    settings = files.settings('mage_path = "lib"\nproject_path = "~/mage"', 'config = "db/alembic.ini"')
    assert settings.selection.mage_path == str(files.own.parent / "lib")
    assert settings.selection.config == str(files.project.parent / "db" / "alembic.ini")


def test_a_target_says_what_is_looked_at_and_a_flag_of_the_project_wins_over_it(files: Files) -> None:
    own = '[targets.shop]\nurl = "sqlite:///shop.db"\nconfig = "/srv/shop/alembic.ini"\nread_only = true\n'
    chosen = files.settings(own, target="shop").selection
    assert (chosen.url, chosen.target, chosen.config) == ("sqlite:///shop.db", "shop", "/srv/shop/alembic.ini")
    assert chosen.read_only
    assert Workspace(chosen).target.url.database == str(files.own.parent / "shop.db")
    assert files.settings(own, target="shop", config="other.ini").selection.config == "other.ini"
    assert files.settings(own, "", {"MAGETUI_TARGET": "shop"}).selection.target == "shop"
    assert files.settings(own, "", {"MAGETUI_TARGET": "shop"}, url="sqlite://").selection.target is None


# -- what is wrong with a file


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("lock_timout_seconds = 5", "there is no setting 'lock_timout_seconds'; did you mean 'lock_timeout_seconds'?"),
        (f'zzz = "{SECRET}"', "there is no setting 'zzz'."),
        (f'lock_retries = "{SECRET}"', "'lock_retries' must be an integer from 0 to 1,000."),
        ("lock_retries = true", "'lock_retries' must be an integer from 0 to 1,000."),
        ("lock_timeout_seconds = -1", "'lock_timeout_seconds' must be a number of seconds from 0 to 2,000,000."),
        ('read_only = "yes"', "'read_only' must be true or false."),
        ('on_disconnect = "stop"', "'on_disconnect' must be continue or cancel."),
        ("scratch_url = 5", "'scratch_url' must be a text."),
        ("lock_retries = = 1", "is not TOML: Invalid value (at line 1, column 16)."),
        (f"lock_retries = {'[' * 5000}", "nested too deeply."),
        ("targets = 5", "'targets' must be a table, [targets.NAME]."),
        (
            '[targets."a b"]\nurl = "sqlite://"',
            "the name of a target has at most 40 letters, digits, '.', '_' and '-'.",
        ),
        ('[targets.a]\nulr = "sqlite://"', "there is no setting 'ulr' of the target 'a'; did you mean 'url'?"),
        ("[targets.a]\nproduction = true", "the target 'a' names no database: give it a url"),
        ('[targets.a]\nurl = "sqlite://"\ncolour = "pink"', "'targets.a.colour' must be red or green or"),
        (
            '[targets.a]\nurl = "sqlite://"\npassword_command = 5',
            "must be a command: one text, or a list of its words.",
        ),
        ('[keys]\nmigrat = "M"', "[keys] names 'migrat', which is not an action; did you mean 'migrate'?"),
        (
            '[keys]\nmigrate = "b"',
            "the key b would mean both 'migrate' and 'rollback': change one of the two",
        ),
        ('[keys]\nmigrate = "j"', "'migrate' cannot have the key j: lists and questions need this key."),
        (
            '[keys]\nmigrate = "hyper+x"',
            "the key of 'migrate' must be one character, ctrl+ and a letter, or f1 to f12.",
        ),
    ],
)
def test_a_wrong_file_is_told_in_a_sentence_with_its_name_and_the_key(files: Files, text: str, sentence: str) -> None:
    said = files.complaint(text)
    assert said.startswith(str(files.own))
    assert sentence in said


def test_two_keys_may_change_places(files: Files) -> None:
    assert files.settings('[keys]\nmigrate = "b"\nrollback = "m"').keys == {"migrate": "b", "rollback": "m"}


def test_a_target_that_there_is_not_is_told_with_those_there_are(files: Files) -> None:
    own = '[targets.prod-eu]\nurl = "sqlite://"\n[targets.staging]\nurl = "sqlite://"'
    said = files.complaint(own, target="prod")
    assert said == "--target: there is no target 'prod'; did you mean 'prod-eu'? Targets: prod-eu, staging."
    assert "use one of the two" in files.complaint(own, target="staging", url="sqlite://")


def test_a_variable_that_cannot_be_meant_is_named(files: Files) -> None:
    with pytest.raises(UsageError, match="MAGETUI_LOCK_RETRIES in the environment must be an integer"):
        files.settings(environment={"MAGETUI_LOCK_RETRIES": SECRET})


def test_every_action_of_the_file_is_a_key_of_the_screen_and_has_the_same_default() -> None:
    named = {"colon": ":", "question_mark": "?"}
    bindings = [one for one in (*MainScreen.BINDINGS, *MagetuiApp.BINDINGS) if getattr(one, "id", None)]
    keys = {one.id: named.get(one.key, one.key) for one in bindings if not isinstance(one, tuple)}
    assert keys == dict(ACTIONS)


# -- what a project's file may not


def test_a_projects_file_runs_nothing_and_takes_no_name_from_ones_own(files: Files) -> None:
    project = (
        'python = "./evil"\nmage_path = "./evil"\nscratch_url = "sqlite://"\npg_dump = "./evil"\n'
        '[keys]\nmigrate = "r"\nrefresh = "m"\n'
        '[targets.prod]\nurl = "postgresql://mage@evil/x"\npassword_command = "./evil"\n'
        '[targets.local]\nurl = "postgresql://mage@localhost/x"\npassword_command = "./evil"\npython = "./evil"\n'
    )
    own = '[targets.prod]\nurl = "postgresql://mage@db1/x"\npassword_command = "pass prod"\nproduction = true'
    settings = files.settings(own, project)
    chosen = settings.selection
    assert (chosen.python, chosen.mage_path, chosen.scratch_url, settings.pg_dump) == (None, None, None, None)
    assert not settings.keys
    prod, local = settings.targets
    assert (prod.url, prod.production) == ("postgresql://mage@db1/x", True)
    assert (local.url, local.password_command, local.python) == ("postgresql://mage@localhost/x", None, None)
    said = "\n".join(settings.warnings)
    for left_out in ("'python'", "'mage_path'", "'scratch_url'", "'pg_dump'", "[keys]", "'password_command' of the"):
        assert f"{files.project}: {left_out}" in said
    assert f"Only your own file may set it: {files.own}." in said
    assert "the target 'prod' is ignored: your own file has this name" in said


def test_a_projects_file_does_not_lead_out_of_its_folder(files: Files) -> None:
    assert "is outside the project's folder" in files.complaint("", 'config = "../elsewhere/alembic.ini"')


def test_a_password_that_others_can_read_is_warned_of(files: Files) -> None:
    own = f'[targets.a]\nurl = "postgresql://mage:{SECRET}@db1/x"'
    assert files.settings(own).warnings == ()
    files.own.chmod(0o644)
    settings = settings_of({}, {"XDG_CONFIG_HOME": str(files.own.parents[1])}, terminal=True)
    [said] = settings.warnings
    assert f"others on this machine can read it: chmod 600 {files.own}" in said
    assert SECRET not in said + repr(settings)


def test_what_is_no_file_is_not_waited_for(files: Files) -> None:
    os.mkfifo(files.own)
    settings = settings_of({}, {"XDG_CONFIG_HOME": str(files.own.parents[1])}, terminal=True)
    assert not settings.files[0].found


# -- production


def test_a_production_database_is_known_by_whatever_leads_to_it(files: Files) -> None:
    own = (
        '[targets.prod]\nurl = "postgresql://mage@localhost/mage"\nproduction = true\n'
        '[targets.alias]\nurl = "postgresql://reader@127.0.0.1:5432/mage"\n'
        '[targets.other]\nurl = "postgresql://mage@localhost/other"\n'
    )
    targets = files.settings(own).targets
    for url in ("postgresql://x:***@localhost:5432/mage", "postgresql+psycopg2://127.0.0.1/mage?sslmode=require"):
        named = named_target(targets, Selection(), url)
        assert named is not None
        assert named.called == "prod  PRODUCTION"
    alias = named_target(targets, Selection(target="alias"), "postgresql://reader@127.0.0.1:5432/mage")
    assert alias is not None
    assert alias.called == "alias  PRODUCTION"
    other = named_target(targets, Selection(), "postgresql://mage@localhost/other")
    assert other is not None
    assert not other.production
    assert named_target(targets, Selection(), "postgresql://db9/mage") is None


# -- commands that give passwords


def test_the_first_line_is_the_password_and_the_command_is_run_once() -> None:
    counted = ("sh", "-c", f"echo x >> runs; printf '{SECRET}\\r\\nsecond line\\n'; echo {SECRET} >&2")
    known = Passwords()
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(os.environ["HOME"])
        chosen = Selection(url="postgresql://mage@db1/x", target="prod", password_command=counted)
        for _ in range(2):
            assert Workspace(chosen, passwords=known).target.url.password == SECRET
        assert Path("runs").read_text() == "x\n"
        known.forget(counted)
        target = Workspace(chosen, passwords=known).target
        assert Path("runs").read_text() == "x\nx\n"
        assert target.redacted == "postgresql://mage:***@db1/x"
        # One that the URL has, or that was typed, is not asked for.
        assert Workspace(replace(chosen, url="postgresql://mage:own@db1/x")).target.url.password == "own"
        assert Workspace(replace(chosen, password="typed")).target.url.password == "typed"
        assert Path("runs").read_text() == "x\nx\n"
    assert SECRET not in repr(chosen) + repr(target)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (("no-such-program-here",), "cannot be started: No such file or directory."),
        (("sh", "-c", f"echo {SECRET}; exit 3"), "failed: it ended with status 3."),
        (("true",), "printed no password."),
        (("sh", "-c", f"printf '\\n{SECRET}'"), "printed no password."),
        (("yes", SECRET), "prints more than a password."),
        (("sh", "-c", f"echo {SECRET}; sleep 60"), "did not end within 0.5 s."),
        (("sh", "-c", "read answer < /dev/tty && echo $answer"), "failed: it ended with status"),
    ],
)
def test_a_command_that_gives_no_password_is_told_without_what_it_printed(
    command: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "sleep 60" in command[-1]:
        monkeypatch.setattr(passwords, "COMMAND_SECONDS", 0.5)
    with pytest.raises(ConnectError) as raised:
        ask_password(command, "prod", os.environ)
    assert raised.value.cause == "secret"
    assert f"The password_command of target prod {sentence}" in raised.value.message
    assert SECRET not in raised.value.message


def test_what_a_command_left_running_does_not_hold_it_up(tmp_path: Path) -> None:
    left = tmp_path / "pid"
    command = f"sleep 600 & echo $! > {left}; echo {SECRET}"
    try:
        assert ask_password(("sh", "-c", command), "prod", os.environ) == SECRET
    finally:
        os.kill(int(left.read_text()), signal.SIGKILL)  # it is still there, with the command's output open


# -- recent targets


def test_recent_targets_have_no_password_and_are_for_their_owner_alone(state_dir: Path) -> None:
    urls = [
        f"postgresql://mage:{SECRET}@db1/x?sslmode=require&sslpassword={SECRET}",
        f"postgresql://db2/x?user=mage&password={SECRET}",
        f"mssql+pymssql://sa:{SECRET}@db3/x",
    ]
    for url in urls:
        remember(os.environ, Selection(mage_path="lib"), parse_target(url, "--url"))
    found = recent_targets(os.environ)
    assert [one.url for one in found] == [
        "mssql+pymssql://sa@db3/x",
        "postgresql://db2/x?user=mage",
        "postgresql://mage@db1/x?sslmode=require",
    ]
    assert found[0].mage_path == str(Path("lib").absolute())
    file = state_dir / "recent.json"
    assert SECRET not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in state_dir.iterdir()) == ["recent.json"]


def test_recent_targets_are_few_and_the_latest_comes_first(state_dir: Path) -> None:
    for number in (*range(12), 5):
        remember(os.environ, Selection(), parse_target(f"postgresql://mage@db{number}/x", "--url"))
    found = recent_targets(os.environ)
    assert len(found) == MOST
    assert [one.url.partition("@")[2] for one in found][:3] == ["db5/x", "db11/x", "db10/x"]
    for broken in ("", "[]", '{"targets": 5}', '{"targets": [{"url": 5, "source": "", "at": ""}]}', "\x00"):
        (state_dir / "recent.json").write_text(broken)
        assert recent_targets(os.environ) == ()


# -- what is seen of a URL as it is typed


@pytest.mark.parametrize(
    ("typed", "seen"),
    [
        ("postgresql://mage@db1:5432/mage?sslmode=require", None),
        ("postgresql://localhost:5432/mage", None),
        ("postgresql://127.0.0.1:5432/mage", None),
        ("postgresql://mage@[::1]:5432/mage", None),
        ("sqlite:////srv/a:b.db", None),
        ("prod-eu", None),
        ("postgresql://mage:pw", "postgresql://mage:••"),
        ("postgresql://mage:1234", "postgresql://mage:••••"),
        ("postgresql://mage:p@ss@db1/x", "postgresql://mage:••••••••••"),
        ("postgresql://:pw@db1/x", "postgresql://:••••••••"),
        ("postgresql//mage:pw@db1", "postgresql//mage:••••••"),
        ("postgresql://mage@server:pw@db1/x", "postgresql://mage@server:••••••••"),
        ("postgresql://mage@db1/x?password=pw&sslmode=require", "postgresql://mage@db1/x?password=••&sslmode=require"),
    ],
)
def test_what_may_be_a_password_is_hidden_as_it_is_typed(typed: str, seen: str | None) -> None:
    assert masked(typed) == (typed if seen is None else seen)
    for length in range(len(typed)):
        assert "pw" not in masked(typed[:length])
        assert len(masked(typed[:length])) == length


def test_every_setting_has_a_name_of_its_own_for_the_command_line() -> None:
    assert len({option.flag for option in OPTIONS}) == len(OPTIONS)
    assert {option.name for option in TARGET_OPTIONS} > {"url", "password_command", "production", "colour"}
