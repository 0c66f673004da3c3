"""The backup screen: where the file goes and how large the database is, then how far it has come, then how to restore.

What is being written goes on when the screen is left; opened again it shows how that one stands.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Button, Footer, Input, Static

from magetui.tui.backup_job import BackupWork
from magetui.tui.loading import load_engine
from magetui.tui.screens.base import OverScreen
from magetui.tui.screens.run import StableText
from magetui.tui.theme import CRITICAL, GOOD, QUIET, STRONG, WARNING
from magetui.tui.widgets.question import CHOICE, Question
from magetui.tui.widgets.run_lines import drawn_bar
from magetui.verbs import seconds

if TYPE_CHECKING:
    from magetui.engine.backup import BackupEstimate, BackupRequest

FIELDS = ("file", "pg-dump", "timeout")
PULSE_SECONDS = 0.25


class BackupScreen(OverScreen):
    """Backs the database up, on consent; `B` again shows one that goes on."""

    NAME = "Backup"
    ABOUT = (
        "The whole database into one file, as it is at one moment, while everybody goes on using it: with pg_dump, or "
        "SQLite's online backup. Change the fields and press enter to look anew. Nothing is written until you choose "
        "to, and nothing is overwritten. Escape leaves the screen while the backup goes on, and B shows it again; x "
        "cancels it, and so does leaving the program. What is cancelled or fails leaves no file. At the end y copies "
        "the command that restores it."
    )
    BINDINGS = [
        Binding("n", "refuse", "No"),
        Binding("y", "consent", "Yes"),
        Binding("y", "copy", "Copy", tooltip="copy the command that restores it (OSC 52)"),
        Binding("e", "edit", "Edit"),
        Binding("x", "cancel", "Cancel the backup"),
        Binding("l", "app.locks", "Locks"),
        Binding("j,down", "scroll('down')", "Down", show=False),
        Binding("k,up", "scroll('up')", "Up", show=False),
    ]

    class Sized(Message):
        """It is known what the backup would be, or why there can be none; `question` counts what was asked."""

        def __init__(self, question: int, foreseen: BackupEstimate | None, problem: str = "") -> None:
            self.question = question
            self.foreseen = foreseen
            self.problem = problem
            super().__init__()

    def __init__(self, running: BackupWork | None = None) -> None:
        super().__init__()
        self._backup = running
        self._foreseen: BackupEstimate | None = None
        self._question = 0  # of the latest asked; answers to earlier ones are not listened to
        self._asked: tuple[str, ...] = ()  # what the fields said then
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with Horizontal(classes="fields", id="backup-file"):
            yield Static("file     ", markup=False, classes="label")
            yield _field("", "file")
        with Horizontal(classes="fields", id="backup-program"):
            yield Static("pg_dump  ", markup=False, classes="label")
            yield _field("the one on PATH", "pg-dump", self.magetui.settings.pg_dump or "")
        with Horizontal(classes="fields", id="backup-lock"):
            yield Static("give up on a lock after ", markup=False, classes="label")
            yield _field("", "timeout", f"{self.magetui.settings.lock_timeout_seconds:g}")
            yield Static(" s", markup=False, classes="label")
        with VerticalScroll():
            yield StableText("looking how large the database is …", id="backup-text")
        yield Question()
        with Horizontal(classes="consent"):
            yield Button("No", id="no", compact=True)
            yield Button("Back up", id="yes", compact=True, disabled=True)
        yield Footer(show_command_palette=False, compact=True)

    def on_mount(self) -> None:
        place = self._backup.place if self._backup is not None else self.magetui.place
        self.entitle((" Back up", STRONG), f"   {place}")
        self.query_one("#backup-program").display = False
        if self._backup is not None:
            self._watch()
        else:
            self.query_one("#no", Button).focus()
            self._ask_size()

    def on_resize(self, _event: Resize) -> None:
        self._show()

    def on_screen_resume(self) -> None:
        if self._backup is not None:
            self._backup.watched = True

    def on_screen_suspend(self) -> None:
        if self._backup is not None:
            self._backup.watched = False

    # -- beforehand

    def _ask_size(self) -> None:
        self._question += 1
        self._asked = self._typed()
        request = self._request()
        if request is not None:
            self._foresee(self._question, request)

    def _typed(self) -> tuple[str, ...]:
        return tuple(self.query_one(f"#{name}", Input).value.strip() for name in FIELDS)

    def _request(self) -> BackupRequest | None:
        """What the fields say; None, and a sentence on the screen, where they say no such thing."""
        from magetui.engine.backup import BackupRequest

        file, program, timeout = self._typed()
        try:
            lock_ms = round(seconds(timeout) * 1000)
        except ArgumentTypeError:
            self._say(
                Content.styled(f"The lock timeout is a number of seconds, 0 for no limit, not '{timeout}'.", WARNING)
            )
            return None
        return BackupRequest(Path(file) if file else None, program or None, lock_ms)

    @work(thread=True, exclusive=True, group="size", exit_on_error=False)
    def _foresee(self, question: int, request: BackupRequest) -> None:
        load_engine()
        from magetui.engine.backup import estimate_backup
        from magetui.engine.errors import MagetuiError

        try:
            self.post_message(self.Sized(question, estimate_backup(self.magetui.open_workspace(), request)))
        except MagetuiError as error:
            self.post_message(self.Sized(question, None, error.message))

    def on_backup_screen_sized(self, message: Sized) -> None:
        if message.question != self._question or self._backup is not None:
            return
        self._foreseen = foreseen = message.foreseen
        self.query_one("#backup-program").display = self._uses_pg_dump()
        self.query_one("#yes", Button).disabled = foreseen is None
        self.refresh_bindings()
        if foreseen is None:
            self._say(Content.assemble(("This cannot be done: ", CRITICAL), message.problem))
            self._ask("Change what stands in the fields and press enter, or leave it.")
            return
        self._say(*self._expected(foreseen))
        field = self.query_one("#file", Input)
        if not field.value.strip():
            field.value = str(foreseen.file)
            self._asked = self._typed()
        if foreseen.fits:
            self._ask(f"Write it? {CHOICE}")
        else:
            self._ask(f"The disk may turn out too small. Write it all the same? {CHOICE}", WARNING)

    def _uses_pg_dump(self) -> bool:
        diagnosis = self.magetui.diagnosis
        dialect = self._foreseen.dialect if self._foreseen else diagnosis.target.dialect if diagnosis else None
        return dialect == "postgresql"

    def _expected(self, foreseen: BackupEstimate) -> list[Content]:
        from magetui.text import formats

        size, free = formats.size(foreseen.max_bytes), formats.size(foreseen.free_bytes)
        if foreseen.dialect == "postgresql":
            size = f"{size} on the server, indexes included; the file is compressed, and often much smaller"
        left = f"{free} left on the disk of {formats.plain(str(foreseen.file.parent))}"
        goes_on = "Everybody can go on using the database meanwhile"
        return [
            Content.assemble(("database  ", STRONG), size),
            Content.assemble(("disk      ", STRONG), (left, "" if foreseen.fits else WARNING)),
            Content(""),
            Content(f"{goes_on}; only a migration would wait." if foreseen.dialect == "postgresql" else f"{goes_on}."),
        ]

    @on(Input.Changed)
    def _edited(self) -> None:
        if self._typed() == self._asked:
            return
        self._question += 1
        self._foreseen = None
        self.query_one("#yes", Button).disabled = True
        self._ask("Press enter to look whether that can be done.")

    @on(Input.Submitted)
    def _entered(self) -> None:
        self._say(Content("looking how large the database is …"))
        self._ask("")
        self.query_one("#no", Button).focus()
        self._ask_size()

    # -- consent

    def _ask(self, question: str, style: str = "") -> None:
        self.query_one(Question).ask(question, style)

    @on(Button.Pressed, "#no")
    def action_refuse(self) -> None:
        self.action_close()

    @on(Button.Pressed, "#yes")
    def _consented(self) -> None:
        request = self._request()
        if request is not None and self._foreseen is not None and self._backup is None:
            # Too small a disk was foreseen, and is consented to.
            foreseen = self._foreseen
            request = replace(request, output=foreseen.file, anyway=not foreseen.fits, database=foreseen.database)
            self._backup = self.magetui.start_backup(request, foreseen.file)
            self._backup.watched = True
            self._watch()

    def action_consent(self) -> None:
        """Bring the operator to the button; pressing it is another key."""
        self.set_focus(self.query_one("#yes", Button))

    def action_edit(self) -> None:
        self.set_focus(self.query_one("#file", Input))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        backup = self._backup
        match action:
            case "consent":
                return backup is None and self._foreseen is not None
            case "edit" | "refuse":
                return backup is None
            case "cancel":
                return backup is not None and backup.alive and not backup.cancelling
            case "copy":
                return backup is not None and backup.made is not None
        return super().check_action(action, parameters)

    # -- while it is written, and afterwards

    def _watch(self) -> None:
        """From here on there is nothing to be typed."""
        for name in ("#backup-file", "#backup-program", "#backup-lock", ".consent"):
            self.query_one(name).display = False
        self._ask("")
        self.query_one(VerticalScroll).focus()
        self._timer = self.set_interval(PULSE_SECONDS, self._show)
        self._show()

    def _show(self) -> None:
        if self._backup is None:
            return
        self._say(*self._standing(self._backup))
        self.refresh_bindings()
        if not self._backup.alive and self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _standing(self, backup: BackupWork) -> list[Content]:
        from magetui.text import formats
        from magetui.text.terminal import RESTORING

        made, file = backup.made, formats.plain(str(backup.file))
        if backup.alive:
            return [
                Content.styled("CANCELLING", WARNING) if backup.cancelling else Content(f"writing {file}"),
                *self._progress(backup),
            ]
        if made is None:
            in_the_way = [Content(f"in the way: {formats.session_line(session)}") for session in backup.sessions]
            return [Content.styled("NO BACKUP", CRITICAL), Content(formats.plain(backup.problem)), *in_the_way]
        return [
            Content.styled("DONE", GOOD),
            Content(f"{file}: {formats.size(made.bytes)} in {formats.duration(made.elapsed_ms)}"),
            *([Content.styled(formats.plain(made.unrecorded), WARNING)] if made.unrecorded else []),
            Content(""),
            Content(RESTORING.get(made.dialect, "To restore it:")),
            Content(formats.plain(made.restore)),
            Content(""),
            Content.styled("y copies this command", QUIET),
        ]

    def _progress(self, backup: BackupWork) -> list[Content]:
        from magetui.text import formats

        made = backup.progress
        if made is None:
            return [Content("beginning …")]
        at = f"at table {formats.one_line(made.table)}" if made.table else ""
        bar = drawn_bar(made.written, made.most) if made.most else ""
        return [Content(f"{bar}  {formats.size(made.written)} of at most {formats.size(made.most)}"), Content(at)]

    def _say(self, *lines: Content) -> None:
        self.query_one("#backup-text", StableText).show(Content("\n").join(lines))

    def action_cancel(self) -> None:
        if self._backup is not None:
            self._backup.cancel()
            self._show()

    def action_copy(self) -> None:
        if self._backup is not None and self._backup.made is not None:
            self.app.copy_to_clipboard(self._backup.made.restore)
            self.notify("The command is copied, if the terminal allows it (OSC 52).", timeout=3)

    def action_scroll(self, where: str) -> None:
        getattr(self.query_one(VerticalScroll), f"scroll_{where}")(animate=False)


def _field(placeholder: str, id: str, value: str = "") -> Input:
    field = Input(value, placeholder=placeholder, id=id, compact=True, select_on_focus=True)
    field.cursor_blink = False
    return field
