"""The state store: one SQLite file, one process, one connection, one transaction per acknowledged page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.errors import StateMissing, StateUnwritable
from smartico_sync.state import erasure, opening, view_positions
from smartico_sync.state.database import connect, look_through, recognise, translated
from smartico_sync.state.key_file import key_path, read_key_file
from smartico_sync.state.lock import ProcessLock
from smartico_sync.state.migrations import migrate
from smartico_sync.state.stored_history import StoredHistory
from smartico_sync.state.stored_pages import StoredPages
from smartico_sync.state.stored_undelivered import StoredUndelivered
from smartico_sync.state.upkeep import AT_ONCE_BYTES, Upkeep

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
                    raise opening.gone(path)
                raise StateMissing(f"there is no state {path}", hint="start the daemon once: smartico-sync run")
            return cls._opened(path, read_key_file(key_path(path), apart), access, None)
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise StateUnwritable(
                f"the directory {path.parent} cannot be made: {error.strerror}", hint=f"mkdir -p {path.parent}"
            ) from error
        lock = ProcessLock(path)
        try:
            return cls._opened(path, opening.found_or_first(path, apart), access, lock)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _opened(cls, path: Path, key: KeyFile, access: Access, lock: ProcessLock | None) -> Store:
        with translated(path):
            connection = connect(path, access)
            try:
                recognise(connection, path, access)
                small = path.stat().st_size <= AT_ONCE_BYTES
                if access == "write" and small:
                    look_through(connection, path)  # a reader does not: the daemon has
                if access == "write":
                    migrate(connection)
                opening.check_identity(connection, path, key)
                opening.check_views(connection, path, key)
                upkeep = None
                if access == "write":
                    opening.mark_opened(connection)
                    upkeep = Upkeep(path, None if small else connect(path, "read"))
            except BaseException:
                connection.close()
                raise
            return cls(path, key, connection, lock, upkeep)

    def forget(self, view: str, who: Identity) -> Forgotten:
        """Take a player out of what is known of a view, and his bytes out of the file; his waiting rows count as dropped."""
        number = self.number(view)
        with self.writing("overwritten") as connection:
            gone = erasure.forget(connection, self.profile_log, number, who)
            dropped = {"dead_lettered": -gone.dead_letters, "parked": -gone.parked}
            dropped["dropped"] = gone.dead_letters + gone.parked
            view_positions.add_totals(connection, number, {name: n for name, n in dropped.items() if n})
        return gone
