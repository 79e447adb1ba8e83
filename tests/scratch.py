"""Where the tests write: in memory, on a machine that has it to spare. Servers and states wait for disks most of the time else.

TMPDIR, where it is set, is taken.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["in_memory"]

MEMORY = Path("/dev/shm")
ROOM = 6 * 1024**3  # several times what a run of every test leaves there


def in_memory() -> None:
    """Have this process, and those it starts, make their temporary files there."""
    if "TMPDIR" not in os.environ and _has_room():
        os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


def _has_room() -> bool:
    meminfo = Path("/proc/meminfo")
    if not MEMORY.is_dir() or not meminfo.exists():
        return False
    if not os.access(MEMORY, os.W_OK) or os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:  # tests make programs
        return False
    available = next(
        int(line.split()[1]) for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable")
    )
    return min(1024 * available, shutil.disk_usage(MEMORY).free) > ROOM
