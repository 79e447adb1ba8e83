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
from smartico_sync.cli.options import config_option
from smartico_sync.config.load import load
from smartico_sync.daemon.control import Control
from smartico_sync.daemon.ending import Ending
from smartico_sync.daemon.operations import Operations
from smartico_sync.daemon.scheduler import Scheduler
from smartico_sync.daemon.start import ONCE_PATIENCE_S, Start, Stopped
from smartico_sync.daemon.wiring import Parts, assemble, board_of, endpoint_of
from smartico_sync.errors import ExitCode
from smartico_sync.observe.logs import configure
from smartico_sync.observe.terminal import Progress, summary

if TYPE_CHECKING:
    from pathlib import Path

    from smartico_sync.config.models import Configuration
    from smartico_sync.observe.endpoint import Endpoint

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

    Ends with Ctrl-C or SIGTERM, after the requests under way. With --once it ends by itself: 0 everything delivered,
    3 a source or 4 the API could not be used, 6 done but some rows are dead letters.
    """
    configure(form)  # type: ignore[arg-type]
    with Ending() as ending, ExitStack() as stack:
        start = Start(ending.stopping, ONCE_PATIENCE_S if once else math.inf)
        base = path.absolute().parent
        try:
            configuration = loaded(path) if once else start.until(partial(loaded, path))
            board = board_of(configuration)
            endpoint = None if once else endpoint_of(configuration.health, board, base)
            if endpoint is not None:
                stack.callback(endpoint.close)
                endpoint.starting, start.endpoint = "yes", endpoint
            parts = start.until(lambda: assemble(configuration, base, stack, board))
        except Stopped:
            return int(ExitCode.FINE)
        scheduler = Scheduler(parts.loops, parts.store, configuration, ending.stopping)
        ending.code = serve(scheduler, parts, endpoint, "once" if once else "forever", stack)
        return int(ending.code)


def loaded(path: Path) -> Configuration:
    """The configuration; what is odd about it is told."""
    warnings: list[str] = []
    configuration = load(path, warnings=warnings)
    for warning in warnings:
        log.warning("configuration", reason=warning)
    return configuration


def serve(scheduler: Scheduler, parts: Parts, endpoint: Endpoint | None, mode: str, stack: ExitStack) -> ExitCode:
    """Run the scheduler, with its endpoint if there is one, until it ends."""
    where = "no status page"
    if endpoint is not None:
        endpoint.destinations, endpoint.starting = parts.delivery.status, "no"
        endpoint.sources, endpoint.sizes = parts.sources, parts.store.sizes
        where = endpoint.url
    if mode == "forever":
        operations = Operations(parts.store, {loop.name: loop for loop in parts.loops}, scheduler.backfills)
        stack.callback(Control(parts.store.path, operations).close)
    # What has been made so far lives as long as the process; looking through it again and again costs a twentieth of the speed.
    gc.collect()
    gc.freeze()
    log.info("started", version=__version__, views=len(parts.loops), page=where)
    for name, encryption in parts.sources.items():
        if encryption:
            log.info("source", source=name, connection=encryption)
    look = parts.board.last_seen if mode == "once" else parts.board.views
    progress = stack.enter_context(Progress(look, where)) if sys.stderr.isatty() else None
    code = ExitCode.FINE
    if mode == "once":
        code = scheduler.once()
    else:
        scheduler.forever()
    if progress is not None:
        progress.stop()
    if mode == "once":
        summary(look())
        for view in look():
            log.info("view", view=view.name, state=view.state, **view.counts)
    log.info("ended", code=int(code))
    return ExitCode(code)
