"""The door to a state in PostgreSQL; whoever goes through needs its driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.state.postgresql.connection import shown  # isort: skip - first: it says how the driver is installed
from smartico_sync.state.postgresql.database import PostgresqlDatabase
from smartico_sync.state.postgresql.first_start import Wish

if TYPE_CHECKING:
    from smartico_sync.state.database import Access
    from smartico_sync.state.place import ServerPlace

__all__ = ["opened", "shown"]


def opened(place: ServerPlace, access: Access) -> PostgresqlDatabase:
    """Open the state there; see `PostgresqlDatabase.open`."""
    wish = Wish(place.url, place.secret, place.lease_s, views=place.views)
    return PostgresqlDatabase.open(wish, place.path, access)
