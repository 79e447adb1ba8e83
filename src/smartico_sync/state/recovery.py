"""First start, and what an operator does when a state is gone: begin anew, or bring a backup back."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING

from smartico_sync.errors import StateDamaged, StateError, StateMissing, StateUnwritable
from smartico_sync.state.database import connect, create, examine, restore_hint, translated
from smartico_sync.state.key_file import KeyFile, key_path, new_key_file, read_key_file, write_key_file
from smartico_sync.state.lock import ProcessLock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["check_identity", "found_or_first", "renew", "restore", "write_backup"]

FILES = ("", "-wal", "-shm", ".key")  # what makes up a state, as endings of its name


def found_or_first(path: Path) -> KeyFile:
    """Return the identity of the state at `path`, making a first one where there never was any. The caller holds the lock.

    A key without a state raises StateMissing: there was a state, and starting from zero would send everything again or
    skip what lies between. A state without its key raises StateMissing, unless no view was ever begun in it: then the
    process died in its first start, which is completed.
    """
    key = key_path(path)
    if path.is_dir():
        raise StateUnwritable(f"{path} is a directory", hint="name a file under `state:`")
    if path.exists():
        return read_key_file(key) if key.exists() else complete_first(path)
    if key.exists():
        raise StateMissing(
            f"the state {path} is gone; its key file {key.name} says that it was there", hint=restore_hint(path)
        )
    return make(path, new_key_file())


def make(path: Path, key: KeyFile, starts: Mapping[str, str] | None = None) -> KeyFile:
    """Make state and key file. The state comes first: dying in between is mended by `complete_first`."""
    draft = path.with_name(path.name + ".new")
    with translated(path):
        try:
            create(draft, key.state_id, starts or {})
            draft.replace(path)
            write_key_file(key_path(path), key)
        except OSError as error:
            raise StateUnwritable(
                f"the state {path} cannot be made: {error.strerror}",
                hint=f"let the daemon's user write into {path.parent}",
            ) from error
    return key


def complete_first(path: Path) -> KeyFile:
    """Write the key file that a first start did not come to; only for a state in which nothing was begun."""
    with translated(path), closing(connect(path, "read")) as connection:
        examine(connection, path)
        begun = connection.execute("SELECT 1 FROM view LIMIT 1").fetchone()
        state_id = read_identity(connection, path)
    if begun:
        raise StateMissing(
            f"the key file {key_path(path)} is gone; without it the state {path} cannot be compared with",
            hint=f"copy {key_path(path).name} back from the backup; or {restore_hint(path)}",
        )
    key = KeyFile(state_id, new_key_file().secret)
    write_key_file(key_path(path), key)
    return key


def read_identity(connection: sqlite3.Connection, path: Path) -> str:
    """Read the id of a state. Raises StateDamaged where there is none, and sqlite3.Error."""
    row = connection.execute("SELECT state_id FROM identity").fetchone()
    if row is None:
        raise StateDamaged(f"the state {path} has no identity", hint=restore_hint(path))
    state_id: str = row[0]
    return state_id


def check_identity(connection: sqlite3.Connection, path: Path, key: KeyFile) -> None:
    """Make sure that a state and a key file belong together. Raises StateDamaged, and sqlite3.Error."""
    if read_identity(connection, path) != key.state_id:
        raise StateDamaged(
            f"{key_path(path)} belongs to another state than {path}",
            hint=f"put the pair of one state together; or {restore_hint(path)}",
        )


def renew(path: Path, starts: Mapping[str, str] | None = None) -> Path | None:
    """Begin a new, empty state at `path`; what lay there is moved aside, not removed. Return where it went, if anything.

    `starts`: where views begin in it, by name, in place of their `start_from`. The secret is kept where it can still be read. Raises StateLocked while a daemon runs, and StateUnwritable.
    """
    lock = ProcessLock(path)
    try:
        try:
            secret = read_key_file(key_path(path)).secret
        except StateError:
            secret = None
        aside = move_aside(path)
        make(path, new_key_file(secret), starts)
    finally:
        lock.release()
    return aside


def restore(backup: Path, path: Path) -> Path | None:
    """Put a backup in place of the state at `path`; what lay there is moved aside. Return where it went, if anything.

    Safe however old the backup is: what was sent since is read and sent again under the same event ids. Raises
    StateMissing and StateDamaged for a backup that is not whole, before anything is touched; StateLocked while a daemon
    runs; StateUnwritable.
    """
    key = sound(backup)
    lock = ProcessLock(path)
    draft = path.with_name(path.name + ".new")
    try:
        with translated(path), closing(connect(backup, "read")) as source, closing(sqlite3.connect(draft)) as target:
            source.backup(target)
        draft.chmod(0o600)
        aside = move_aside(path)
        write_key_file(key_path(path), key)
        draft.replace(path)
    except OSError as error:
        raise StateUnwritable(
            f"the backup cannot be put to {path}: {error.strerror}",
            hint=f"check free space and permissions of {path.parent}",
        ) from error
    finally:
        draft.unlink(missing_ok=True)
        lock.release()
    return aside


def write_backup(path: Path, key: KeyFile, target: Path) -> None:
    """Copy the state, while it is written to, and its key file to `target` and `target.key`; both complete or not there.

    Reads one snapshot through a connection of its own that cannot write. Raises StateUnwritable and StateDamaged.
    """
    if target.resolve() == path.resolve():
        raise StateUnwritable(f"the backup {target} would replace the state itself", hint="name another file")
    draft = target.with_name(target.name + ".new")
    try:
        draft.unlink(missing_ok=True)
        with translated(target), closing(connect(path, "read")) as source, closing(sqlite3.connect(draft)) as copy:
            source.backup(copy)
        draft.chmod(0o600)
        write_key_file(key_path(target), key)
        draft.replace(target)
    except OSError as error:
        raise StateUnwritable(
            f"the backup {target} cannot be written: {error.strerror}",
            hint=f"check free space and permissions of {target.parent}",
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def sound(backup: Path) -> KeyFile:
    """Make sure that a backup is whole, and return its identity."""
    if not backup.is_file():
        raise StateMissing(f"there is no backup {backup}", hint="name the file that `sync state backup` wrote")
    key = read_key_file(key_path(backup))
    with translated(backup), closing(connect(backup, "read")) as connection:
        examine(connection, backup)
        check_identity(connection, backup, key)
    return key


def move_aside(path: Path) -> Path | None:
    """Rename what there is of a state, so that nothing is ever removed."""
    there = [path.with_name(path.name + ending) for ending in FILES if path.with_name(path.name + ending).exists()]
    if not there:
        return None
    aside = path.with_name(f"{path.name}.replaced-{time.time_ns() // 1_000_000}")
    for file in there:
        file.rename(aside.with_name(aside.name + file.name[len(path.name) :]))
    return aside
