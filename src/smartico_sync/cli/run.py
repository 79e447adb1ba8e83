"""`smartico-sync run`: the daemon."""

from __future__ import annotations

import math
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import click
import structlog

from smartico_sync.cli.loading import without_collector
from smartico_sync.cli.options import config_option
from smartico_sync.cli.serving import assembled, loaded, serve
from smartico_sync.config.environment_file import Variables, add_environment_file
from smartico_sync.daemon.ending import Ending
from smartico_sync.daemon.scheduler import Scheduler
from smartico_sync.daemon.start import ONCE_PATIENCE_S, Start, Stopped
from smartico_sync.daemon.wiring import board_of
from smartico_sync.errors import ExitCode, SyncError
from smartico_sync.observe.logs import configure, flush

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["run"]

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
    variables = Variables(path)
    try:
        if warning := add_environment_file(path):
            log.warning("configuration", reason=warning)
        return begun(path, once, variables)
    except SyncError as error:
        if written == "console":
            raise
        log.error("failed", code=int(error.exit_code), reason=error.in_a_line, hint=error.hint)  # noqa: TRY400 - a person's mistake has no traceback
        flush()
        return int(error.exit_code)


def begun(path: Path, once: bool, variables: Variables) -> int:
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
                forever(path, variables, start, ending, stack)
        except Stopped:
            return int(ExitCode.FINE)
        log.info("ended", code=int(ending.code))
        return int(ending.code)
