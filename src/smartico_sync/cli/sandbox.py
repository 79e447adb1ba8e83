"""`smartico-sync sandbox`: a local ingest API to try things on."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Literal

import click

from smartico_sync.sandbox.api import Sandbox
from smartico_sync.sandbox.limits import MAX_IN_FLIGHT, REQUESTS_PER_MINUTE

__all__ = ["sandbox"]

EPILOG = """\b
Faults, each KIND[=VALUE][:SHARE of the requests]:
  latency=100ms       429[=2s]  500  502  503  504     denied[=401|403|200]   garbage
  hold[=60s]          accepts it only then, or after: curl -X POST http://127.0.0.1:9000/release
  reset-before        reset-after   hang-after[=60s]   slow-drip[=2s]
  refuse=0.01         quote=0.01    unknown-users      unknown-brand[=NAME]   refuse-property=NAME

\b
Examples:
  smartico-sync sandbox --log accepted.jsonl
  smartico-sync sandbox --fault latency=100ms --fault 503:0.1 --fault reset-after:0.02 --seed 7
  curl -d '["429=2s:0.2"]' http://127.0.0.1:9000/faults      change the faults while it runs
"""


@click.command(epilog=EPILOG)
@click.option(
    "--listen", default="127.0.0.1:9000", show_default=True, metavar="HOST:PORT", help="Port 0: any free one."
)
@click.option(
    "--log", type=click.Path(dir_okay=False, path_type=Path), help="Append every accepted event as one JSON line."
)
@click.option("--fault", "faults", multiple=True, metavar="KIND[=VALUE][:SHARE]", help="What goes wrong; repeatable.")
@click.option(
    "--token",
    envvar="SANDBOX_TOKEN",
    help="Let only this token in, else any. A real one belongs into $SANDBOX_TOKEN: `ps` shows command lines to everybody.",
)
@click.option(
    "--check",
    type=click.Choice(["full", "count"]),
    default="full",
    show_default=True,
    help="Hold every event against the whole contract, or only count, for benchmarks.",
)
@click.option(
    "--dialect",
    type=click.Choice(["event_errors", "failed_events"]),
    default="event_errors",
    show_default=True,
    help="How refused events are named: HTTP 200 with codes, or HTTP 400 for the whole request.",
)
@click.option(
    "--error-keys",
    type=click.Choice(["eid", "user_ext_id"]),
    default="eid",
    show_default=True,
    help="What the answer names refused events by.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed, the same faults.")
@click.option(
    "--max-in-flight", type=click.IntRange(1), default=MAX_IN_FLIGHT, show_default=True, help="Parallel requests."
)
@click.option("--requests-per-minute", type=click.IntRange(1), default=REQUESTS_PER_MINUTE, show_default=True)
def sandbox(
    listen: str,
    log: Path | None,
    faults: tuple[str, ...],
    token: str | None,
    check: Literal["full", "count"],
    dialect: Literal["event_errors", "failed_events"],
    error_keys: Literal["eid", "user_ext_id"],
    seed: int,
    max_in_flight: int,
    requests_per_minute: int,
) -> None:
    """Run a local stand-in for the ingest API: it enforces the contract, remembers event ids, misbehaves on demand."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with Sandbox(
        listen,
        log=log,
        faults=faults,
        token=token,
        check=check,
        dialect=dialect,
        error_keys=error_keys,
        seed=seed,
        max_in_flight=max_in_flight,
        requests_per_minute=requests_per_minute,
    ) as server:
        click.echo(f"sandbox listening on {server.base}")
        click.echo(f"  in views.yaml     smartico: {{url: {server.url}, token: {'YOUR-TOKEN' if token else 'any'}}}")
        click.echo(f"  look at           {server.base}/   /stats   /events?limit=10")
        click.echo(f"  make it fail      curl -d '[\"503:0.2\"]' {server.base}/faults      and mend it with '[]'")
        click.echo(f"  accepted events   {f'appended to {log}' if log else 'in memory only; --log FILE keeps them'}")
        if faults:
            click.echo(f"  faults            {' '.join(faults)}")
        click.echo("Ctrl-C ends it.")
        ended.wait()
    stats = server.stats()
    click.echo(
        f"sandbox: {stats['accepted']} events accepted, {stats['duplicates']} duplicates, {stats['requests']} requests"
    )
