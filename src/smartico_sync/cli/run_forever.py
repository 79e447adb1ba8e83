"""`smartico-sync run` without `--once`: work until somebody says stop, through every reload, and answer commands meanwhile."""

from __future__ import annotations

import gc
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from smartico_sync.cli.run_reports import Reports, notes_of
from smartico_sync.cli.serving import assembled, loaded, serve
from smartico_sync.config.state_checks import is_server
from smartico_sync.daemon.one_core import OneCore
from smartico_sync.daemon.reload import Reload
from smartico_sync.daemon.scheduler import Scheduler
from smartico_sync.daemon.service_manager import ServiceManager
from smartico_sync.daemon.wiring import board_of, endpoint_of
from smartico_sync.errors import SyncError
from smartico_sync.observe.alerts import Alerts
from smartico_sync.observe.glance import Glance
from smartico_sync.observe.health import assess
from smartico_sync.observe.journal import Journal
from smartico_sync.tracking.clocks import now_ms

if TYPE_CHECKING:
    from pathlib import Path

    from smartico_sync.config.environment_file import Variables
    from smartico_sync.config.models import Configuration
    from smartico_sync.daemon.ending import Ending
    from smartico_sync.daemon.start import Start
    from smartico_sync.observe.endpoint import Endpoint
    from smartico_sync.observe.status_board import StatusBoard

__all__ = ["forever"]


def forever(path: Path, variables: Variables, start: Start, ending: Ending, stack: ExitStack) -> None:
    """Work until somebody says stop: with the configuration as it is now, and with each that is loaded after it."""
    reload = stack.enter_context(Reload(path, ending, variables))
    configuration, base = start.until(partial(loaded, path)), path.absolute().parent
    board = board_of(configuration)
    endpoint = endpoint_of(configuration.health, board, base)
    if endpoint is not None:
        stack.callback(endpoint.close)
        start.endpoint = endpoint
    alerts = Alerts()
    stack.callback(alerts.close)
    journal = start.journal = stack.enter_context(Journal(alerts.tell))
    stack.enter_context(OneCore())
    boards = [board]
    stack.enter_context(ServiceManager(lambda: assess(boards[0].views(), ()).alive == "alive"))
    while True:
        alerts.use(configuration.alerts)
        try:
            if is_server(configuration.state):
                from smartico_sync.cli.run_member import take_part  # noqa: PLC0415 - only where members share a state

                notes = partial(notes_of, reload, alerts)
                following = take_part(path, configuration, start, ending, reload, board, endpoint, journal, notes)
            else:
                following = work_alone(base, configuration, start, ending, reload, board, endpoint, journal, alerts)
        except SyncError as error:
            following = reload.back(configuration, error)
        if following is None:
            return
        configuration = following
        gc.unfreeze()  # what was made for the configuration before
        gc.collect()
        boards[0] = board = board_of(configuration)


def work_alone(
    base: Path,
    configuration: Configuration,
    start: Start,
    ending: Ending,
    reload: Reload,
    board: StatusBoard,
    endpoint: Endpoint | None,
    journal: Journal,
    alerts: Alerts,
) -> Configuration | None:
    """Work with this configuration until another one is loaded, which is returned, or the daemon ends. Raises what no waiting mends."""
    if endpoint is not None:
        endpoint.begins(board, reload.findings, journal.dated)
    with ExitStack() as stack:
        parts = start.until(partial(assembled, configuration, base, stack, board))
        scheduler = Scheduler(parts.loops, parts.store, configuration, reload.begin(configuration))
        reports = Reports(parts, reload, alerts, now_ms(), Glance(parts.store.sizes), journal.dated)
        ending.code = serve(scheduler, parts, endpoint, "forever", stack, reports, journal)
    return reload.following()
