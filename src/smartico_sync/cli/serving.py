"""The daemon's parts at work: with the configuration that was read, until the scheduler ends."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import structlog

from smartico_sync import __version__
from smartico_sync.cli.loading import without_collector
from smartico_sync.cli.run_reports import tell_configuration, tell_outcome
from smartico_sync.config.load import load
from smartico_sync.daemon.wiring import Parts, assemble
from smartico_sync.errors import ExitCode

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from smartico_sync.cli.run_reports import Reports
    from smartico_sync.config.models import Configuration
    from smartico_sync.daemon.scheduler import Scheduler
    from smartico_sync.observe.endpoint import Endpoint
    from smartico_sync.observe.journal import Journal
    from smartico_sync.observe.status_board import StatusBoard

__all__ = ["assembled", "loaded", "serve"]

log = structlog.get_logger()


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
        endpoint.sources, endpoint.dead_letters = parts.sources, parts.store.newest_dead_letters
        where = endpoint.url
    if reports is not None:
        from smartico_sync.cli.commanded import be_asked  # noqa: PLC0415 - `--once` answers nobody

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
