"""`smartico-sync status`: how every view does."""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import httpx

from smartico_sync.cli.operator_context import OperatorContext, print_json
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.output import echo, secho
from smartico_sync.cli.status_text import status_lines
from smartico_sync.cli.status_watch import is_terminal, watch
from smartico_sync.daemon import control
from smartico_sync.errors import ExitCode, SyncError
from smartico_sync.state.key_file import key_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from smartico_sync.config.models import Health
    from smartico_sync.state.store import Store

__all__ = ["current", "status"]

PATIENCE_S = 3.0  # socket and endpoint are on this machine, or near


@click.command()
@config_option
@json_option
@click.option(
    "--watch",
    "watched",
    is_flag=True,
    help="Go on looking until Ctrl-C; where the output is no terminal, a line for each change.",
)
def status(path: Path, as_json: bool, watched: bool) -> ExitCode:
    """Say how every view does: from the running daemon, or from the state when it does not run.

    Ends with 0 when the daemon delivers, as `/readyz` says it, and with 1 when it does not, has not begun yet, or does not run.
    """
    context = OperatorContext(path)
    if watched:
        form = "json" if as_json else "picture" if is_terminal() else "lines"
        live = watch(partial(current, context), form)
        return ended_with(live)
    live = current(context)
    if as_json:
        print_json(live)
    else:
        show(live)
    return ended_with(live)


def ended_with(live: dict[str, Any]) -> ExitCode:
    """The exit code for what was seen."""
    return ExitCode.FINE if live["ready"] == "delivering" else ExitCode.INTERNAL


def current(context: OperatorContext) -> dict[str, Any]:
    """How every view does: what the daemon says, else what the state knows. StateError where it cannot be read."""
    return asked(context) or running(context.configuration.health) or stopped(context)


def asked(context: OperatorContext) -> dict[str, Any] | None:
    """What the daemon that holds this state says over its socket, whatever `health:` is; None when it cannot be asked so."""
    with suppress(SyncError, OSError):
        told = control.ask(context.state, "status", {}, patience_s=PATIENCE_S)
        return told if isinstance(told, dict) and "views" in told else None
    return None


def stopped(context: OperatorContext) -> dict[str, Any]:
    """What the state knows, while no daemon runs: views as they are configured, then those that are not any more."""
    rows, lanes, sizes, parked, dead = {}, {}, {}, {}, {}
    if context.state.exists() or key_path(context.state).exists():
        with context.reading() as store:
            rows = {row.view: row for row in store.views()}
            sizes = asdict(store.sizes())
            lanes = {name: waiting(context, store, name) for name in rows}
            parked, dead = store.parked_counts(), store.dead_letter_counts()
    names = [view.name for view in context.configuration.views]
    views = []
    for name in [*names, *(name for name in rows if name not in names)]:
        row = rows.get(name)
        views.append(
            {
                "name": name,
                "state": "not configured" if name not in names else "not running" if row else "never started",
                "head": row.head.cursor if row and row.head else "",
                "counts": dict(row.counts) if row else {},
                "parked": coded(parked.get(name, {})),
                "dead": coded(dead.get(name, {})),
                **lanes.get(name, {}),
            }
        )
    return {"ready": "not running", "views": views, "findings": [], "state": sizes}


def coded(counts: Mapping[int, int]) -> dict[str, int]:
    """Counts by reason code as JSON has them."""
    return {str(code): count for code, count in counts.items()}


def waiting(context: OperatorContext, store: Store, name: str) -> dict[str, Any]:
    """What waits at the broker for a view of messages; nothing for others, and where the broker does not answer."""
    view = next((view for view in context.configuration.views if view.name == name), None)
    if view is None or not context.is_broker(view):
        return {}
    with suppress(SyncError), context.broker(view) as (stream, feed):
        lanes = stream.lags(feed, store.lanes(name))
        return {"stream": {"lanes": [{"name": lag.lane, "lag": lag.messages, "lag_ms": lag.time_ms} for lag in lanes]}}
    return {}


def running(health: Health) -> dict[str, Any] | None:
    """What the running daemon says; None when none answers."""
    if health.listen == "off":
        return None
    host, _, port = health.listen.rpartition(":")
    headers = {"Host": "localhost"}
    if health.token is not None:
        headers["Authorization"] = f"Bearer {health.token.get_secret_value()}"
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - compared, not listened on
    try:
        answer = httpx.get(f"http://{host}:{port}/status.json", headers=headers, timeout=PATIENCE_S, trust_env=False)
        told = answer.json()
    except (httpx.HTTPError, ValueError):
        return None
    return told if isinstance(told, dict) and "views" in told else None


def show(live: dict[str, Any]) -> None:
    """For a person; where it is no terminal nothing is folded, so that lines can be searched."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in status_lines(live, width):
        for part in line:
            secho(part.text, fg=part.colour, nl=False)
        echo()
