"""What `/status.json` and `smartico-sync status --json` say: health, views and destinations, as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from smartico_sync import __version__
from smartico_sync.observe.logs import dropped_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.delivery.destination import DestinationStatus
    from smartico_sync.observe.health import Health
    from smartico_sync.observe.view_status import ViewStatus

__all__ = ["status_document"]


def status_document(
    views: Sequence[ViewStatus],
    destinations: Sequence[DestinationStatus],
    health: Health,
    *,
    started_ms: int,
    now_ms: int,
) -> dict[str, Any]:
    """Everything that is known at one moment. Keys of dead letters and parked rows are reason codes, which are numbers."""
    return {
        "version": __version__,
        "started_ms": started_ms,
        "now_ms": now_ms,
        "alive": health.alive,
        "ready": health.ready,
        "log_lines_dropped": dropped_lines(),
        "findings": [to_builtins(finding) for finding in health.findings],
        "views": [as_data(view) for view in views],
        "destinations": [to_builtins(destination) for destination in destinations],
    }


def as_data(view: ViewStatus) -> dict[str, Any]:
    """A view without the facts that its state and ages were derived from. `stragglers` is what `late_rows` was called first, and stays."""
    data: dict[str, Any] = to_builtins(view)
    del data["polls"]
    if data["replica"]:
        del data["replica"]["asked"]
    data["late"]["stragglers"] = data["late"]["late_rows"]
    return data
