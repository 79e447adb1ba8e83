"""The start of a state: the very first one, and what is made sure of before any other."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from msgspec.structs import replace

from smartico_sync.errors import StateDamaged, StateMissing, StateUnwritable
from smartico_sync.state import view_positions
from smartico_sync.state.database import connect, create, examine, restore_hint, transaction, translated
from smartico_sync.state.key_file import (
    BEGIN_STATE,
    KeyFile,
    is_there,
    key_path,
    new_key_file,
    own_like,
    read_key_file,
    write_key_file,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping
    from pathlib import Path

    from smartico_sync.state.sqlite_statements import SqliteStatements

__all__ = [
    "MOVED",
    "check_identity",
    "check_views",
    "found_or_first",
    "gone",
    "make",
    "mark_closed",
    "mark_opened",
    "never_was",
]


MOVED = ".moved-"  # before the moment (epoch ms), behind the name of a state file that was moved elsewhere


def found_or_first(path: Path, apart: bytes | None = None) -> KeyFile:
    """Return the identity of the state at `path`, making a first one where there never was any. The caller holds the lock.

    `apart`: the secret that is kept elsewhere; then it does not stay in the key file.

    A key without a state raises StateMissing: there was a state, and starting from zero would send everything again or
    skip what lies between. A state without its key raises StateMissing, unless no view was ever begun in it: then the
    process died in its first start, which is completed.
    """
    key = key_path(path)
    if path.is_dir():
        raise StateUnwritable(f"{path} is a directory", hint="name a file under `state:`")
    if is_there(path):
        return settled(key, apart) if key.exists() else complete_first(path, apart)
    if key.exists():
        raise gone(path)
    return make(path, new_key_file(secret=apart))


def settled(path: Path, apart: bytes | None) -> KeyFile:
    """Read a key file, and take out of it the secret that is kept apart from now on."""
    key = read_key_file(path, apart)
    if key.place == "apart" and b'"secret"' in path.read_bytes():
        try:
            write_key_file(path, key)
        except OSError as error:
            raise StateUnwritable(
                f"the key file {path} cannot be written: {error.strerror}",
                hint=f"let the daemon's user write into {path.parent}",
            ) from error
    return key


def gone(path: Path) -> StateMissing:
    """A state that was there, and is not: its key file is still there."""
    if left := moved(path):
        return StateMissing(
            f"the state {path} is gone: `smartico-sync state move` took it into a database, and left {left.name} behind",
            hint="name that database as `state:`; what was sent since is known there only, and `smartico-sync state move` brings it back",
        )
    return StateMissing(
        f"the state {path} is gone; its key file {key_path(path).name} says that it was there", hint=restore_hint(path)
    )


def moved(path: Path) -> Path | None:
    """What `state move` left behind of a state file, unless another state was there since."""
    known_ms = key_path(path).stat().st_mtime_ns // 1_000_000
    since = [
        (int(ms), each)
        for each in path.parent.iterdir()
        for name, _, ms in [each.name.rpartition(MOVED)]
        if name == path.name and ms.isdigit() and int(ms) >= known_ms
    ]
    return max(since)[1] if since else None


def never_was(path: Path) -> StateMissing:
    """No state, nor a sign that there was one."""
    return StateMissing(f"there is no state {path}, so nothing was sent from it yet", hint=BEGIN_STATE)


def make(path: Path, key: KeyFile, starts: Mapping[str, str] | None = None, like: Path | None = None) -> KeyFile:
    """Make state and key file, with owner and mode of those of the state `like`, if there is one.

    The state comes first: dying in between is mended by `complete_first`.
    """
    draft = path.with_name(path.name + ".new")
    with translated(path):
        try:
            create(draft, key.state_id, starts or {})
            own_like(draft, like or path)
            draft.replace(path)
            write_key_file(key_path(path), key, like and key_path(like))
        except OSError as error:
            raise StateUnwritable(
                f"the state {path} cannot be made: {error.strerror}",
                hint=f"let the daemon's user write into {path.parent}",
            ) from error
    return key


def complete_first(path: Path, apart: bytes | None = None) -> KeyFile:
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
    key = replace(new_key_file(secret=apart), state_id=state_id)
    try:
        write_key_file(key_path(path), key)
    except OSError as error:
        raise StateUnwritable(
            f"the key file {key_path(path)} cannot be made: {error.strerror}",
            hint=f"let the daemon's user write into {path.parent}",
        ) from error
    return key


def read_identity(connection: sqlite3.Connection, path: Path) -> str:
    """Read the id of a state. Raises StateDamaged where there is none, and sqlite3.Error."""
    row = connection.execute("SELECT state_id FROM identity").fetchone()
    if row is None:
        raise StateDamaged(f"the state {path} has no identity", hint=restore_hint(path))
    state_id: str = row[0]
    return state_id


def check_views(connection: SqliteStatements, path: Path, key: KeyFile) -> None:
    """Make sure that what is known of every view matches its seal. Raises StateDamaged, and sqlite3.Error."""
    try:
        view_positions.read(connection, key.secret)
    except StateDamaged as error:
        raise StateDamaged(f"{error.message} ({path})", hint=restore_hint(path)) from None


def mark_opened(connection: SqliteStatements, key: KeyFile) -> KeyFile:
    """Note on the disk that a process works with the state, and how many have; the key with that number. Raises sqlite3.Error.

    Where the last one did not end well, or another file stands in the place of the one that it left, the state may be behind
    what was sent: its fingerprints are doubted.
    """
    connection.execute(
        "PRAGMA synchronous = FULL"
    )  # else a power cut could lose the note together with all that follows it
    with transaction(connection):
        (noted,) = connection.execute("SELECT opened FROM identity").fetchone()
        if noted > 0 or -noted < key.opened:
            view_positions.judge_fingerprints(connection, "doubted")
        number = max(abs(noted), key.opened) + 1
        connection.execute("UPDATE identity SET opened = ?", (number,))
    connection.execute("PRAGMA synchronous = NORMAL")
    return replace(key, opened=number)


def mark_closed(connection: sqlite3.Connection) -> None:
    """Note that all that was sent is in the state, or is doubted. Raises sqlite3.Error."""
    with transaction(connection):
        connection.execute("UPDATE identity SET opened = -abs(opened)")


def check_identity(connection: sqlite3.Connection, path: Path, key: KeyFile) -> None:
    """Make sure that a state and a key file belong together. Raises StateDamaged, and sqlite3.Error."""
    if read_identity(connection, path) != key.state_id:
        raise StateDamaged(
            f"{key_path(path)} belongs to another state than {path}",
            hint=f"put the pair of one state together; or {restore_hint(path)}",
        )
