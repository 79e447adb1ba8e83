"""`smartico-sync forget`: take a player out of the state, and clear his personal data at Smartico."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from smartico_sync.catalogue.properties import PROPERTIES
from smartico_sync.cli.consent import consent, yes_option
from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.cli.options import WORD, config_option, json_option
from smartico_sync.cli.output import echo, print_json
from smartico_sync.daemon import erasure
from smartico_sync.errors import ConfigError
from smartico_sync.observe.logs import configure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["forget"]

REMOVED = {
    "profiles": "fingerprints",
    "sets": "sets of names",
    "outbox": "profiles that are on their way",
    "dead_letters": "dead letters",
    "parked": "rows that waited",
    "anchors": "rows by which the source is recognised",
    "backfills": "places of backfills that are over",
}


@click.command()
@click.argument("brand", type=WORD)
@click.argument("user", type=WORD)
@click.option("--tell", is_flag=True, help="First clear his personal properties at Smartico; starts no automation.")
@click.option(
    "--status",
    type=click.Choice(sorted(PROPERTIES["core_account_status"].values)),
    help="With --tell: the account status that he gets there.",
)
@yes_option
@config_option
@json_option
def forget(brand: str, user: str, tell: bool, status: str | None, yes: bool, path: Path, as_json: bool) -> None:
    """Take the player USER of BRAND, as the database calls them, out of the state. Works while the daemon runs.

    Remove him from the views first, or make him anonymous there: what they still hold is sent again when it changes.
    """
    context = OperatorContext(path)
    if status and not tell:
        raise ConfigError("--status is for what Smartico is told", hint="add --tell, or leave --status out")
    with context.reading() as store:
        rows = store.views()
    names = erasure.personal_properties(context.configuration, brand) if tell else []
    clearing = f", and clear {', '.join(names)}" if tell else ""
    consent(f"forget player {user} of {brand} in {context.state}{clearing}", yes)
    told = []
    if tell:
        configure("console")  # what is logged on the way is not part of the answer
        told = erasure.tell(context.configuration, path.absolute().parent, brand, user, names, status or "")
    places = erasure.key_places(context.configuration, rows, brand)
    done: dict[str, dict[str, Any]] = context.call("forget", brand=brand, user=user, places=places)
    removed = {name: sum(int(each[name]) for each in done.values()) for name in REMOVED}
    kept = left(context, done)
    if as_json:
        print_json({"brand": brand, "user": user, "cleared": told, "removed": removed, "views": done, "kept": kept})
        return
    if tell:
        echo(f"cleared at Smartico: {', '.join(told) or 'nothing, it does not know this player'}")
    for name, count in removed.items():
        if count:
            echo(f"removed: {REMOVED[name]}, {count:,}")
    if not any(removed.values()):
        echo(f"the state knew nothing of player {user} of {brand}")
    for sentence in kept:
        echo(f"still there: {sentence}")


def left(context: OperatorContext, done: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What could not be removed, and when it goes."""
    days = context.configuration.reconcile.ledger_retention / 86_400_000
    sentences = [
        f"view {view}: the key of his row, as {' and '.join(found['places'])}, until a later row takes its place"
        for view, found in done.items()
        if found["places"]
    ]
    return [
        *sentences,
        *(
            f"view {view}: rows that were not delivered and name nobody, {found['nobodys']:,}: if one of the keys that "
            f"`smartico-sync dead-letters list --view {view}` shows is his, remove it with `smartico-sync dead-letters drop`"
            for view, found in done.items()
            if found["nobodys"]
        ),
        f"the ledger: keyed hashes of delivered rows, which nobody can attribute to a player; they go after {days:g} days",
        "copies made by `smartico-sync state backup`, logs, and what the sandbox wrote: remove those that are older than this",
    ]
