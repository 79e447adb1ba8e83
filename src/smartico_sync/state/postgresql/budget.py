"""What several members may send under one token: a bucket in one row, filled by the clock of the database, that hands out requests."""

from __future__ import annotations

import hmac
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg

from smartico_sync.state.postgresql.connection import abandon, connect, told

if TYPE_CHECKING:
    from smartico_sync.state.postgresql.first_start import Wish

__all__ = ["SharedBudget"]

BEGIN = (
    "INSERT INTO budget (account, level, filled, granted) VALUES (%s, 0, clock_timestamp(), 0) ON CONFLICT DO NOTHING"
)
# Each step is told once and kept: the clock is read behind the row's lock, and what is given is what is taken away.
DRAW = """WITH locked AS MATERIALIZED (SELECT account, level, filled FROM budget WHERE account = %(account)s FOR UPDATE),
filled AS MATERIALIZED (SELECT account, clock_timestamp() AS at,
    least(%(size)s, level + %(rate)s * greatest(0, extract(epoch FROM clock_timestamp() - filled)))::float8 AS level FROM locked),
given AS MATERIALIZED (SELECT account, at, level, least(%(wanted)s, floor(level)) AS n FROM filled)
UPDATE budget AS b SET level = given.level - given.n, filled = given.at, granted = b.granted + given.n::bigint
FROM given WHERE b.account = given.account
RETURNING given.n::int, (given.level - given.n)::float8"""


class SharedBudget:
    """The row of one token. `account` tells it from others and is not shown: only a keyed hash of it is kept. For one thread, but for `close`."""

    def __init__(self, wish: Wish, account: str) -> None:
        self._wish = wish
        self._account = hmac.digest(wish.secret, b"budget " + account.encode(), "sha256")[:16]
        self._connection: psycopg.Connection[Any] | None = None

    def draw(self, wanted: int, rate: float, size: float) -> tuple[int, float]:
        """Take up to so many requests, of those that come in at `rate` a second and are kept up to `size`; how many, and what is left.

        Raises StateUnwritable where the state cannot be asked: nothing is given then.
        """
        with told(self._wish.url):
            try:
                if self._connection is None or self._connection.closed:
                    self._connection = connect(self._wish.url, self._wish.lease_s, "budget")
                    psycopg.ClientCursor(self._connection).execute(BEGIN, (self._account,))
                given = {"account": self._account, "wanted": wanted, "rate": rate, "size": size}
                found = psycopg.ClientCursor(self._connection).execute(DRAW, given).fetchone()
            except psycopg.Error:
                if self._connection is not None:
                    self._connection.close()
                raise
        if found is None:  # a new beginning of the state took the row away
            with told(self._wish.url):
                psycopg.ClientCursor(self._connection).execute(BEGIN, (self._account,))
            return 0, 0.0
        return int(found[0]), float(found[1])

    def close(self) -> None:
        """Let go of the connection; who waits for an answer on it waits no longer. Idempotent."""
        if (connection := self._connection) is not None:
            abandon(connection)
            with suppress(psycopg.Error):
                connection.close()
