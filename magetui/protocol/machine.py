"""The identity of this machine, boot and pid namespace. A pid names the same process only within one of them."""

from __future__ import annotations

import socket
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PID_NAMESPACE = Path("/proc/self/ns/pid")


def identity() -> str:
    """Return a text that is equal exactly where a pid names the same process. Without /proc it is the host name."""
    boot = BOOT_ID.read_text().strip() if BOOT_ID.is_file() else ""
    namespace = str(PID_NAMESPACE.readlink()) if PID_NAMESPACE.is_symlink() else ""
    return " ".join((socket.gethostname(), boot, namespace)).strip()
