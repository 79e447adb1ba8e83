"""What a view stands among while it is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from smartico_sync.catalogue.engines import Engine
    from smartico_sync.config.models import Pii
    from smartico_sync.config.problems import Loc

__all__ = ["Where"]


class Where(Struct, frozen=True):
    """What a view stands among. `engine`: None when its source is not valid."""

    index: int
    engine: Engine | None
    pii: Pii | None

    def at(self, *path: str) -> Loc:
        """Make a path in this view."""
        return ("views", self.index, *path)
