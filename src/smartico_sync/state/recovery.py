"""What an operator does when a state is gone, or before it is: begin anew, bring a backup back, write one."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Literal

from cryptography.exceptions import InvalidTag
from msgspec import Struct, field
from msgspec.structs import replace

from smartico_sync.errors import StateError, StateMissing, StateUnwritable
from smartico_sync.state import outbox, told_sets, view_positions
from smartico_sync.state.database import compacted, connect, examine, transaction, translated
from smartico_sync.state.key_file import (
    KeyFile,
    blank,
    higher,
    key_path,
    new_key_file,
    own_like,
    read_key_file,
    write_key_file,
)
from smartico_sync.state.lock import ProcessLock
from smartico_sync.state.migrations import migrate
from smartico_sync.state.opening import MOVED, check_identity, make, never_was

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from smartico_sync.core.position import Position
    from smartico_sync.state.sqlite_statements import SqliteStatements

__all__ = [
    "Restored",
    "ViewRestored",
    "beside",
    "compact",
    "move_aside",
    "rename_moved",
    "renew",
    "restore",
    "sound",
    "write_backup",
]

FILES = ("", "-wal", "-shm", ".key")  # what makes up a state, as endings of its name


def renew(path: Path, starts: Mapping[str, str] | None = None, apart: bytes | None = None) -> Path | None:
    """Begin a new, empty state at `path`; what lay there is moved aside, not removed. Return where it went, if anything.

    `starts`: where views begin in it, by name, in place of their `start_from`. Secret, generations and the names of sets that
    were told by difference are kept where they can still be read. Raises StateLocked while a daemon runs, and StateUnwritable.
    """
    lock = ProcessLock(path)
    try:
        before = what_is_there(path, apart)
        aside = move_aside(path)
        key = new_key_file(before.key, apart)
        key = replace(key, generations=higher(key.generations, before.generations))
        make(path, key, starts, aside)
        with translated(path), closing(connect(path, "write")) as connection, transaction(connection):
            for identity, names in before.names.items():
                told_sets.add_names(connection, told_sets.Cipher(key.secret), identity, names)
    finally:
        lock.release()
    return aside


class ViewRestored(Struct, frozen=True):
    """A view as a backup brings it back; `replaced`: where it was, None where that cannot be read.

    `kept`: the generation of event ids that was begun after the backup and goes on, 0 for none.
    """

    view: str
    head: Position | None
    replaced: Position | None
    kept: int


class Restored(Struct, frozen=True):
    """What a restore did. `aside`: where it put what was there. `generations` are unknown where nothing of that is readable."""

    aside: Path | str | None
    views: tuple[ViewRestored, ...]
    generations: Literal["compared", "unknown"]


class Replaced(Struct, frozen=True):
    """What can still be read of a state that is about to be replaced.

    `names`: by identity of a view, what was ever on its way in sets that are told by difference.
    """

    key: KeyFile | None = None
    heads: Mapping[str, Position | None] = field(default_factory=dict)
    generations: Mapping[str, int] = field(default_factory=dict)
    names: Mapping[str, Mapping[str, set[str]]] = field(default_factory=dict)


def restore(backup: Path, path: Path, apart: bytes | None = None) -> Restored:
    """Put a backup in place of the state at `path`; what lay there is moved aside. Owner and mode stay.

    A backup without the secret takes that of `apart`, or of the state that is replaced.

    Safe however old the backup is: what was sent since is read again, and sent again under the same event ids; profiles above
    its heads are sent in full, because Smartico may have other values by now. A view's generation of event ids never falls.
    Raises StateMissing and StateDamaged for a backup that is not whole, before anything is touched; StateLocked while a
    daemon runs; StateUnwritable.
    """
    present = what_is_there(path, apart).key
    key = sound(backup, apart, present.secret if present else None)
    lock = ProcessLock(path)
    draft = path.with_name(path.name + ".new")
    try:
        before = what_is_there(path, apart)
        blank(draft)
        key = replace(key, generations=higher(key.generations, before.generations))
        with translated(path):
            with closing(connect(backup, "read")) as source, closing(sqlite3.connect(draft)) as target:
                source.backup(target)
            with closing(connect(draft, "write")) as target:
                views = behind(target, key, before)
        own_like(draft, path if path.exists() else key_path(path))
        aside = move_aside(path)
        write_key_file(key_path(path), key, aside and key_path(aside))
        draft.replace(path)
    except OSError as error:
        raise StateUnwritable(
            f"the backup cannot be put to {path}: {error.strerror}",
            hint=f"check free space and permissions of {path.parent}",
        ) from error
    finally:
        for ending in FILES:
            draft.with_name(draft.name + ending).unlink(missing_ok=True)
        lock.release()
    return Restored(aside, views, "unknown" if before.key is None and not before.heads else "compared")


def behind(connection: SqliteStatements, key: KeyFile, before: Replaced) -> tuple[ViewRestored, ...]:
    """Let a copy know that it is behind what was sent: its fingerprints are doubted, its generations those of what it replaces.

    It also learns the names that were on their way since. What was on its way when it was made has arrived long ago.
    """
    migrate(connection)
    with transaction(connection):
        view_positions.judge_fingerprints(connection, "doubted")
        outbox.drop(connection)
        numbers = view_positions.numbers(connection)
        rows = view_positions.read(connection, key.secret)
        kept = {row.view: key.generations.get(row.identity, 0) for row in rows}
        for row in rows:
            view_positions.raise_generation(connection, key.secret, numbers[row.view], kept[row.view])
        for identity, names in before.names.items():
            told_sets.add_names(connection, told_sets.Cipher(key.secret), identity, names)
    return tuple(
        ViewRestored(
            row.view,
            row.head,
            before.heads.get(row.view),
            kept[row.view] if kept[row.view] > row.generation else 0,
        )
        for row in rows
    )


def compact(path: Path) -> None:
    """Make the state at `path` as small as what it holds. Raises StateLocked while a daemon runs, StateMissing and StateUnwritable."""
    if not path.exists():
        raise never_was(path)
    lock = ProcessLock(path)
    try:
        with translated(path):
            with closing(connect(path, "read")) as connection:
                examine(connection, path)
            compacted(path)
    finally:
        lock.release()


def what_is_there(path: Path, apart: bytes | None = None) -> Replaced:
    """Read what can be read of a state, sound or not. The key file tells most: it is small and seldom written."""
    key: KeyFile | None = None
    generations: dict[str, int] = {}
    heads: dict[str, Position | None] = {}
    names: dict[str, dict[str, set[str]]] = {}
    with suppress(StateError):
        key = read_key_file(key_path(path), apart)
        generations.update(key.generations)
    if path.is_file():
        with suppress(StateError), translated(path), closing(connect(path, "read")) as connection:
            named = connection.execute("SELECT identity, generation FROM view").fetchall()
            generations = higher(generations, {str(name): int(number) for name, number in named})
            if key is not None:
                rows = view_positions.read(connection, key.secret)
                heads.update({row.view: row.head for row in rows})
                with suppress(InvalidTag):
                    names.update(told_sets.names(connection, told_sets.Cipher(key.secret)))
    return Replaced(key, heads, generations, names)


def write_backup(path: Path, key: KeyFile, target: Path) -> None:
    """Copy the state, while it is written to, and its key file to `target` and `target.key`; both complete or not there.

    With the secret or without, as the place of the key's says.

    Reads one snapshot through a connection of its own that cannot write. Raises StateUnwritable and StateDamaged.
    """
    if target.resolve() == path.resolve():
        raise StateUnwritable(f"the backup {target} would replace the state itself", hint="name another file")
    draft = target.with_name(target.name + ".new")
    try:
        blank(draft)
        with translated(target), closing(connect(path, "read")) as source, closing(sqlite3.connect(draft)) as copy:
            source.backup(copy)
        write_key_file(key_path(target), key)
        draft.replace(target)
    except OSError as error:
        raise StateUnwritable(
            f"the backup {target} cannot be written: {error.strerror}",
            hint=f"check free space and permissions of {target.parent}",
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def sound(backup: Path, apart: bytes | None = None, present: bytes | None = None) -> KeyFile:
    """Make sure that a backup is whole, and return its identity, with its own secret or else the one at hand."""
    if not backup.is_file():
        raise StateMissing(f"there is no backup {backup}", hint="name the file that `smartico-sync state backup` wrote")
    try:
        key = read_key_file(key_path(backup), apart)
    except StateMissing:
        if apart is not None or present is None:
            raise
        key = replace(read_key_file(key_path(backup), present), place="beside")
    with translated(backup), closing(connect(backup, "read")) as connection:
        examine(connection, backup)
        check_identity(connection, backup, key)
    return key


def beside(key: KeyFile) -> KeyFile:
    """The same key, with its secret in the key file."""
    return replace(key, place="beside")


def rename_moved(path: Path) -> None:
    """Put a state file that was moved elsewhere under another name; its key file says that it was here. Raises StateUnwritable."""
    try:
        path.rename(path.with_name(f"{path.name}{MOVED}{time.time_ns() // 1_000_000}"))
    except OSError as error:
        raise StateUnwritable(
            f"{path} was copied, and cannot be put under another name: {error.strerror}",
            hint=f"rename it: mv {path} {path}.moved",
        ) from error


def move_aside(path: Path) -> Path | None:
    """Rename what there is of a state, so that nothing is ever removed."""
    there = [path.with_name(path.name + ending) for ending in FILES if path.with_name(path.name + ending).exists()]
    if not there:
        return None
    aside = path.with_name(f"{path.name}.replaced-{time.time_ns() // 1_000_000}")
    for file in there:
        file.rename(aside.with_name(aside.name + file.name[len(path.name) :]))
    return aside
