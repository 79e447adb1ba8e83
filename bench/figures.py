"""The figures of all benches in one JSON file, which BENCH_JSON names; without it they are only printed."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from servers.postgresql import binaries

__all__ = ["keep", "kept", "machine"]


def keep(part: str, figures: Any) -> None:
    """Write the figures of one part, beside those of others that are there already, and the machine they are of."""
    if not (target := os.environ.get("BENCH_JSON")):
        return
    file = Path(target)
    whole = kept(file)
    whole.setdefault("machine", machine())
    whole[part] = figures
    file.write_text(json.dumps(whole, indent=1))


def kept(file: Path) -> dict[str, Any]:
    """The figures that are there."""
    with suppress(FileNotFoundError):
        return dict(json.loads(file.read_text()))
    return {}


def machine() -> dict[str, Any]:
    """What the figures are of. `load` is what else ran on it when they began: processes that wanted a core in the last minute."""
    return {
        **platform.uname()._asdict(),
        "cores": os.cpu_count(),
        "cpu": named("/proc/cpuinfo", "model name"),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "python": platform.python_version(),
        "postgresql": postgresql(),
        "load": os.getloadavg()[0],
        "began": datetime.now(UTC).isoformat(timespec="minutes"),
        "began_s": time.time(),
    }


def named(file: str, name: str) -> str:
    """What a file of the kernel says under a name; the machine's kind where it does not."""
    with suppress(OSError):
        for line in Path(file).read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return platform.machine()


def postgresql() -> str:
    """The version of the PostgreSQL that is measured on."""
    if (found := binaries()) is None:
        return "none"
    told = subprocess.run([found / "postgres", "--version"], capture_output=True, text=True, check=False).stdout
    return told.split()[2] if len(told.split()) > 2 else "unknown"
