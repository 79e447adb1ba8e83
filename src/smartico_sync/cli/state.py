"""`smartico-sync state`: backup, restore, and a new beginning."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smartico_sync.catalogue.engines import STATE_SERVER, find
from smartico_sync.cli.consent import consent, yes_option
from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import config_option
from smartico_sync.cli.output import echo
from smartico_sync.cli.state_arguments import consequences, may_be_restored, may_be_written
from smartico_sync.config.state_checks import is_server, shown_state
from smartico_sync.daemon.state_place import secret_in, server_at
from smartico_sync.errors import ConfigError, StateError
from smartico_sync.state import recovery
from smartico_sync.state.key_file import is_there, write_secret
from smartico_sync.state.moving import move as moved
from smartico_sync.state.place import FilePlace

if TYPE_CHECKING:
    from smartico_sync.state.key_file import SecretPlace
    from smartico_sync.state.place import Place

__all__ = ["state"]

FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def state() -> None:
    """Copy the state, put a copy back, or begin a new one. Nothing is ever deleted."""


@state.command()
@click.argument("target", metavar="FILE", type=FILE)
@click.option("--with-secret", "place", flag_value="beside", default="apart", help="Put the state's secret in too.")
@config_option
def backup(target: Path, place: SecretPlace, path: Path) -> None:
    """Copy the state to FILE and its identity to FILE.key, while the daemon works.

    The state's secret stays out: a copy alone tells nobody who is in it. Keep a copy of that secret elsewhere, once.
    However old a copy is, it is safe to go back to: what was delivered since is sent again under the same event ids, and
    profiles that moved since in full.
    """
    context = OperatorContext(path)
    may_be_written(target, context)
    context.call("backup", target=str(target.absolute()), place=place)
    if place == "beside":
        echo(f"the state is in {target}, its secret in {target}.key: keep both as you keep a password file")
        return
    echo(f"the state is in {target} and {target}.key, without its secret")
    if isinstance(context.state, FilePlace) and context.state.apart is None:
        echo(
            "to restore it on another machine you need that too: `smartico-sync state key FILE` once, and keep FILE elsewhere"
        )


@state.command()
@click.argument("target", metavar="FILE", type=FILE)
@config_option
def key(target: Path, path: Path) -> None:
    """Write the state's secret into a new FILE, which `state_key_file` then names: another disk, or a systemd credential.

    At the next start the daemon takes it out of the file beside the state.
    """
    context = OperatorContext(path)
    found = context.state.key()
    try:
        write_secret(target, found)
    except FileExistsError:
        raise ConfigError(f"{target} is there already", hint="name a new file") from None
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror}", hint="name another file") from None
    echo(f"next: write `state_key_file: {target.absolute()}` into {path}, and start the daemon anew")


@state.command()
@click.argument("source", metavar="FILE", type=FILE)
@config_option
def restore(source: Path, path: Path) -> None:
    """Put a copy made by `smartico-sync state backup` in place of the state. The daemon must not run.

    Says for each view where it goes on and what is sent again. Owner and mode of the files stay.
    """
    context = OperatorContext(path)
    may_be_restored(source)
    late = on_their_way(context.state)
    restored = context.state.restore(source)
    if restored.aside:
        echo(f"what was there is now {restored.aside}")
    echo(f"{context.state} is as it was when {source} was written")
    kinds = {view.name: view.kind for view in context.configuration.views}
    for each in restored.views:
        echo(f"{each.view}: {told(each, kinds.get(each.view, ''))}")
    if restored.generations == "unknown":
        echo(
            "nothing could be read of what was there: where `smartico-sync watermark rewind VIEW --new-ids` was used after this copy was "
            "made, use it again before the daemon starts, or rows count twice"
        )
    tell_late(late)
    echo("next: smartico-sync run, then smartico-sync reconcile")


def on_their_way(state: Place) -> int:
    """How many profiles a state holds that may be on their way; 0 where it cannot be read."""
    with suppress(StateError), state.open("read") as store:
        return sum(len(page.events) for row in store.views() for page in store.outbox(row.view))
    return 0


def tell_late(profiles: int) -> None:
    """Say that profiles were on their way when the state was replaced: nobody sends them again before anything newer."""
    if profiles:
        echo(
            f"{profiles:,} profile{'s' if profiles > 1 else ''} may still be on the way to the API, from a daemon that was killed: taken "
            "late, they would replace what is newer. Wait a minute before the daemon starts"
        )


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
@config_option
def compact(path: Path) -> None:
    """Make the state file as small as what it holds. The daemon must not run; it gives space back by itself afterwards."""
    context = OperatorContext(path)
    if not isinstance(context.state, FilePlace):
        raise ConfigError(
            f"{context.state} gives space back by itself",
            hint="if it does not, see to its autovacuum; VACUUM FULL takes a lock",
        )
    file = context.state.path
    before = file.stat().st_size if is_there(file) else 0
    recovery.compact(file)
    after = file.stat().st_size
    echo(f"{context.state}: {before / 1e6:,.1f} MB before, {after / 1e6:,.1f} MB now")


@state.command()
@click.option(
    "--start-from",
    type=click.Choice(["now"]),
    help="Where every view that is configured begins, in place of its own `start_from`: no history is sent.",
)
@yes_option
@config_option
def new(start_from: str | None, yes: bool, path: Path) -> None:
    """Begin a new, empty state: every view starts again at its start_from. The daemon must not run.

    What was sent before and is sent again has the same event ids, unless the old state is one of 0.1.0: then --start-from now.
    """
    context = OperatorContext(path)
    views = context.configuration.views
    starts = {view.name: start_from for view in views} if start_from else {}
    if not yes and context.state.there:
        consent(f"begin anew, and put {context.state} aside", yes, *consequences(context, starts))
    late = on_their_way(context.state)
    aside = context.state.renew(starts)
    tell_late(late)
    if aside:
        echo(f"what was there is now {aside}")
    for view in views:
        echo(f"view {view.name} will begin at: {starts.get(view.name, view.start_from)}")


@state.command()
@click.argument("target", metavar="STATE")
@click.option(
    "--key-file",
    type=FILE,
    help="For a move into a database: the file with the state's secret, written where it is not there.",
)
@config_option
def move(target: str, key_file: Path | None, path: Path) -> None:
    """Move the state to STATE: from the file into a database (postgresql://…), or from there into a file.

    The daemon must not run, and STATE must be empty. Write ${NAME} for what is in the environment. The former place stays, in a way
    that nothing goes on with it.
    """
    context = OperatorContext(path)
    made = key_file is not None and not key_file.exists()
    place = wanted(context, target, key_file, path)
    try:
        counts = moved(context.state, place)
    except BaseException:
        if made and key_file is not None:
            key_file.unlink(missing_ok=True)  # nothing is half done
        raise
    echo(f"the state is in {place}: {sum(counts.values()):,} rows of {len(counts)} tables, as many as there were")
    if isinstance(place, FilePlace):
        echo(f"next: write `state: {target}` into {path}, without `cluster:`, and start the daemon")
        return
    named = "" if key_file is None else f", and `cluster: {{key_file: {key_file.absolute()}}}`"
    echo(f"next: write `state: {place}`, with user and password{named}, into {path}")
    echo("next: give every member the same files; then: smartico-sync run")


def wanted(context: OperatorContext, target: str, key_file: Path | None, path: Path) -> Place:
    """Where the state is to go. ConfigError where that cannot be understood."""
    text = os.path.expandvars(target)
    if not text.strip() or (is_server(text) and find(text.partition("://")[0]) is not STATE_SERVER):
        raise ConfigError(
            f"{shown_state(text) or 'nothing'} is no place of a state",
            hint=f"name a file, or a {STATE_SERVER.scheme}:// URL: no other database holds the state",
        )
    if not is_server(text):
        return FilePlace((path.absolute().parent / text).absolute())
    key = context.state.key()
    if key_file is not None and not key_file.exists():
        try:
            write_secret(key_file, key)
        except OSError as error:
            raise ConfigError(f"{key_file} cannot be written: {error.strerror}", hint="name another file") from None
    elif key_file is None and context.configuration.state_key_file is None:
        raise ConfigError(
            "a database never holds the state's secret",
            hint="add --key-file FILE: it is written there, and every member needs a copy of it",
        )
    secret = secret_in(key_file, "--key-file") if key_file is not None else key.secret
    return server_at(text, secret, context.configuration)
