"""What a turn of a view's loop works with, beside the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from smartico_sync.tracking.pages_in_flight import PagesInFlight
    from smartico_sync.tracking.sender import Sender

__all__ = ["Workplace"]


class Workplace(Struct, frozen=True):
    """What a turn works with, beside the session: both belong to the loop, and are touched in its thread only."""

    sender: Sender
    flight: PagesInFlight
