"""`smartico-sync status`: how every view does."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from smartico_sync.cli.configured import Configured
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.output import echo, print_json, secho
from smartico_sync.daemon import asking
from smartico_sync.daemon.asking import DaemonHangs
from smartico_sync.errors import ExitCode, SyncError
from smartico_sync.observe.finding import Finding

if TYPE_CHECKING:
    from pathlib import Path

    from smartico_sync.config.models import Health

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
    context = Configured(path)
    live = current(context)
    if as_json:
        print_json(live)
    else:
        show(live)
    return ExitCode.FINE if live["ready"] in ("delivering", "standing by") else ExitCode.INTERNAL


def current(context: Configured) -> dict[str, Any]:
    """How every view does: what the daemon says, else what the state knows. StateError where it cannot be read."""
    try:
        told = asked(context) or running(context.configuration.health)
    except DaemonHangs as error:
        told = known(context)
        views = [{**view, "state": "unknown"} for view in told["views"]]
        return {**told, "views": views, "ready": "not answering", "findings": [asdict(hangs(error))]}
    return known(context) if told is None else told


def known(context: Configured) -> dict[str, Any]:
    """What the state knows."""
    from smartico_sync.cli.stopped import stopped  # noqa: PLC0415 - all that reads a state, when no daemon answers

    return stopped(context)


def hangs(error: DaemonHangs) -> Finding:
    """What is to be said of a daemon that does not answer."""
    return Finding("critical", "daemon", error.message, error.hint, code="start")


def asked(context: Configured) -> dict[str, Any] | None:
    """What the daemon that holds this state says over its socket, whatever `health:` is; None when it cannot be asked so. Raises DaemonHangs."""
    try:
        told = asking.ask(context.state.path, "status", {}, asking.LOOK_S)
    except DaemonHangs:
        raise
    except (SyncError, OSError):
        return None
    return told if isinstance(told, dict) and "views" in told else None


def running(health: Health) -> dict[str, Any] | None:
    """What the running daemon says; None when none answers."""
    if health.listen == "off":
        return None
    import httpx  # noqa: PLC0415 - when nobody answers on the socket

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
    for line in cluster_lines(live.get("cluster")):
        echo(line)
    if size := live.get("state"):
        echo(f"state {size['bytes'] / 1e6:,.1f} MB, {size['free_bytes'] / 1e6:,.1f} MB of it free")
    if live["ready"] == "not running":
        echo("no daemon answers; next: smartico-sync run, or look at its service")


def cluster_lines(cluster: dict[str, Any] | None) -> list[str]:
    """Which member works with which group of views, and who stands by; nothing where one machine has the state."""
    if not cluster:
        return []
    groups = [
        f"group {each['name']} ({', '.join(each['views'])}): "
        + ("this member" if each["role"] == "works" else each["member"] if each["held"] == "yes" else "nobody")
        for each in cluster["groups"]
    ]
    idle = [each["name"] for each in cluster["members"] if not each["groups"]]
    return [*groups, *([f"stands by: {', '.join(idle)}"] if idle else [])]


def since(ms: int) -> str:
    """From when on, for a person."""
    return f", since {datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M:%S}" if ms else ""
