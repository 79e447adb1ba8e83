"""`smartico-sync backfill`: a part of a view's history, sent beside what is live."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from smartico_sync.catalogue.kinds import kind
from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import config_option, json_option
from smartico_sync.cli.output import echo, print_json
from smartico_sync.daemon.control import Control
from smartico_sync.daemon.ending import Ending
from smartico_sync.daemon.operations import Operations
from smartico_sync.daemon.wiring import assemble
from smartico_sync.errors import ConfigError, ExitCode, StateLocked
from smartico_sync.observe.logs import configure
from smartico_sync.tracking.backfill import RATE, Backfills, stretch
from smartico_sync.tracking.loop import ViewLoop
from smartico_sync.tracking.written_cursors import written

if TYPE_CHECKING:
    from pathlib import Path

    from smartico_sync.core.records import Backfill
    from smartico_sync.daemon.wiring import Parts
    from smartico_sync.tracking.backfill import Stretch

__all__ = ["backfill"]

GLANCE_S = 0.5  # how often progress is drawn


@click.command()
@click.argument("name", metavar="VIEW", required=False)
@click.option("--from", "low", metavar="first|TIME|ID", help="The first cursor to send.")
@click.option(
    "--to", "high", metavar="TIME|ID", help="The last one; else the watermark, above which rows are on their way."
)
@click.option(
    "--rate", type=click.IntRange(1), default=RATE, show_default=True, help="At most so many events a second."
)
@click.option(
    "--profiles",
    type=click.Choice(["changed", "all"]),
    default="changed",
    show_default=True,
    help="For users: whether those delivered as they are now are sent again.",
)
@click.option("--resume", is_flag=True, help="Go on with what is open, here; a daemon that runs does so by itself.")
@click.option("--list", "listing", is_flag=True, help="Show every backfill, how far it is and when it will be done.")
@click.option("--cancel", type=int, metavar="ID", help="End one where it is, or let one go that failed.")
@config_option
@json_option
def backfill(
    name: str | None,
    low: str | None,
    high: str | None,
    rate: int,
    profiles: str,
    resume: bool,
    listing: bool,
    cancel: int | None,
    path: Path,
    as_json: bool,
) -> ExitCode:
    """Send a part of a VIEW's history: rows between two cursors, both included, that lie at or below its watermark.

    They have the same event ids as ever, so what was delivered before is dropped as a duplicate, and the watermark stays
    where it is. What is live goes first. A running daemon does it in the background; without one it is done here, and
    Ctrl-C leaves it to --resume or to the next daemon.
    """
    context = OperatorContext(path)
    chosen = [
        what
        for what, there in (("VIEW", name), ("--list", listing), ("--cancel", cancel), ("--resume", resume))
        if there not in (None, False)
    ]
    if len(chosen) > 1:
        raise ConfigError(
            f"{' and '.join(chosen)} are different things to do",
            hint="choose one of them: smartico-sync backfill --help",
        )
    if listing:
        return show(context, as_json)
    if cancel is not None:
        echo(f"{context.call('cancel_backfill', number=cancel)}: backfill {cancel} is cancelled", err=as_json)
        return shown(context, {cancel}) if as_json else ExitCode.FINE
    if name is None and not resume:
        raise ConfigError(
            "no view is named", hint="smartico-sync backfill VIEW --from TIME --to TIME, or --list, or --resume"
        )
    if name is not None:
        view = context.view(name)
        if profiles == "all" and kind(view.kind).role != "profile":
            raise ConfigError(
                f"--profiles is for views of profiles, and {name} is of kind {view.kind}",
                hint="leave --profiles out: rows of other kinds are all sent, under the same event ids",
            )
        if low is None:
            raise ConfigError(
                "--from is missing",
                hint=f"smartico-sync backfill {name} --from first, or from a time or an id on, as its cursor {view.cursor} is",
            )
        mine = {asked(context, name, low, high, rate, profiles, as_json)}
    else:
        with context.reading() as store:
            mine = {each.id for each in store.backfills() if each.state == "open"}
    code = worked(context, path, as_json)
    return shown(context, mine, code) if as_json else code


def asked(
    context: OperatorContext, name: str, low: str, high: str | None, rate: int, profiles: str, as_json: bool
) -> int:
    """Count the rows, and have the state remember what is to be sent; its number."""
    view = context.view(name)
    if context.is_broker(view):
        raise ConfigError(
            f"view {name}: messages have no history beside what is live: a topic is read in one order",
            hint=f"of a topic or a stream queue smartico-sync watermark rewind {name} --to TIME reads from there on again; what was sent "
            "before counts once",
        )
    with context.reading() as store:
        row = store.view(name)
    with context.source(view) as (source, prepared), source.reading(prepared.relation) as reading:
        if high is not None and low != "first" and written(prepared, low) > written(prepared, high):
            raise ConfigError(f"--from {low} lies behind --to {high}", hint="name the earlier end with --from")
        part = None if row is None else stretch(reading, prepared, row, low, high)
    if part is None:
        raise ConfigError(
            f"{name} has no rows there that lie at or below its watermark",
            hint=f"smartico-sync watermark show {name}; what is above it is sent by the daemon",
        )
    with context.reading() as store:
        same = next((each for each in store.backfills() if is_same(each, name, part, high, profiles)), None)
    if same is not None:
        echo(
            f"backfill {same.id} of {name} does that already, from {same.low} to {same.high}; nothing was added",
            err=as_json,
        )
        return same.id
    number: int = context.call(
        "backfill", view=name, low=part.low, high=part.high, rate=rate, profiles=profiles, total=part.rows
    )
    echo(
        f"backfill {number}: {part.rows:,} rows of {name} from {part.low} to {part.high}, at most {rate:,} a second: "
        f"{timedelta(seconds=part.rows // rate)} or more",
        err=as_json,
    )
    return number


def is_same(open_one: Backfill, view: str, part: Stretch, high: str | None, profiles: str) -> bool:
    """Whether a backfill that is not over sends this already; without `--to` what came since was sent when it came."""
    return (
        (open_one.view, open_one.low, open_one.profiles) == (view, part.low, profiles)
        and open_one.state == "open"
        and (high is None or open_one.high == part.high)
    )


def worked(context: OperatorContext, path: Path, as_json: bool) -> ExitCode:
    """Leave it to the daemon that runs, or do it here."""
    with ExitStack() as stack:
        try:
            parts = assemble(context.configuration, path.absolute().parent, stack)
        except StateLocked:
            echo("the running daemon sends it; next: smartico-sync backfill --list", err=as_json)
            return ExitCode.FINE
        configure("console")
        stack.callback(Control(parts.store.path, Operations(parts.store)).close)
        return here(parts, as_json)


def here(parts: Parts, as_json: bool) -> ExitCode:
    """Send all that is open in this process, until it is done or somebody says stop."""
    with Ending() as ending:
        return sent(parts, ending.stopping, as_json)


def sent(parts: Parts, stopping: threading.Event, as_json: bool) -> ExitCode:
    """The same, until `stopping`."""
    from rich.console import Console  # noqa: PLC0415 - drawn only here
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415 - likewise

    loops = [loop for loop in parts.loops if isinstance(loop, ViewLoop)]
    backfills = Backfills(loops, parts.store)
    mine = backfills.open()
    views = {each.view for each in mine}
    threads = [
        threading.Thread(target=loop.run, args=(stopping, "never"), name=f"view-{loop.name}", daemon=True)
        for loop in loops
        if loop.name in views
    ]
    for thread in threads:
        thread.start()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,} of {task.total:,}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bars = {
            each.id: progress.add_task(f"{each.id} {each.view}", total=each.total or None, completed=each.done)
            for each in mine
        }
        while not stopping.is_set():
            pause = backfills.round(stopping)
            for each in parts.store.backfills():
                if each.id in bars:
                    progress.update(bars[each.id], completed=each.done)
            if pause is None:
                break
            stopping.wait(min(pause, GLANCE_S))
    stopping.set()
    for loop, thread in zip((loop for loop in parts.loops if loop.name in views), threads, strict=True):
        loop.mailbox.wake()
        thread.join()
    ended = [each for each in parts.store.backfills() if each.id in bars]
    for each in ended:
        echo(f"backfill {each.id}: {told(each)}", err=as_json)
    if any(each.state == "open" for each in ended):
        echo("next: smartico-sync backfill --resume; a daemon goes on by itself: smartico-sync run", err=as_json)
    if failed := [each for each in ended if each.state == "failed"]:
        gave_up = backfills.gave_up.get(failed[0].id)
        return gave_up.exit_code if gave_up else ExitCode.API
    return ExitCode.DEAD_LETTERS if any(loop.standing.dead_lettered for loop in parts.loops) else ExitCode.FINE


def show(context: OperatorContext, as_json: bool) -> ExitCode:
    """Every backfill."""
    with context.reading() as store:
        found = store.backfills()
    if as_json:
        print_json([as_data(each) for each in found])
        return ExitCode.FINE
    for each in found:
        echo(f"{each.id:>6}  {each.view:<16} {each.low} to {each.high}  {told(each)}")
    if not found:
        echo("no backfills; next: smartico-sync backfill VIEW --from TIME --to TIME")
    return ExitCode.FINE


def shown(context: OperatorContext, numbers: set[int], code: ExitCode = ExitCode.FINE) -> ExitCode:
    """Those with these numbers, for a program: what `--list` says of them."""
    with context.reading() as store:
        print_json([as_data(each) for each in store.backfills() if each.id in numbers])
    return code


def as_data(each: Backfill) -> dict[str, Any]:
    """A backfill for a program."""
    return {name: getattr(each, name) for name in each.__struct_fields__ if name != "position"} | {
        "left_s": left_s(each)
    }


def left_s(each: Backfill) -> int | None:
    """Seconds until it is done at the speed it had so far; None while that is not known."""
    seconds = (each.updated_ms - each.asked_ms) / 1000
    if each.state != "open" or not each.done or not each.total or seconds <= 0:
        return None
    return int(max(0, each.total - each.done) * seconds / each.done)


def told(each: Backfill) -> str:
    """How it stands, for a person."""
    count = f"{each.done:,} of {each.total:,} rows" if each.total else f"{each.done:,} rows"
    if each.state != "open":
        when = datetime.fromtimestamp(each.updated_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        return f"{each.state} at {when}: {count}" + (f"; {each.reason}" if each.reason else "")
    left = left_s(each)
    return (
        f"open: {count}"
        + (f", {timedelta(seconds=left)} left" if left is not None else "")
        + (f"; waits: {each.reason}" if each.reason else "")
    )
