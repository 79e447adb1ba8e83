"""Who is compared in `bench/__main__.py`, and how each is started."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.data import CASINO, USERS
from bench.plain import LEVELS

__all__ = ["BASELINE", "COMMAND", "DLT", "DLT_LOOP", "ENVIRONMENT", "GUARDED", "RIVALS", "SYNC", "VIEWS", "Rival"]

COMMAND = Path(sys.executable).parent / "smartico-sync"
# As on any machine: modules are compiled once, not at every start.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
ENVIRONMENT["RUNTIME__DLTHUB_TELEMETRY"] = "false"
ENVIRONMENT["PYTHONPATH"] = f"{Path.cwd()}:{ENVIRONMENT.get('PYTHONPATH', '')}"
VIEWS = {
    "casino": f"{{name: %s, source: db, relation: {CASINO}, kind: casino_bets_and_wins, cursor: id, key: bet_id, "
    "late_commit: %s, type: {column: tx_type, bet: BET, win: WIN}}",
    "users": f"{{name: %s, source: db, relation: {USERS}, kind: users, cursor: dt_update, late_commit: %s}}",
}
SYNC, UNPROTECTED = [str(COMMAND)], [sys.executable, "-m", "bench.unprotected"]
BASELINE = "same JSON"


@dataclass(frozen=True)
class Rival:
    """Who does the work: a loop of that level, dlt, or the daemon with that mechanism for late rows.

    `often`: in each turn, or in some turns only, where no target asks for more or a run takes half a minute.
    """

    name: str
    level: str = ""
    late: str = "fence"
    command: tuple[str, ...] = tuple(SYNC)
    faults: tuple[str, ...] = ()
    often: Literal["always", "sometimes"] = "always"


GUARDED = "smartico-sync, fence"
DLT = Path(".bench-dlt/bin/python")  # an environment of its own, which `make bench-dlt` makes
DLT_LOOP = Rival("dlt, as Arrow", command=(str(DLT.absolute()), "-m", "bench.dlt_loop"), often="sometimes")
OTHERS = (DLT_LOOP,) if DLT.exists() else ()


def loops(*, sometimes: str) -> tuple[Rival, ...]:
    """A loop of each level; no target is about `sometimes`."""
    return tuple(
        Rival(f"loop, {level}", level, often="sometimes" if level == sometimes else "always") for level in LEVELS
    )


RIVALS = {
    "casino": (
        *(loop for loop in loops(sometimes="remembered") if loop.level != "encrypted"),  # nothing of it is private
        *OTHERS,
        Rival(GUARDED),
        Rival("smartico-sync, gaps", late="gaps", often="sometimes"),
        Rival("smartico-sync, unprotected", late="auto", command=tuple(UNPROTECTED), often="sometimes"),
        Rival("smartico-sync, API 100 ms away", faults=("latency=100ms",)),
        Rival("smartico-sync, API 500 ms away", faults=("latency=500ms",), often="sometimes"),
    ),
    "users": (*loops(sometimes="as it is"), *OTHERS, Rival(GUARDED)),
}
