"""`sync run`: the daemon."""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import structlog

from smartico_sync import __version__
from smartico_sync.cli.options import config_option
from smartico_sync.config.load import load
from smartico_sync.daemon.control import Control
from smartico_sync.daemon.operations import Operations
from smartico_sync.daemon.scheduler import Scheduler
from smartico_sync.daemon.wiring import Parts, assemble
from smartico_sync.errors import ExitCode
from smartico_sync.observe.endpoint import Endpoint
from smartico_sync.observe.health import assess
from smartico_sync.observe.logs import configure
from smartico_sync.observe.status_document import status_document
from smartico_sync.observe.terminal import Progress, summary
from smartico_sync.tracking.clocks import now_ms

if TYPE_CHECKING:
    from pathlib import Path

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
    warnings: list[str] = []
    configuration = load(path, warnings=warnings)
    for warning in warnings:
        log.warning("configuration", reason=warning)
    with ExitStack() as stack:
        parts = assemble(configuration, path.absolute().parent, stack)
        scheduler = Scheduler(parts.loops, parts.store, configuration)
        return int(serve(scheduler, parts, configuration.health.listen, "once" if once else "forever", stack))


def serve(scheduler: Scheduler, parts: Parts, listen: str, mode: str, stack: ExitStack) -> ExitCode:
    """Run the scheduler with its endpoint until it ends or a signal comes."""

    def end(number: int, _: Any) -> None:
        if scheduler.stopping.is_set():
            os._exit(128 + number)  # asked twice: at once
        scheduler.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    where = "no status page"
    if listen != "off" and mode == "forever":
        endpoint = Endpoint(listen, parts.board, parts.delivery.status)
        stack.callback(endpoint.close)
        where = endpoint.url
    if mode == "forever":
        operations = Operations(parts.store, {loop.name: loop for loop in parts.loops}, scheduler.backfills)
        stack.callback(Control(parts.store.path, operations, partial(status_of, parts, now_ms())).close)
    # What has been made so far lives as long as the process; looking through it again and again costs a twentieth of the speed.
    gc.collect()
    gc.freeze()
    log.info("started", version=__version__, views=len(parts.loops), page=where)
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
            log.info("view", view=view.name, state=view.state, waiting=sum(view.parked.values()), **view.counts)
        for finding in assess(look(), parts.delivery.status()).findings:
            log.warning("finding", subject=finding.subject, reason=finding.message, hint=finding.hint)
    log.info("ended", code=int(code))
    return ExitCode(code)


def status_of(parts: Parts, started_ms: int) -> dict[str, Any]:
    """How the daemon does, for whoever asks over the control socket."""
    views, destinations = parts.board.views(), parts.delivery.status()
    return status_document(views, destinations, assess(views, destinations), started_ms=started_ms, now_ms=now_ms())
