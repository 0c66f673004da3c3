"""What this process must not expose: a password among its arguments, which everybody sees in `ps`, and core dumps.

Run before anything else is imported, because the password can be seen until then.
"""

from __future__ import annotations

import os
import resource
import sys
from contextlib import suppress

OPTIONS = ("--url", "--scratch-url")
VARIABLE = "MAGETUI_HIDDEN_ARGUMENT_"  # plus the number of the argument; nobody else sees the environment
SHOWN = "(hidden)"


def hide_arguments() -> None:
    """Start this program again without the URLs that hold a password, and give them back to it in its environment.

    They are taken out of the environment at once, so no process that this one starts receives them.
    """
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(VARIABLE)}
    for name, value in hidden.items():
        number = name.removeprefix(VARIABLE)
        if number.isdecimal() and int(number) < len(sys.argv):
            sys.argv[int(number)] = value
    given = sys.argv[1:]
    if hidden or sys.orig_argv[len(sys.orig_argv) - len(given) :] != given:
        return
    urls = {
        place: sys.argv[place] for place in range(1, len(sys.argv)) if _is_url(place) and _has_password(sys.argv[place])
    }
    if not urls:
        return
    start = len(sys.orig_argv) - len(sys.argv)
    arguments = list(sys.orig_argv)
    for place, text in urls.items():
        option, equals, _ = text.partition("=") if text.startswith(OPTIONS) else ("", "", "")
        arguments[start + place] = f"{option}{equals}{SHOWN}"
        os.environ[f"{VARIABLE}{place}"] = text
    with suppress(OSError):  # then the password stays visible, and the program works
        os.execv(sys.executable, arguments)
    for place in urls:
        del os.environ[f"{VARIABLE}{place}"]


def _is_url(place: int) -> bool:
    """Return whether an argument is, or has, the value of an option that names a database."""
    return sys.argv[place - 1] in OPTIONS or sys.argv[place].startswith(tuple(f"{option}=" for option in OPTIONS))


def _has_password(text: str) -> bool:
    from magetui.protocol.redaction import HIDDEN, redact_url

    url = text.partition("=")[2] if text.startswith(OPTIONS) else text
    return HIDDEN in redact_url(url) and HIDDEN not in url


def prevent_core_dumps() -> None:
    """Let no crash of this process, or of one that it starts, write its memory to a disk.

    A limit of one byte also keeps the kernel from handing the memory to a program, as systemd has it (core(5)).
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    most = 1 if hard == resource.RLIM_INFINITY else min(1, hard)
    resource.setrlimit(resource.RLIMIT_CORE, (most, hard))
