"""The identity of this machine, boot and pid namespace. A pid names the same process only within one of them."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path
from typing import Any

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PID_NAMESPACE = Path("/proc/self/ns/pid")


def identity() -> str:
    """Return a text that is equal exactly where a pid names the same process. Without /proc it is the host name."""
    boot = BOOT_ID.read_text().strip() if BOOT_ID.is_file() else ""
    namespace = str(PID_NAMESPACE.readlink()) if PID_NAMESPACE.is_symlink() else ""
    return " ".join((socket.gethostname(), boot, namespace)).strip()


def user() -> str:
    """Return the name of the user, or 'uid 1000680000' if it has none, as in a container of Kubernetes or OpenShift."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return f"uid {os.getuid()}"


def this_process() -> dict[str, Any]:
    """Return the fields of `RunStarted` that say which process does the work, and whose it is."""
    return {"pid": os.getpid(), "user": user(), "host": socket.gethostname(), "machine": identity()}
