"""The state store: one SQLite file, one process, one connection, one transaction per acknowledged page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.errors import StateUnwritable
from smartico_sync.state import erasure, recovery, view_positions
from smartico_sync.state.database import connect, examine, translated
from smartico_sync.state.key_file import key_path, read_key_file
from smartico_sync.state.lock import ProcessLock
from smartico_sync.state.migrations import migrate
from smartico_sync.state.stored_history import StoredHistory
from smartico_sync.state.stored_pages import StoredPages
from smartico_sync.state.stored_undelivered import StoredUndelivered

if TYPE_CHECKING:
    from pathlib import Path

    from smartico_sync.state.database import Access
    from smartico_sync.state.erasure import Forgotten, Identity
    from smartico_sync.state.key_file import KeyFile

__all__ = ["Store"]


class Store(StoredPages, StoredUndelivered, StoredHistory):
    """What the daemon remembers. Every method may be called from any thread.

    Every method raises StateUnwritable while the disk is full, read-only or failing (nothing of the call has happened,
    and a later call may succeed), StateMissing while the file is not where it was, and StateDamaged when SQLite finds it
    corrupt. A view must have been begun before anything else names it, or the method raises LookupError.
    """

    @classmethod
    def open(cls, path: Path, *, access: Access = "write", apart: bytes | None = None) -> Store:
        """Open the state at `path`, making it (and its directory) at the very first start.

        `apart`: the secret, where it is kept elsewhere. `read` takes no lock, so it works beside a running daemon, and never changes anything. Raises StateLocked,
        StateMissing, StateDamaged, StateUnwritable, and StateError for a file of a newer version.
        """
        if access == "read":
            if not path.exists():
                if key_path(path).exists():
                    raise recovery.gone(path)
                raise recovery.never_was(path)
            return cls._opened(path, read_key_file(key_path(path), apart), access, None)
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise StateUnwritable(
                f"the directory {path.parent} cannot be made: {error.strerror}", hint=f"mkdir -p {path.parent}"
            ) from error
        lock = ProcessLock(path)
        try:
            return cls._opened(path, recovery.found_or_first(path, apart), access, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _opened(cls, path: Path, key: KeyFile, access: Access, lock: ProcessLock | None) -> Store:
        with translated(path):
            connection = connect(path, access)
            try:
                examine(connection, path, access)
                if access == "write":
                    migrate(connection)
                recovery.check_identity(connection, path, key)
                store = cls(path, key, connection, lock)
                store.views()
                if access == "write":
                    recovery.mark_opened(connection)
            except BaseException:
                connection.close()
                raise
            return store

    def forget(self, view: str, who: Identity) -> Forgotten:
        """Take a player out of what is known of a view, and his bytes out of the file; his waiting rows count as dropped."""
        number = self.number(view)
        with self.writing("overwritten") as connection:
            gone = erasure.forget(connection, number, who)
            dropped = {"dead_lettered": -gone.dead_letters, "parked": -gone.parked}
            dropped["dropped"] = gone.dead_letters + gone.parked
            view_positions.add_totals(connection, number, {name: n for name, n in dropped.items() if n})
        return gone
