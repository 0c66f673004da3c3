"""The barrier around scripts that are only read: they are called to see what they do, and nothing may come of it.

It has three parts. An audit hook of Python (PEP 578) sees whatever Python code does outside of its process, refuses it
and notes the script's line. Database drivers in C have their `connect` replaced. On Linux the kernel refuses the same
to code that gets past both (`kernel_barrier`). Once raised, the barrier stays until the process ends.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from magetui.runner.kernel_barrier import WRITES, raise_kernel_barrier

CPU_SECONDS = 120
SECONDS = 10  # for one function of a script
LOADING_SECONDS = 40  # for a script's own imports: a large application takes more than ten on a busy machine
LONGEST_DEED = 120  # characters

# Audit events of Python: what the code would do, with the event's arguments. Source: its manual, "Audit events table".
REFUSED: Mapping[str, str] = {
    "os.remove": "remove {0!r}",
    "os.rename": "rename {0!r}",
    "os.rmdir": "remove the folder {0!r}",
    "os.mkdir": "create the folder {0!r}",
    "os.link": "link {0!r}",
    "os.symlink": "link {0!r}",
    "os.truncate": "cut {0!r}",
    "os.chmod": "change the mode of {0!r}",
    "os.chown": "change the owner of {0!r}",
    "os.chflags": "change the flags of {0!r}",
    "os.utime": "change the times of {0!r}",
    "os.setxattr": "change attributes of {0!r}",
    "os.removexattr": "change attributes of {0!r}",
    "shutil.rmtree": "remove the folder {0!r}",
    "shutil.move": "move {0!r}",
    "shutil.copyfile": "write {1!r}",
    "tempfile.mkstemp": "create the file {0!r}",
    "tempfile.mkdtemp": "create the folder {0!r}",
    "subprocess.Popen": "start a process: {1!r}",
    "os.system": "start a process: {0!r}",
    "os.posix_spawn": "start a process: {1!r}",
    "os.spawn": "start a process: {2!r}",
    "os.exec": "start a process: {1!r}",
    "os.startfile": "start a process: {0!r}",
    "os.fork": "start a process",
    "os.forkpty": "start a process",
    "pty.spawn": "start a process: {0!r}",
    "os.kill": "send a signal to the process {0}",
    "os.killpg": "send a signal to the processes of {0}",
    "socket.connect": "connect to {1!r}",
    "socket.bind": "listen at {1!r}",
    "socket.sendto": "send to {1!r}",
    "socket.sendmsg": "send to {1!r}",
    "socket.getaddrinfo": "look up the host {0!r}",
    "socket.gethostbyname": "look up the host {0!r}",
    "socket.gethostbyaddr": "look up the host {0!r}",
    "socket.sethostname": "rename this machine",
    "syslog.syslog": "write to the system's log",
}
IN_MEMORY = ("", b"", ":memory:", b":memory:")
FOREIGN_CODE = ("ctypes.dlopen", "ctypes.dlsym")
# Drivers that connect in C, where no audit event is raised, and their functions that do. Others use Python's sockets.
DRIVERS: Mapping[str, tuple[str, ...]] = {
    "psycopg2._psycopg": ("_connect",),
    "psycopg2": ("_connect", "connect"),
    "psycopg": ("connect", "Connection.connect", "AsyncConnection.connect"),
    "psycopg.pq": ("PGconn.connect", "PGconn.connect_start"),
    "asyncpg": ("connect", "create_pool"),
    "apsw": ("Connection",),
    "pyodbc": ("connect",),
    "mssql_python": ("connect",),
    "pymssql": ("connect",),
    "pymssql._pymssql": ("connect",),
    "pymssql._mssql": ("connect",),
    "MySQLdb": ("connect", "Connect", "Connection"),
    "MySQLdb._mysql": ("connect",),
    "_mysql_connector": ("MySQL",),
    "oracledb": ("connect", "create_pool", "connect_async"),
    "cx_Oracle": ("connect", "SessionPool"),
    "ibm_db": ("connect", "pconnect"),
    "duckdb": ("connect",),
}


class BarrierHit(BaseException):
    """A script wanted to act, or did not end. A `BaseException`, so that its `except Exception` does not catch it."""


class BarrierRefusal(PermissionError):  # noqa: N818 - it says what happened
    """What a module gets that wants to act while it is imported by a script: many try, and do without."""


@dataclass(slots=True)
class Barrier:
    """The barrier of this process. `hits` are what the scripts that are watched attempted, as ends of a sentence."""

    scripts: frozenset[str] = frozenset()  # the files of the script that is being watched
    hits: list[str] = field(default_factory=list)

    @contextmanager
    def watching(self, *scripts: str, seconds: int = SECONDS) -> Iterator[list[str]]:
        """Watch the scripts: yields the list of their attempts to act, which grows. Ends them after `seconds`."""
        hits = self.watch(scripts)
        before = signal.signal(signal.SIGALRM, partial(self._end, seconds))
        signal.setitimer(signal.ITIMER_REAL, seconds, 1)  # again after a second: a script may catch everything
        try:
            yield hits
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def watch(self, scripts: Iterable[str]) -> list[str]:
        """Watch the scripts from now on, without a limit of time. Returns the list of their attempts, which grows."""
        self.scripts, self.hits = frozenset(scripts), []
        return self.hits

    def refuse(self, deed: str, *, modules_may: bool = False) -> None:
        """Note what the script at work would do, and raise. `deed` is a verb and its object: 'remove x'.

        `modules_may`: whether modules may do it while they are imported.
        """
        where, by_import = self._location(sys._getframe(1))
        if where is None or by_import:
            if modules_may:
                return
            raise BarrierRefusal(f"while scripts are only read, nothing may {deed}")
        self.hits.append(f"it would {deed} ({where})")
        raise BarrierHit(self.hits[-1])

    def _end(self, seconds: int, _signal: int, frame: FrameType | None) -> None:
        where, _ = self._location(frame)
        self.hits.append(f"it does not end: it runs for more than {seconds} s ({where or 'elsewhere'})")
        raise BarrierHit(self.hits[-1])

    def _location(self, frame: FrameType | None) -> tuple[str | None, bool]:
        """Return the script's file and line, and whether the script is importing a module, which then acts."""
        by_import = False
        while frame is not None:
            file = frame.f_code.co_filename
            if file in self.scripts:
                return f"{Path(file).name}, line {frame.f_lineno}", by_import
            by_import = by_import or file.startswith("<frozen importlib")
            frame = frame.f_back
        return None, by_import


