"""How a running daemon is asked: by commands over its socket, and by whoever reads its page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.daemon.control import Control, no_reload
from smartico_sync.daemon.operations import Operations

if TYPE_CHECKING:
    from contextlib import ExitStack

    from smartico_sync.cli.run_reports import Reports
    from smartico_sync.daemon.scheduler import Scheduler
    from smartico_sync.daemon.wiring import Parts
    from smartico_sync.observe.endpoint import Endpoint

__all__ = ["be_asked"]


def be_asked(
    scheduler: Scheduler,
    parts: Parts,
    endpoint: Endpoint | None,
    reports: Reports,
    stack: ExitStack,
) -> None:
    """Answer commands, until the end."""
    if endpoint is not None:
        endpoint.notes, endpoint.sizes = reports.notes, reports.sizes
    loops = {loop.name: loop for loop in parts.loops}
    operations = Operations(parts.store, loops, scheduler.backfills)
    reload = reports.reload.ask if reports.reload else no_reload
    stack.callback(Control(parts.store.path, operations, reports.document, reload).close)
