"""`smartico-sync status`: how every view does."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import httpx

from smartico_sync.cli.operator_context import OperatorContext, print_json
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.output import echo, secho
from smartico_sync.daemon import control
from smartico_sync.errors import ExitCode, SyncError

if TYPE_CHECKING:
    from pathlib import Path

    from smartico_sync.config.models import Health
    from smartico_sync.state.store import Store

__all__ = ["current", "status"]

PATIENCE_S = 3.0  # the endpoint is on this machine, or near
COLOURS = {
    "live": "green",
    "behind": "blue",
    "starting": "blue",
    "degraded": "yellow",
    "halted": "red",
    "regressed": "red",
}


@click.command()
@config_option
@json_option
def status(path: Path, as_json: bool) -> ExitCode:
    """Say how every view does: from the running daemon, or from the state when it does not run.

    Ends with 0 when the daemon delivers, as `/readyz` says it, and with 1 when it does not, has not begun yet, or does not run.
    """
    context = OperatorContext(path)
    live = current(context)
    if as_json:
        print_json(live)
    else:
        show(live)
    return ExitCode.FINE if live["ready"] in ("delivering", "standing by") else ExitCode.INTERNAL


def current(context: OperatorContext) -> dict[str, Any]:
    """How every view does: what the daemon says, else what the state knows. StateError where it cannot be read."""
    return asked(context) or running(context.configuration.health) or stopped(context)


def asked(context: OperatorContext) -> dict[str, Any] | None:
    """What the daemon that holds this state says over its socket, whatever `health:` is; None when it cannot be asked so."""
    with suppress(SyncError, OSError):
        told = control.ask(context.state.path, "status", {})
        return told if isinstance(told, dict) and "views" in told else None
    return None


def stopped(context: OperatorContext) -> dict[str, Any]:
    """What the state knows, while no daemon runs: views as they are configured, then those that are not any more."""
    rows, lanes, sizes = {}, {}, {}
    if context.state.there:
        with context.reading() as store:
            rows = {row.view: row for row in store.views()}
            sizes = asdict(store.sizes())
            lanes = {name: waiting(context, store, name) for name in rows}
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
                **lanes.get(name, {}),
            }
        )
    return {"ready": "not running", "views": views, "findings": [], "state": sizes}


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
    """For a person."""
    secho(live["ready"], bold=True)
    for view in live["views"]:
        counts = view["counts"]
        again = counts.get("duplicate", 0)
        echo(f"  {view['name']:<20}", nl=False)
        secho(f"{view['state']:<15}", fg=COLOURS.get(view["state"], "yellow"), nl=False)
        echo(
            f"{counts.get('delivered', 0):>14,} delivered"
            + (f", {again:,} known to Smartico before" if again else "")
            + f"   up to {view['head'] or 'nothing yet'}"
            + (f"   lag {view['lag_ms'] / 1000:,.1f} s" if "lag_ms" in view else "")
        )
        if stream := view.get("stream"):
            for lane in stream["lanes"]:
                echo(f"    {lane['name']}: {lane['lag']:,} messages wait, for {lane['lag_ms'] / 1000:,.1f} s")
        if history := view.get("backfill"):
            echo(f"    backfill: {history['done']:,} of {history['total']:,} rows; smartico-sync backfill --list")
    for finding in live["findings"]:
        secho(
            f"! {finding['subject']}: {finding['message']}" + since(finding.get("since_ms", 0)),
            fg="red" if finding["severity"] == "critical" else "yellow",
        )
        if finding["hint"]:
            echo(f"    next: {finding['hint']}")
    if size := live.get("state"):
        echo(f"state {size['bytes'] / 1e6:,.1f} MB, {size['free_bytes'] / 1e6:,.1f} MB of it free")
    if live["ready"] == "not running":
        echo("no daemon answers; next: smartico-sync run, or look at its service")


def since(ms: int) -> str:
    """From when on, for a person."""
    return f", since {datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}" if ms else ""
