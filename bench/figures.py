"""The figures of all benches in one JSON file, which BENCH_JSON names; without it they are only printed."""

from __future__ import annotations

import json
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["keep"]


def keep(part: str, figures: Any) -> None:
    """Write the figures of one part, beside those of others that are there already, and the machine they are of."""
    if not (target := os.environ.get("BENCH_JSON")):
        return
    file, kept = Path(target), {}
    with suppress(FileNotFoundError):
        kept = json.loads(file.read_text())
    machine = {**platform.uname()._asdict(), "cores": os.cpu_count()}
    file.write_text(json.dumps(kept | {"machine": machine, part: figures}, indent=1))
