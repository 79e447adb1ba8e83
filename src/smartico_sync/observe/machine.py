"""What is to be said of the machine the daemon runs on: its clock, and the disk of its state."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from smartico_sync.observe.finding import Finding
from smartico_sync.observe.page_words import whole_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from smartico_sync.delivery.destination import DestinationStatus
    from smartico_sync.observe.finding import Severity
    from smartico_sync.observe.view_status import ViewStatus

__all__ = ["of_clock", "of_disk", "of_size"]

CLOCK_MS = 60_000  # machines that ask a time server differ by milliseconds, and an HTTP date counts whole seconds
LITTLE, NOTHING = 500_000_000, 50_000_000  # bytes: a day of a busy casino, and the journal of a few transactions
SET_CLOCK = "set the clock of this machine: timedatectl set-ntp true"


def of_clock(views: Sequence[ViewStatus], destinations: Sequence[DestinationStatus]) -> list[Finding]:
    """That clocks differ, and whose is wrong as far as others bear witness: two that agree are right."""
    api = [each.clock_ahead_ms for each in destinations if each.clock_ahead_ms is not None]
    sources = {view.source: view.clock_ahead_ms for view in views if view.clock_ahead_ms is not None}
    off = {source: ahead for source, ahead in sources.items() if abs(ahead) > CLOCK_MS}
    if api and all(abs(ahead) > CLOCK_MS for ahead in api):
        if len(off) == len(sources):
            told = f"the clock of this machine is {differs(-api[0])} the API's" + (" and the database's" if off else "")
            return [Finding("warning", "clock", told, SET_CLOCK, code="clock")]
        return []  # the API's own is wrong: nothing goes by it
    others = " and the API's" if api else ""
    return [
        Finding(
            "warning", source, f"the clock of source {source} is {differs(ahead)} this machine's{others}",
            "set the clock of the database's machine" if api else f"set the one that is wrong; here: {SET_CLOCK.partition(': ')[2]}",
            code="clock",
        )
        for source, ahead in off.items()
    ]  # fmt: skip


def differs(ahead_ms: int) -> str:
    """By how much a clock is ahead of another one, or behind it."""
    return f"{whole_seconds(abs(ahead_ms))} {'ahead of' if ahead_ms > 0 else 'behind'}"


def of_disk(folder: Path) -> list[Finding]:
    """That the disk of the state is nearly full: without room nothing is sent, because it could not be remembered."""
    try:
        room = os.statvfs(folder)
    except OSError:
        return []
    free = room.f_bavail * room.f_frsize
    if free >= LITTLE:
        return []
    severity: Severity = "critical" if free < NOTHING else "warning"
    told = f"the disk of the state has {free / 1e6:,.0f} MB left; once it is full, nothing is delivered"
    hint = f"make room on the disk of {folder}; smartico-sync state compact, with the daemon stopped, gives back what the state does not need"
    return [Finding(severity, "state", told, hint, code="disk")]


def of_size(state: Path) -> list[Finding]:
    """That the state has outgrown its disk: no copy of it fits beside it, so it can neither be backed up there nor be compacted."""
    try:
        size = sum(file.stat().st_size for file in (state, state.with_name(state.name + "-wal")) if file.exists())
        room = os.statvfs(state.parent)
    except OSError:
        return []
    free = room.f_bavail * room.f_frsize
    if size < LITTLE or size <= free:
        return []
    told = f"the state has {size / 1e6:,.0f} MB and its disk {free / 1e6:,.0f} MB left: no copy of it fits there"
    hint = f"make room on the disk of {state.parent}, or keep keys for less long: `reconcile.ledger_retention`, then: smartico-sync reload"
    return [Finding("warning", "state", told, hint, code="disk")]
