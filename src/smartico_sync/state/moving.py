"""A state goes from a file to a server, or back: nothing is lost, and nobody goes on with what it left behind."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from smartico_sync.errors import ConfigError, StateDamaged, StateHeld
from smartico_sync.state import recovery
from smartico_sync.state.copying import copied, tables_of, write_file
from smartico_sync.state.key_file import higher
from smartico_sync.state.place import FilePlace, ServerPlace
from smartico_sync.state.state_file import StateFile

if TYPE_CHECKING:
    from smartico_sync.state.place import Place

__all__ = ["move"]


def move(source: Place, target: Place) -> dict[str, int]:
    """Move a state; the rows of each table, which are as many there as they were here.

    The target holds nothing yet. The source stays, in a way that nothing begins with it again: a file under another name beside its
    key file, tables with a note of where the state is. Raises StateLocked while a daemon works with either, ConfigError where the
    target is not empty or of the same kind, and StateError.
    """
    if isinstance(source, FilePlace) and isinstance(target, ServerPlace):
        return to_server(source, target)
    if isinstance(source, ServerPlace) and isinstance(target, FilePlace):
        return to_file(source, target)
    raise ConfigError(
        f"{source} and {target} are of the same kind",
        hint="`smartico-sync state backup` and `state restore` copy one file to another; a database is copied with its own tools",
    )


def to_server(source: FilePlace, target: ServerPlace) -> dict[str, int]:
    """From a file into PostgreSQL."""
    file = StateFile.open(source.path, "write", source.apart)
    try:
        if file.key.secret != target.secret:
            raise StateDamaged(
                f"{target} is to be kept under another secret than {source}: its hashes would mean nothing",
                hint="`smartico-sync state key FILE` writes the secret of this state; name FILE as `cluster.key_file`",
            )
        opening = import_module("smartico_sync.state.postgresql.opening")
        opening.cleared(target)
        with target.open() as store:
            if store.views() or store.dead_letters():
                raise ConfigError(
                    f"there is a state in {target} already",
                    hint="name an empty database; or `smartico-sync state new`, with that one as `state:`, puts it aside",
                )
            with file.reading() as reading, store.database.writing("patient") as writing:
                writing.execute("DELETE FROM told_name")  # of a state that was moved from there, and comes back now
                writing.execute("DELETE FROM generation")
                counts = copied(reading, writing, tables_of(reading))
                writing.execute("UPDATE identity SET state_id = ?", (file.key.state_id,))
                generations = higher(file.key.generations, store.key.generations)
                writing.fill("generation", ("identity", "number"), list(generations.items()))
    finally:
        file.close()
    recovery.rename_moved(source.path)
    return counts


def to_file(source: ServerPlace, target: FilePlace) -> dict[str, int]:
    """From PostgreSQL into a file."""
    if target.there:
        raise ConfigError(
            f"there is a state at {target} already", hint="name another file, or move it away with its .key"
        )
    alone(source)
    with source.open() as store:
        snapshot = import_module("smartico_sync.state.postgresql.opening").snapshot
        key = store.key if target.apart is not None else recovery.beside(store.key)
        target.path.parent.mkdir(exist_ok=True)
        with snapshot(source) as reading:
            counts = write_file(reading, key, target.path)
        with store.database.writing() as writing:
            writing.execute("UPDATE identity SET moved = ?", (str(target),))
    return counts


def alone(source: ServerPlace) -> None:
    """Raise StateHeld while a member works with groups that this configuration does not have: they would go on in what is left behind."""
    mine = {group.name for group in source.groups}
    other = next((each for each in source.holders() if each.live and each.name not in mine), None)
    if other is not None:
        raise StateHeld(
            f"group {other.name} of the state {source} is held by {other.member} since {other.since}",
            hint="end the daemon on that machine, and on every other one; then move the state",
        )
