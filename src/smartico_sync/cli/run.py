"""`smartico-sync run`: the daemon."""

from __future__ import annotations

import gc
import math
import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import click
import structlog

from smartico_sync import __version__
from smartico_sync.cli.environment_file import add_environment_file
from smartico_sync.cli.loading import without_collector
from smartico_sync.cli.options import config_option
from smartico_sync.cli.run_reports import Reports, notes_of, tell_configuration, tell_outcome
from smartico_sync.config.load import load
from smartico_sync.config.state_checks import is_server
from smartico_sync.daemon.control import Control, no_reload
from smartico_sync.daemon.ending import Ending
from smartico_sync.daemon.operations import Operations
from smartico_sync.daemon.reload import Reload
from smartico_sync.daemon.scheduler import Scheduler
from smartico_sync.daemon.service_manager import ServiceManager
from smartico_sync.daemon.start import ONCE_PATIENCE_S, Start, Stopped
from smartico_sync.daemon.wiring import Parts, assemble, board_of, endpoint_of
from smartico_sync.errors import ExitCode, SyncError
from smartico_sync.observe.alerts import Alerts
from smartico_sync.observe.health import assess
from smartico_sync.observe.journal import Journal
from smartico_sync.observe.logs import configure, flush
from smartico_sync.tracking.clocks import now_ms

if TYPE_CHECKING:
    from pathlib import Path

    from smartico_sync.config.models import Configuration
    from smartico_sync.observe.endpoint import Endpoint
    from smartico_sync.observe.status_board import StatusBoard

__all__ = ["run", "serve"]


log = structlog.get_logger()


@click.command()
@config_option
@click.option("--once", "once", is_flag=True, help="Poll every view until it has caught up, then end.")
@click.option(
    "--log",
    "form",
    type=click.Choice(["auto", "json", "console"]),
    default="auto",
    show_default=True,
    help="How logs look; auto: JSON unless on a terminal.",
)
def run(path: Path, once: bool, form: str) -> int:
    """Watch the views and send what changed; the daemon.

    Ends with Ctrl-C or SIGTERM, after the requests under way; SIGHUP has it read its configuration again. With --once it ends by itself: 0 everything delivered,
    3 a source or 4 the API could not be used, 6 done but some rows are dead letters.
    """
    written = configure(form)  # type: ignore[arg-type]
    try:
        if warning := add_environment_file(path):
            log.warning("configuration", reason=warning)
        return begun(path, once)
    except SyncError as error:
        if written == "console":
            raise
        log.error("failed", code=int(error.exit_code), reason=error.message, hint=error.hint)  # noqa: TRY400 - a person's mistake has no traceback
        flush()
        return int(error.exit_code)


def begun(path: Path, once: bool) -> int:
    """The daemon from its start to its end; the exit code."""
    with Ending() as ending, ExitStack() as stack:
        start = Start(ending.stopping, ONCE_PATIENCE_S if once else math.inf)
        base = path.absolute().parent
        try:
            if once:
                configuration = loaded(path)
                parts = start.until(partial(assembled, configuration, base, stack, board_of(configuration)))
                scheduler = Scheduler(parts.loops, parts.store, configuration, ending.stopping)
                ending.code = serve(scheduler, parts, None, "once", stack)
            else:
                forever(path, start, ending, stack)
        except Stopped:
            return int(ExitCode.FINE)
        log.info("ended", code=int(ending.code))
        return int(ending.code)


def forever(path: Path, start: Start, ending: Ending, stack: ExitStack) -> None:
    """Work until somebody says stop: with the configuration as it is now, and with each that is loaded after it."""
    reload = stack.enter_context(Reload(path, ending))
    configuration, base = start.until(partial(loaded, path)), path.absolute().parent
    board = board_of(configuration)
    endpoint = endpoint_of(configuration.health, board, base)
    if endpoint is not None:
        stack.callback(endpoint.close)
        start.endpoint = endpoint
    alerts = Alerts()
    stack.callback(alerts.close)
    journal = start.journal = stack.enter_context(Journal(alerts.tell))
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
        reports = Reports(parts, reload, alerts, now_ms(), journal.dated)
        ending.code = serve(scheduler, parts, endpoint, "forever", stack, reports, journal)
    return reload.following()


def loaded(path: Path) -> Configuration:
    """The configuration; what is odd about it is told."""
    warnings: list[str] = []
    configuration = load(path, warnings=warnings)
    for warning in warnings:
        log.warning("configuration", reason=warning)
    return configuration


def assembled(configuration: Configuration, base: Path, stack: ExitStack, board: StatusBoard) -> Parts:
    """The parts. They live as long as the process; looking through them for garbage again and again would cost a twentieth of the speed."""
    with without_collector():
        return assemble(configuration, base, stack, board)


def serve(
    scheduler: Scheduler,
    parts: Parts,
    endpoint: Endpoint | None,
    mode: str,
    stack: ExitStack,
    reports: Reports | None = None,
    journal: Journal | None = None,
) -> ExitCode:
    """Run the scheduler, with its endpoint if there is one, until it ends."""
    where = "no status page"
    if endpoint is not None:
        endpoint.destinations, endpoint.starting = parts.delivery.status, "no"
        endpoint.sources, endpoint.sizes = parts.sources, parts.store.sizes
        endpoint.dead_letters = parts.store.newest_dead_letters
        where = endpoint.url
    if reports is not None:
        be_asked(scheduler, parts, endpoint, reports, stack)
    if reports is not None and journal is not None:
        journal.watch(reports.look)
        stack.callback(journal.watch, None)
    tell_configuration(parts)
    log.info("started", version=__version__, views=len(parts.loops), page=where)
    for name, encryption in parts.sources.items():
        if encryption:
            log.info("source", source=name, connection=encryption)
    views = parts.board.last_seen if mode == "once" else parts.board.views
    progress = None
    if sys.stderr.isatty():
        from smartico_sync.observe.terminal import Progress, summary  # noqa: PLC0415 - rich, a tenth of a start

        progress = stack.enter_context(Progress(views, where))
    code = ExitCode.FINE
    if mode == "once":
        code = scheduler.once()
    else:
        scheduler.forever()
    if progress is not None:
        progress.stop()
    if mode == "once":
        if progress is not None:
            summary(views())
        tell_outcome(parts)
    return ExitCode(code)


def be_asked(
    scheduler: Scheduler,
    parts: Parts,
    endpoint: Endpoint | None,
    reports: Reports,
    stack: ExitStack,
) -> None:
    """Answer commands, until the end."""
    if endpoint is not None:
        endpoint.notes = reports.notes
    loops = {loop.name: loop for loop in parts.loops}
    operations = Operations(parts.store, loops, scheduler.backfills)
    reload = reports.reload.ask if reports.reload else no_reload
    stack.callback(Control(parts.store.path, operations, reports.document, reload).close)
