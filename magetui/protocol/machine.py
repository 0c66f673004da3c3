"""Which machine, start and process space this is: a process's number means that process here and nowhere else."""

from __future__ import annotations

import socket
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROCESS_SPACE = Path("/proc/self/ns/pid")


def identity() -> str:
    """A text that is equal exactly where a process number can be trusted; the host's name alone without /proc."""
    boot = BOOT_ID.read_text().strip() if BOOT_ID.is_file() else ""
    space = str(PROCESS_SPACE.readlink()) if PROCESS_SPACE.is_symlink() else ""
    return " ".join((socket.gethostname(), boot, space)).strip()
