"""The backup screen: the file and the database's size, then the progress, then the command that restores the backup."""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on, work
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.events import Resize, ScreenResume, ScreenSuspend
from textual.widgets import Input, Static

from magetui.engine.errors import MagetuiError
from magetui.text import formats
from magetui.text.consent import Consent
from magetui.tui.engine_loader import load_engine
from magetui.tui.screens.base import OverScreen
from magetui.tui.theme import CRITICAL, GOOD, QUIET, STRONG, WARNING
from magetui.tui.widgets.bars import gauge
from magetui.tui.widgets.consent import ConsentForm
from magetui.tui.widgets.fields import Field, lock_timeout_ms
from magetui.tui.widgets.hanging import hanging
from magetui.tui.widgets.run_lines import BAR_WIDTH
from magetui.tui.widgets.scroll import LINE_KEYS
from magetui.tui.widgets.stable_text import StableText

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.timer import Timer

    from magetui.engine.backup import BackupEstimate, BackupRequest
    from magetui.tui.backup_job import BackupJob

FIELDS = ("file", "pg-dump", "timeout")
PULSE_SECONDS = 0.25
READING_SIZE = "reading the size of the database …"


class BackupScreen(OverScreen):
    NAME = "Backup"
    ABOUT = (
        "The complete database in one file, as it is at one moment, with pg_dump or SQLite's online backup. The "
        "database stays in use meanwhile. Change the fields and press enter to check them. Nothing is written before "
        "you press enter on the button, and no file is overwritten. Escape closes the screen: the backup continues, "
        "and B shows it again. x cancels the backup, and so does quitting. A cancelled or failed backup leaves no "
        "file. At the end, y copies the command that restores the backup."
    )
    BINDINGS = [
        Binding("y", "copy", "Copy", tooltip="copy the command that restores the backup (OSC 52)"),
        Binding("i", "edit", "Options"),
        Binding("x", "cancel", "Cancel backup"),
        Binding("l", "app.locks", "Locks"),
        *LINE_KEYS,
    ]

    AUTO_FOCUS = ""  # a field that has the focus by itself would keep it from the question

    def __init__(self, running: BackupJob | None = None) -> None:
        super().__init__()
        self._backup = running
        self._forecast: BackupEstimate | None = None
        self._request = 0  # the number of the latest request; answers to earlier requests are ignored
        self._requested: tuple[str, ...] = ()  # the fields at that moment
        self._timer: Timer | None = None

    def compose_body(self) -> ComposeResult:
        settings = self.magetui.settings
        with Horizontal(classes="fields", id="backup-file"):
            yield Static("file          ", markup=False, classes="label")
            yield Field(id="file")
        with Horizontal(classes="fields", id="backup-program"):
            yield Static("pg_dump       ", markup=False, classes="label")
            yield Field(settings.pg_dump or "", placeholder="the one on PATH", id="pg-dump")
        with Horizontal(classes="fields", id="backup-lock"):
            yield Static("lock timeout  ", markup=False, classes="label")
            yield Field(f"{settings.lock_timeout_seconds:g}", id="timeout")
            yield Static(" s", markup=False, classes="label")
        with VerticalScroll():
            yield StableText(READING_SIZE, id="backup-text")
        yield ConsentForm("Back up", id="consent")

    def on_mount(self) -> None:
        label = self._backup.database if self._backup is not None else self.magetui.database_label
        self.entitle((" Back up", STRONG), f"   {label}")
        self.query_one("#backup-program").display = False
        if self._backup is not None:
            self._watch()
        else:
            self.set_focus(self.query_one(VerticalScroll))
            self._request_size()

    @on(ScreenResume)
    @on(ScreenSuspend)
    def _watched(self, event: ScreenResume | ScreenSuspend) -> None:
        if self._backup is not None:
            self._backup.watched = isinstance(event, ScreenResume)

    # -- before consent

    def _request_size(self) -> None:
        self._request += 1
        self._requested = self._typed()
        request = self._backup_request()
        if request is not None:
            self._read_size(self._request, request)

    def _typed(self) -> tuple[str, ...]:
        return tuple(self.query_one(f"#{name}", Input).value.strip() for name in FIELDS)

    def _backup_request(self) -> BackupRequest | None:
        """Return the request of the fields. If a field is wrong, show a sentence and return None."""
        from magetui.engine.backup import BackupRequest

        file, program, timeout = self._typed()
        try:
            lock_ms = lock_timeout_ms(timeout)
        except ArgumentTypeError as error:
            self._show_text(Content.styled(str(error), WARNING))
            return None
        return BackupRequest(Path(file) if file else None, program or None, lock_ms)

    @work(thread=True, exclusive=True, group="size", exit_on_error=False)
    def _read_size(self, number: int, request: BackupRequest) -> None:
        load_engine()
        from magetui.engine.backup import estimate_backup

        try:
            self.call_later(self._sized, number, estimate_backup(self.magetui.open_workspace(), request))
        except MagetuiError as error:
            self.call_later(self._sized, number, None, error.message)

    def _sized(self, number: int, forecast: BackupEstimate | None, problem: str = "") -> None:
        """Show the size, or why no backup is possible. `number` is the number of the request."""
        if number != self._request or self._backup is not None:
            return
        self._forecast = forecast
        diagnosis = self.magetui.diagnosis
        dialect = forecast.dialect if forecast else diagnosis.target.dialect if diagnosis else None
        self.query_one("#backup-program").display = dialect == "postgresql"
        self.refresh_bindings()
        self.mark_read()
        if forecast is None:
            self._show_text(Content.assemble(("Cannot back up: ", CRITICAL), self.magetui.advise(problem)))
            self._form.say("Correct the fields and press enter, or close the screen.")
            return
        self._show_text(*self._forecast_lines(forecast))
        field = self.query_one("#file", Input)
        if not field.value.strip():
            field.value = str(forecast.file)
            self._requested = self._typed()
        if forecast.fits:
            self._form.ask(Consent("Write the backup?"))
        else:
            self._form.ask(Consent("Write the backup anyway?"), "The disk may be too small.")

    def _forecast_lines(self, forecast: BackupEstimate) -> list[Content]:
        postgresql = forecast.dialect == "postgresql"
        size, free = formats.size(forecast.max_bytes), formats.size(forecast.free_bytes)
        if postgresql:
            size = f"{size} on the server, indexes included; the file is compressed and often much smaller"
        disk = f"{free} free on the disk of {formats.plain(str(forecast.file.parent))}"
        use = "The database stays in use during the backup"
        width = max(30, self.size.width - 4)
        return [
            *hanging("database  ", size, width, label=STRONG),
            *hanging("disk      ", disk, width, "" if forecast.fits else WARNING, STRONG),
            Content(""),
            Content(f"{use}; only a migration would wait." if postgresql else f"{use}."),
        ]

    @on(Input.Changed)
    def _edited(self) -> None:
        if self._typed() == self._requested:
            return
        self._request += 1
        self._forecast = None
        self._form.say("Press enter to check the fields.")

    @on(Input.Submitted)
    def _entered(self) -> None:
        self._show_text(Content(READING_SIZE))
        self._form.say("")
        self.set_focus(self.query_one(VerticalScroll))
        self._request_size()

    def read_again(self) -> None:
        """Read the size again, because something may have changed while another screen was in front."""
        if self._backup is None and self._typed() == self._requested:
            self._entered()

    # -- consent

    @property
    def _form(self) -> ConsentForm:
        return self.query_one(ConsentForm)

    @on(ConsentForm.Given)
    def _consented(self) -> None:
        request = self._backup_request()
        if request is not None and self._forecast is not None and self._backup is None:
            # If the disk may be too small, the question said so: this consent covers that too.
            forecast = self._forecast
            request = replace(request, output=forecast.file, anyway=not forecast.fits, database=forecast.database)
            self._backup = self.magetui.start_backup(request, forecast.file)
            self._backup.watched = True
            self._watch()

    def action_edit(self) -> None:
        self.set_focus(self.query_one("#file", Input))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        backup = self._backup
        match action:
            case "edit":
                return backup is None
            case "cancel":
                return backup is not None and backup.alive and not backup.cancelling
            case "copy":
                return backup is not None and backup.made is not None
        return super().check_action(action, parameters)

    # -- during the backup and afterwards

    def _watch(self) -> None:
        """Hide the fields and the question, and show the progress."""
        for name in ("#backup-file", "#backup-program", "#backup-lock"):
            self.query_one(name).display = False
        self._form.say("")
        self.set_focus(self.query_one(VerticalScroll))
        self._timer = self.set_interval(PULSE_SECONDS, self._show_progress)
        self._show_progress()

    @on(Resize)
    def _show_progress(self) -> None:
        if self._backup is None:
            return
        self._show_text(*self._backup_lines(self._backup))
        self.refresh_bindings()
        if not self._backup.alive and self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _backup_lines(self, backup: BackupJob) -> list[Content]:
        from magetui.text.terminal import RESTORING

        made, file = backup.made, formats.plain(str(backup.file))
        if backup.alive:
            return [
                Content.styled("CANCELLING", WARNING) if backup.cancelling else Content(f"writing {file}"),
                *self._progress_lines(backup),
            ]
        if made is None:
            problem = formats.plain(self.magetui.advise(backup.problem))
            blockers = [Content(f"blocked by {formats.session_line(session)}") for session in backup.blockers]
            return [Content.styled("NO BACKUP", CRITICAL), Content(problem), *blockers]
        return [
            Content.styled("DONE", GOOD),
            Content(f"{file}: {formats.size(made.bytes)} in {formats.duration(made.elapsed_ms)}"),
            *([Content.styled(formats.plain(made.unrecorded), WARNING)] if made.unrecorded else []),
            Content(""),
            Content(RESTORING.get(made.dialect, "To restore it:")),
            Content(formats.plain(made.restore)),
            *([Content.styled(formats.plain(made.restore_problem), WARNING)] if made.restore_problem else []),
            Content(""),
            Content.styled("y copies this command", QUIET),
        ]

    def _progress_lines(self, backup: BackupJob) -> list[Content]:
        progress = backup.progress
        if progress is None:
            return [Content("starting …")]
        table = f"table {formats.one_line(progress.table)}" if progress.table else ""
        bar = gauge(progress.written, progress.most, BAR_WIDTH) if progress.most else ""
        written = f"{formats.size(progress.written)} of at most {formats.size(progress.most)}"
        return [Content(f"{bar}  {written}"), Content(table)]

    def _show_text(self, *lines: Content) -> None:
        self.query_one("#backup-text", StableText).show(Content("\n").join(lines))

    def action_cancel(self) -> None:
        if self._backup is not None:
            self._backup.cancel()
            self._show_progress()

    def action_copy(self) -> None:
        if self._backup is not None and self._backup.made is not None:
            self.app.copy_to_clipboard(self._backup.made.restore)
            self.notify("The command was copied, if the terminal allows it (OSC 52).", timeout=3)
