"""The store's part about what is on its way: pages of profiles that are written before they are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.state import outbox
from smartico_sync.state.open_state import OpenState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.core.outbox import OutboxPage

__all__ = ["StoredOutbox"]


class StoredOutbox(OpenState):
    """What may be on its way, of a state's views. A commit takes out the pages that it names."""

    def keep_outbox_page(self, view: str, page: bytes) -> int:
        """Keep profiles (`core.outbox.packed`) that are about to be sent; the page's id, higher than that of any before.

        On the disk when this returns, also after a power cut.
        """
        number = self.number(view)
        with self.committing("flushed") as connection:
            kept = outbox.keep(connection, self.secret, number, page)
        return kept.number

    def outbox(self, view: str) -> list[OutboxPage]:
        """Return the pages of a view that may have been sent and are not committed, in the order of sending."""
        number = self.numbers.get(view)
        if number is None:
            return []
        with self.reading() as connection:
            return outbox.read(connection, self.secret, number)

    def empty_outbox(self, pages: Sequence[int]) -> None:
        """Forget pages that are settled without a commit."""
        with self.committing() as connection:
            outbox.remove(connection, pages)
