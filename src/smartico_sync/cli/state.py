"""`smartico-sync state`: backup, restore, and a new beginning."""

from __future__ import annotations

from pathlib import Path

import click

from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import config_option
from smartico_sync.state import recovery

__all__ = ["state"]

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def state() -> None:
    """Copy the state, put a copy back, or begin a new one. Nothing is ever deleted."""


@state.command()
@click.argument("target", metavar="FILE", type=FILE)
@config_option
def backup(target: Path, path: Path) -> None:
    """Copy the state to FILE and its key to FILE.key, while the daemon works.

    However old a copy is, it is safe to go back to: what was delivered since is sent again under the same event ids, and
    profiles that moved since in full.
    """
    OperatorContext(path).call("backup", target=str(target.absolute()))
    click.echo(f"the state is in {target}, its key in {target}.key: keep both as you keep a password file")


@state.command()
@click.argument("source", metavar="FILE", type=FILE)
@config_option
def restore(source: Path, path: Path) -> None:
    """Put a copy made by `smartico-sync state backup` in place of the state. The daemon must not run.

    Says for each view where it goes on and what is sent again. Owner and mode of the files stay.
    """
    context = OperatorContext(path)
    restored = recovery.restore(source, context.state)
    if restored.aside:
        click.echo(f"what was there is now {restored.aside}")
    click.echo(f"{context.state} is as it was when {source} was written")
    kinds = {view.name: view.kind for view in context.configuration.views}
    for each in restored.views:
        click.echo(f"{each.view}: {told(each, kinds.get(each.view, ''))}")
    if restored.generations == "unknown":
        click.echo(
            "nothing could be read of what was there: where `smartico-sync watermark rewind VIEW --new-ids` was used after this copy was "
            "made, use it again before the daemon starts, or rows count twice"
        )
    click.echo("next: smartico-sync run, then smartico-sync reconcile")


def told(each: recovery.ViewRestored, kind: str) -> str:
    """Where a view goes on after a restore, and what is sent again."""
    was = "" if each.replaced is None else f" (it was at {each.replaced.cursor})"
    place = f"goes on after {each.head.cursor if each.head else 'its start'}{was}"
    again = (
        "every profile above is sent in full, because Smartico may have other values by now"
        if kind == "users"
        else "what lies above is sent again under the same event ids, and counts once"
    )
    kept = f"; its event ids stay those of generation {each.kept}, begun after the copy was made" if each.kept else ""
    return f"{place}; {again}{kept}"


@state.command()
@click.option(
    "--start-from",
    type=click.Choice(["now"]),
    help="Where every view that is configured begins, in place of its own `start_from`: no history is sent.",
)
@config_option
def new(start_from: str | None, path: Path) -> None:
    """Begin a new, empty state: every view starts again at its start_from. The daemon must not run.

    What was sent before and is sent again has the same event ids, unless the old state is one of 0.1.0: then --start-from now.
    """
    context = OperatorContext(path)
    views = context.configuration.views
    starts = {view.name: start_from for view in views} if start_from else {}
    aside = recovery.renew(context.state, starts)
    if aside:
        click.echo(f"what was there is now {aside}")
    for view in views:
        click.echo(f"view {view.name} will begin at: {starts.get(view.name, view.start_from)}")
