"""SQLite, as data."""

from smartico_sync.catalogue.engines.declaration import Engine

__all__ = ["SQLITE"]

# fmt: off
SQLITE = Engine("sqlite", "SQLite", "smartico_sync.sources.sqlite", aliases={"sqlite3": ""})
# fmt: on
