"""`smartico-sync demo`: a casino, the sandbox and the real daemon, at once."""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import click

from smartico_sync.catalogue.engines import EMBEDDED, KAFKA
from smartico_sync.cli.check_machine import taken
from smartico_sync.cli.durations import seconds_of
from smartico_sync.cli.run_reports import Reports
from smartico_sync.cli.serving import serve
from smartico_sync.config import load
from smartico_sync.daemon.ending import Ending
from smartico_sync.daemon.scheduler import Scheduler
from smartico_sync.daemon.wiring import assemble, endpoint_of
from smartico_sync.demo.brokers import BROKERS, open_broker
from smartico_sync.demo.casino import LiveCasino
from smartico_sync.demo.publisher import Publisher, topics_yaml
from smartico_sync.demo.replica import create, expected, views_yaml
from smartico_sync.errors import ConfigError, ExitCode
from smartico_sync.observe.glance import Glance
from smartico_sync.observe.logs import configure
from smartico_sync.pii.keys import new_key
from smartico_sync.sandbox.api import Sandbox
from smartico_sync.tracking.clocks import now_ms

__all__ = ["demo"]

PATIENCE_S = 20.0  # after the casino stands still, for the last rows to arrive
DRAIN_S = 4.0  # the same after Ctrl-C: the process ends within 8 s, and the daemon wants some of them
GLANCE_S = 0.1


@click.command()
@click.option("--for", "duration", default=None, help="End by itself after this long, as 20s or 2m, with a summary.")
@click.option("--listen", default="127.0.0.1:8080", show_default=True, help="Where the status page is.")
@click.option("--sandbox", "api", default="127.0.0.1:8090", show_default=True, help="Where the local ingest API is.")
@click.option(
    "--source", type=click.Choice([EMBEDDED.scheme, *BROKERS]), default=EMBEDDED.scheme, show_default=True,
    help="What the daemon reads: the casino's own views, or topics or queues that it publishes to.",
)  # fmt: skip
@click.option(
    "--broker", default="", help=f"The broker's URL; without one the demo starts a small {KAFKA.title} of its own."
)
def demo(*, duration: str | None, listen: str, api: str, source: str, broker: str) -> int:
    """A small casino in SQLite that never stands still, the local ingest API, and the daemon between them."""
    seconds = seconds_of(duration)
    for option, address in (("--listen", listen), ("--sandbox", api)):
        if reason := taken(address):
            raise ConfigError(
                f"{option}: cannot listen on {address}: {reason}", hint=f"smartico-sync demo {option} 127.0.0.1:PORT"
            )
    configure("auto")
    with Ending() as ending, ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="smartico-sync-demo-")))
        replica = home / "replica.db"
        create(replica, now=datetime.now(UTC))
        sandbox = stack.enter_context(Sandbox(api, log=home / "events.jsonl"))
        path = home / "views.yaml"
        path.write_text(written(replica, source, broker, (sandbox.url, home / "state.db", listen, new_key()), stack))
        configuration = load(path)
        parts = assemble(configuration, home, stack)
        scheduler = Scheduler(parts.loops, parts.store, configuration)
        endpoint = endpoint_of(configuration.health, parts.board, home)
        if endpoint is not None:
            stack.callback(endpoint.close)
        click.echo(f"  page       http://{listen}/", err=True)
        click.echo(f"  API        {sandbox.url.split('/api')[0]}/", err=True)
        click.echo(f"  views      {path}", err=True)
        click.echo(f"  events     {home / 'events.jsonl'}", err=True)
        casino = LiveCasino(replica)
        ends = (ending.stopping, seconds)
        script = (casino, sandbox, scheduler, replica, *ends)
        director = threading.Thread(target=direct, args=script, name="director", daemon=True)
        director.start()
        reports = Reports(parts, None, None, now_ms(), Glance(parts.store.sizes))
        serve(scheduler, parts, endpoint, "forever", stack, reports)
        casino.stop()
        return int(told(expected(replica), sandbox, "finished" if seconds is not None else "interrupted"))


def written(replica: Path, source: str, url: str, place: tuple[str, Path, str, str], stack: ExitStack) -> str:
    """The configuration, of the replica itself or of a broker that the casino publishes to from now on, until `stack` ends."""
    if source == EMBEDDED.scheme:
        if url:
            raise ConfigError(
                f"--broker is for --source {' or '.join(BROKERS)}", hint=f"--source {next(iter(BROKERS))}"
            )
        return views_yaml(replica, *place)
    broker = open_broker(source, url)
    stack.callback(broker.close)
    publisher = Publisher(replica, broker)
    stack.callback(publisher.stop)
    publisher.start()
    return topics_yaml(broker, *place)


def direct(
    casino: LiveCasino,
    sandbox: Sandbox,
    scheduler: Scheduler,
    replica: Path,
    asked: threading.Event,
    seconds: float | None,
) -> None:
    """Open the casino once the first load is in; close it in time or when `asked` to end, and end when all has arrived."""
    began = time.monotonic()
    try:
        arrived(sandbox, replica, PATIENCE_S, asked)
        if not asked.is_set():
            casino.start()
            asked.wait(None if seconds is None else max(0.0, seconds - (time.monotonic() - began)))
            casino.stop()
        arrived(sandbox, replica, DRAIN_S if asked.is_set() else PATIENCE_S)
    finally:
        scheduler.stop()


def arrived(sandbox: Sandbox, replica: Path, patience_s: float, asked: threading.Event | None = None) -> None:
    """Wait until the API has taken every event there should be, for so long at most, or until `asked` to end."""
    asked = asked or threading.Event()
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and not asked.is_set():
        if sandbox.stats()["by_event_type"] == expected(replica):
            return
        asked.wait(GLANCE_S)


def told(wanted: dict[str, int], sandbox: Sandbox, end: Literal["finished", "interrupted"]) -> ExitCode:
    """Print what changed beside what was accepted. INTERNAL when a finished demo does not add up."""
    accepted = sandbox.stats()["by_event_type"]
    click.echo(f"{'event':<28}{'changed':>10}{'accepted':>10}")
    for name in sorted({*wanted, *accepted}):
        click.echo(f"{name:<28}{wanted.get(name, 0):>10,}{accepted.get(name, 0):>10,}")
    total, sent = sum(wanted.values()), sum(accepted.values())
    click.echo(f"{'sum':<28}{total:>10,}{sent:>10,}")
    if wanted == accepted:
        click.echo("it adds up: rows changed in the source = events accepted")
        return ExitCode.FINE
    if end == "finished":
        click.echo("it does not add up")
        return ExitCode.INTERNAL
    late = max(0, total - sent)
    click.echo(
        f"{late:,} rows changed in the last moment before it ended: a daemon that starts again goes on with them"
    )
    return ExitCode.FINE
