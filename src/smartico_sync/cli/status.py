"""`smartico-sync status`: how every view does."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from msgspec import to_builtins

from smartico_sync.cli.configured import Configured
from smartico_sync.cli.loading import loading
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.output import echo, print_json, secho
from smartico_sync.cli.status_text import status_lines
from smartico_sync.daemon import asking
from smartico_sync.daemon.asking import DaemonHangs
from smartico_sync.errors import ConfigError, ExitCode, SyncError
from smartico_sync.observe.finding import Finding

if TYPE_CHECKING:
    from pathlib import Path

    from smartico_sync.config.models import Health

__all__ = ["current", "status"]

PATIENCE_S = 3.0  # the endpoint is on this machine, or near


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
    try:
        look = partial(current, Configured(path, secrets="passed over"))
        live = None
    except ConfigError as error:
        look = partial(at_work, path, error)
        live = look()  # or the mistake itself, also with --watch
    if watched:
        from smartico_sync.cli.status_watch import is_terminal, watch  # noqa: PLC0415 - what draws

        live = watch(look, "json" if as_json else "picture" if is_terminal() else "lines")
    else:
        live = live or look()
        (print_json if as_json else show)(live)
    return ExitCode.FINE if live["ready"] in ("delivering", "standing by") else ExitCode.INTERNAL


def current(context: Configured) -> dict[str, Any]:
    """How every view does: what the daemon says, else what the state knows. StateError where it cannot be read."""
    try:
        told = asked(context) or running(context.configuration.health)
    except DaemonHangs as error:
        told = known(context)
        views = [{**view, "state": "unknown"} for view in told["views"]]
        return {**told, "views": views, "ready": "not answering", "findings": [to_builtins(hangs(error))]}
    return known(context) if told is None else told


def at_work(path: Path, error: ConfigError) -> dict[str, Any]:
    """What the daemon says that goes on with the former configuration, while the file cannot be used. Raises `error` where none answers."""
    state = written_state(path)
    told = None if state is None else answer_of(state)
    if told is None:
        raise error
    mistake = Finding(
        "warning",
        path.name,
        f"it cannot be used, and the former one goes on: {error.in_a_line}",
        error.hint,
        code="configuration",
    )
    others = [finding for finding in told["findings"] if finding["code"] != mistake.code]
    return {**told, "findings": [*others, to_builtins(mistake)]}


def written_state(path: Path) -> Path | None:
    """Where a file that cannot be used says that the state is; None for a server, a variable, or where there is no file."""
    from smartico_sync.config.models import Configuration  # noqa: PLC0415 - whoever comes here has imported it

    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    written = [
        line.removeprefix("state:").partition(" #")[0].strip(" \t\"'") for line in lines if line.startswith("state:")
    ]
    state = written[0] if written else Configuration.model_fields["state"].default
    return None if "$" in state or "://" in state else path.absolute().parent / state


def known(context: Configured) -> dict[str, Any]:
    """What the state knows."""
    with loading():
        from smartico_sync.cli.stopped import stopped  # noqa: PLC0415 - all that reads a state, when no daemon answers

    return stopped(context)


def hangs(error: DaemonHangs) -> Finding:
    """What is to be said of a daemon that does not answer."""
    return Finding("critical", "daemon", error.message, error.hint, code="start")


def asked(context: Configured) -> dict[str, Any] | None:
    """What the daemon that holds this state says over its socket, whatever `health:` is; None when it cannot be asked so. Raises DaemonHangs."""
    return answer_of(context.state.path)


def answer_of(state: Path) -> dict[str, Any] | None:
    """The same of the daemon that holds the state there."""
    try:
        told = asking.ask(state, "status", {}, asking.LOOK_S)
    except DaemonHangs:
        raise
    except (SyncError, OSError):
        return None
    return told if isinstance(told, dict) and "views" in told else None


def running(health: Health) -> dict[str, Any] | None:
    """What the running daemon says; None when none answers."""
    if health.listen == "off":
        return None
    from http.client import HTTPConnection, HTTPException  # noqa: PLC0415 - when nobody answers on the socket

    host, _, port = health.listen.rpartition(":")
    headers = {"Host": "localhost"}
    if health.token is not None:
        headers["Authorization"] = f"Bearer {health.token.get_secret_value()}"
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - compared, not listened on
    try:
        with closing(HTTPConnection(host.strip("[]"), int(port), timeout=PATIENCE_S)) as connection:
            connection.request("GET", "/status.json", headers=headers)
            told = json.loads(connection.getresponse().read())
    except (HTTPException, OSError, ValueError):
        return None
    return told if isinstance(told, dict) and "views" in told else None


def show(live: dict[str, Any]) -> None:
    """For a person; where it is no terminal nothing is folded, so that lines can be searched."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in status_lines(live, width):
        for part in line:
            secho(part.text, fg=part.colour, nl=False)
        echo()
