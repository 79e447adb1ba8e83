"""The store's part about what is on its way: pages of profiles that are written before they are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.state import lanes, outbox, view_positions
from smartico_sync.state.open_state import OpenState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.core.outbox import OutboxPage
    from smartico_sync.state.statements import Inserted, Statements

__all__ = ["StoredOutbox"]


class StoredOutbox(OpenState):
    """What may be on its way, of a state's views. A commit takes out the pages that it names."""

    def keep_outbox_page(self, view: str, page: bytes, sent_ms: int | None = None) -> int:
        """Keep profiles (`core.outbox.packed`) that are about to be sent; the page's id, higher than that of any before.

        On the disk when this returns, also after a power cut. `sent_ms`: noted with them, as by `sending`.
        """
        number = self.number(view)
        sealed = outbox.sealed(self.secret, number, page)

        def kept(connection: Statements) -> Inserted:
            if sent_ms is not None:
                view_positions.sending(connection, number, sent_ms)
            return outbox.keep(connection, number, sealed)

        return self.together(kept, "flushed").number

    def outbox(self, view: str) -> list[OutboxPage]:
        """Return the pages of a view that may have been sent and are not committed, in the order of sending.

        Where members share its lanes: those of the lanes that are this member's.
        """
        number = self.numbers.get(view)
        if number is None:
            return []
        with self.reading() as connection:
            return outbox.read(connection, self.secret, number, self.owner)

    def keep_outbox_of_lanes(self, view: str, pages: Mapping[str, bytes]) -> list[int]:
        """The same as `keep_outbox_page` for lanes that members share, a page for each. Raises PositionMoved where one is another's now."""
        number = self.number(view)

        def kept(connection: Statements) -> list[Inserted]:
            if self.owner is not None:
                lanes.hold(connection, number, view, pages, self.owner)
            return [
                outbox.keep(connection, number, outbox.sealed(self.secret, number, page), lane)
                for lane, page in pages.items()
            ]

        return [each.number for each in self.together(kept, "flushed")]

    def empty_outbox(self, pages: Sequence[int]) -> None:
        """Forget pages that are settled without a commit."""
        self.together(lambda connection: outbox.remove(connection, pages))
