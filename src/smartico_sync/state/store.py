"""The state store: one database, one process at a time, one transaction per acknowledged page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.state import erasure, view_positions
from smartico_sync.state.state_file import StateFile
from smartico_sync.state.stored_history import StoredHistory
from smartico_sync.state.stored_lanes import StoredLanes
from smartico_sync.state.stored_outbox import StoredOutbox
from smartico_sync.state.stored_pages import StoredPages
from smartico_sync.state.stored_undelivered import StoredUndelivered

if TYPE_CHECKING:
    from pathlib import Path

    from smartico_sync.state.database import Access
    from smartico_sync.state.erasure import Forgotten, Identity

__all__ = ["Store"]


class Store(StoredPages, StoredUndelivered, StoredHistory, StoredOutbox, StoredLanes):
    """What the daemon remembers. Every method may be called from any thread.

    Every method raises StateUnwritable while the state cannot be written, or its server not be reached (nothing of the call has
    happened, or it will be seen when the position is read again; a later call may succeed), StateMissing while it is not where it
    was, and StateDamaged when it is found corrupt. A view must have been begun before anything else names it, or the method raises
    LookupError.
    """

    @classmethod
    def open(cls, path: Path, *, access: Access = "write", apart: bytes | None = None) -> Store:
        """Open the state file at `path`, making it (and its directory) at the very first start.

        `apart`: the secret, where it is kept elsewhere. `read` takes no lock, so it works beside a running daemon, and never changes anything. Raises StateLocked,
        StateMissing, StateDamaged, StateUnwritable, and StateError for a file of a newer version.
        """
        return cls(StateFile.open(path, access, apart))

    def forget(self, view: str, who: Identity) -> Forgotten:
        """Take a player out of what is known of a view, and his bytes out of the file; his waiting rows count as dropped."""
        number = self.number(view)
        with self.writing("overwritten") as connection:
            gone = erasure.forget(connection, self.secret, number, who)
            dropped = {"dead_lettered": -gone.dead_letters, "parked": -gone.parked}
            dropped["dropped"] = gone.dead_letters + gone.parked
            view_positions.add_totals(connection, number, {name: n for name, n in dropped.items() if n})
        return gone
