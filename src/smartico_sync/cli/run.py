"""`smartico-sync run`: the daemon."""

from __future__ import annotations

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
from smartico_sync.cli.run_reports import tell_configuration, tell_outcome
from smartico_sync.config.load import load
from smartico_sync.daemon.ending import Ending
from smartico_sync.daemon.scheduler import Scheduler
from smartico_sync.daemon.start import ONCE_PATIENCE_S, Start, Stopped
from smartico_sync.daemon.wiring import Parts, assemble, board_of
from smartico_sync.errors import ExitCode, SyncError
from smartico_sync.observe.logs import configure, flush

if TYPE_CHECKING:
    from pathlib import Path

    from smartico_sync.cli.run_reports import Reports
    from smartico_sync.config.models import Configuration
    from smartico_sync.observe.endpoint import Endpoint
    from smartico_sync.observe.journal import Journal
    from smartico_sync.observe.status_board import StatusBoard

__all__ = ["assembled", "loaded", "run", "serve"]


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
                with without_collector():  # what answers others: `--once` does without
                    from smartico_sync.cli.run_forever import forever  # noqa: PLC0415
                forever(path, start, ending, stack)
        except Stopped:
            return int(ExitCode.FINE)
        log.info("ended", code=int(ending.code))
        return int(ending.code)


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
        from smartico_sync.cli.run_forever import be_asked  # noqa: PLC0415 - likewise

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