def raise_barrier(cpu_seconds: int = CPU_SECONDS) -> Barrier:
    """Raise the complete barrier. What is open already can be used; threads that run already are not held back."""
    barrier = Barrier()
    sys.dont_write_bytecode = True
    refuse_drivers(barrier)
    _keep_devnull_open()
    with suppress(FileNotFoundError):
        tempfile.gettempdir()  # Python finds the folder by writing to it, which is refused later, and remembers it
    watched = raise_kernel_barrier(cpu_seconds)
    sys.addaudithook(_hook(barrier, watched=watched))
    return barrier


def _hook(barrier: Barrier, *, watched: bool) -> Callable[[str, tuple[Any, ...]], None]:
    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        deed = REFUSED.get(event)
        if deed is not None:
            barrier.refuse(_shortened(deed.format(*arguments, "?", "?")))
        elif event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & WRITES and not isinstance(path, int):
                barrier.refuse(_shortened(f"write {path!r}"))
        elif event == "sqlite3.connect":
            if arguments[0] not in IN_MEMORY:
                barrier.refuse(_shortened(f"open the database {arguments[0]!r}"))
        elif event in FOREIGN_CODE and arguments[0] is not None:
            barrier.refuse(f"call C: {arguments[-1]!r}", modules_may=watched)

    return hook


def _keep_devnull_open() -> None:
    """Let Python code open the null device for writing, as dill does when it is imported: it gets a copy of one here.

    The kernel's filter sees the flags of a call and not the path, so no other call may open it.
    """
    sink = os.open(os.devnull, os.O_RDWR)

    def opening(original: Callable[..., Any]) -> Any:
        def opened(file: Any, *arguments: Any, **options: Any) -> Any:
            return original(os.dup(sink) if file == os.devnull else file, *arguments, **options)

        return staticmethod(opened)  # in a class, it is no method, as the original is none

    modules: tuple[Any, ...] = (builtins, io, importlib.import_module("_pyio"))
    for module in modules:
        module.open = opening(module.open)


def _shortened(deed: str) -> str:
    return deed if len(deed) <= LONGEST_DEED else f"{deed[:LONGEST_DEED]}…"


# -- drivers


def refuse_drivers(barrier: Barrier) -> None:
    """Replace the functions of database drivers that connect, also of drivers that are imported later."""
    for name in DRIVERS:
        if name in sys.modules:
            _replace(barrier, sys.modules[name])
    sys.meta_path.insert(0, DriverFinder(barrier))


def _replace(barrier: Barrier, module: ModuleType) -> None:
    def refuse(*_: object, **__: object) -> None:
        barrier.refuse(f"connect to a database by {module.__name__.partition('.')[0]}")

    for path in DRIVERS[module.__name__]:
        *owners, name = path.split(".")
        owner: Any = module
        for step in owners:
            owner = getattr(owner, step, None)
        if hasattr(owner, name):
            setattr(owner, name, staticmethod(refuse) if owners else refuse)


class DriverFinder(importlib.abc.MetaPathFinder):
    """Finds drivers as Python does, and has their functions replaced once they are imported."""

    def __init__(self, barrier: Barrier) -> None:
        self._barrier = barrier

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in DRIVERS:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _DriverLoader(spec.loader, self._barrier)
        return spec


class _DriverLoader(importlib.abc.Loader):
    def __init__(self, loader: importlib.abc.Loader, barrier: Barrier) -> None:
        self._loader = loader
        self._barrier = barrier

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _replace(self._barrier, sys.modules.get(module.__name__, module))  # a module may have put another in its place

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)  # `importlib.resources` and `inspect` ask it for more
