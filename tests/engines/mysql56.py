"""MySQL 5.6, the real thing; a server of one's own where SYNC_TEST_MYSQL56_URL names it."""

from __future__ import annotations

from engines.mariadb import bare
from engines.mysql import MySQL

__all__ = ["STAND_IN", "WEIGHT", "MySQL56", "bare", "serve"]

WEIGHT = "light"
STAND_IN = ""
SHORT = 1000  # characters of a VARCHAR, so that a row of several stays below the 65,535 bytes that it may have


class MySQL56(MySQL):
    """Keys are VARCHAR: it sorts an empty TEXT before control characters, which it compares as less.

    No statement has a time limit there.
    """

    lacks = frozenset({"time limits"})

    def table(self, name, columns, rows=()):
        rows = list(rows)
        long = any(isinstance(value, str) and len(value) > SHORT for row in rows for value in row)
        kind = "LONGTEXT" if long else f"VARCHAR({SHORT})"
        self.types = {**self.types, "text": f"{kind} CHARACTER SET utf8mb4 COLLATE {self.collation}"}
        super().table(name, columns, rows)


def serve(request):
    engine = MySQL56(request.getfixturevalue("mysql56"))
    yield engine
    engine.close()
