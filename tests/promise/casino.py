"""A casino's database: tables of one scripted server, each read through a view as the daemon reads any source."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import polars as pl
from msgspec.structs import replace

from core.simulation.database import Database
from smartico_sync.core.late_commit.view_definition import UNKNOWN
from smartico_sync.core.relation import Column
from smartico_sync.sources.kit import keyless_pages
from smartico_sync.sources.kit.frames import empty, frame
from smartico_sync.sources.kit.positions import labels
from smartico_sync.sources.kit.reading import BaseReading
from smartico_sync.sources.protocol import ServerFacts

START = datetime(2026, 1, 1, tzinfo=UTC)
CURSORS = {"id": Column("cursor", "int8", "integer"), "ts": Column("cursor", "timestamptz", "instant")}
COLUMNS = (
    Column("ext_brand_id", "text", "text"), Column("user_ext_id", "text", "text"), Column("transaction_id", "text", "text"),
    Column("at", "timestamptz", "instant"), Column("number", "int8", "integer"),
)  # fmt: skip
TODAY_MS = 1_767_225_600_000
HELD_BACK = "its role is unknown"


@dataclass(frozen=True)
class Content:
    """What a row says; its number, the database's own, is `key` of its row."""

    table: str
    player: str
    transaction: str


class Casino:
    """Profiles are updated in place, bets and notes only come; `fence` says whether snapshots may be trusted."""

    engine = "postgresql"

    def __init__(self, cursor, role, fence, longest_ms):
        self.database = Database(cursor, role, longest_ms=longest_ms, dawdle_ms=9_000, true_ms=TODAY_MS)
        self.cursor, self.fence = cursor, fence
        self.contents = {}
        self.steady_ms = TODAY_MS
        self.sessions = {}  # of each table, what pages brought in each session of its view

    def put(self, transaction, table, player, business="", behind_ms=0, node=None):
        """A writer takes a value for one row; the row stands there once its transaction has ended."""
        database, number = self.database, self.database.next_key
        if node is None:
            database.take(transaction, behind_ms)
        else:
            database.take_from_block(transaction, node)
        self.contents[number] = Content(table, player, business or f"t{number}")

    def advance(self, ms):
        self.database.advance(ms)
        self.steady_ms += ms

    def committed(self, table):
        return [row for row in self.database.committed() if self.contents[row.key].table == table]

    def value(self, row):
        """What a row says: its number, by which it is known again; a profile one of two things, between which it goes back and forth."""
        return row.key % 2 if self.contents[row.key].table == "players" else row.key

    def profiles(self):
        """What each player's profile says."""
        return {self.contents[row.key].player: self.value(row) for row in self.committed("players")}

    def describe(self, relation):
        return replace(relation, columns=(*COLUMNS, CURSORS[self.cursor]))

    @contextmanager
    def reading(self, relation, _first=None):
        reading = View(relation, self)
        with reading.open():
            yield reading

    def verify(self, relation):
        """Its columns never change."""

    def facts(self):
        return ServerFacts(self.engine, "15", "primary", "" if self.fence else HELD_BACK)

    recent_facts = facts

    def recent_replication(self, relation):
        with self.reading(relation) as reading:
            return reading.replication()

    def definition(self, _relation):
        return UNKNOWN

    def close(self):
        pass


class View(BaseReading):
    """One snapshot of one view."""

    offset = "+00"

    def __init__(self, relation, casino):
        super().__init__(relation)
        self.casino = casino

    def begin(self):
        casino, table = self.casino, self.relation.relation
        reading = casino.database.reading(casino.steady_ms)
        self.clock_ms, self.server = reading.read_time.clock_ms, reading.read_time.server
        self.snapshot = reading.read_time.snapshot if casino.fence else None
        database = casino.database
        log = database.log if database.role == "primary" else database.log[: database.replayed]
        rows = [row for record in log if record.kind == "commit" for row in record.rows]
        rows = [row for row in rows if casino.contents[row.key].table == table]
        if table == "players":
            rows = list({casino.contents[row.key].player: row for row in rows}.values())
        self.places = sorted(
            ((row.cursor, self.key(row), row) for row in rows), key=lambda each: (*each[:2], each[2].key)
        )

    def key(self, row):
        content = self.casino.contents[row.key]
        values = {"ext_brand_id": "b", "user_ext_id": content.player, "transaction_id": content.transaction}
        return tuple(values[name] for name in self.relation.key)

    def text(self, cursor):
        if self.casino.cursor == "id":
            return str(cursor)
        return datetime.fromtimestamp(cursor / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")

    def number(self, text):
        return int(text) if self.casino.cursor == "id" else millisecond(text)

    def place(self, after):
        if after is None:
            return (-1 << 62, ())
        beyond = (chr(0x10FFFF),) if not self.relation.key else ()
        return (self.number(after.cursor), tuple(after.key) or beyond)

    def framed(self, places, columns="rows"):
        if not places:
            return empty(self.relation, columns)
        rows = []
        for cursor, _, row in places:
            content = self.casino.contents[row.key]
            moment = datetime.fromtimestamp(cursor / 1000, UTC) if self.casino.cursor == "ts" else cursor
            at = START + timedelta(seconds=row.key)
            rows.append(("b", content.player, content.transaction, at, self.casino.value(row), moment))
        names = [name for name, _ in labels(self.relation)]
        text = [(self.text(cursor), *key) for cursor, key, _ in places]
        positions = pl.DataFrame(text, dict.fromkeys(names, pl.String), orient="row")
        return positions if columns == "positions" else frame(self.relation.columns, rows).hstack(positions)

    def whole(self, places, limit, columns="rows"):
        if self.relation.key:
            return self.framed(places[:limit], columns)
        return keyless_pages.complete(lambda rows: self.framed(places[:rows], columns), limit)

    def within(self, low, high, after=None, end="through"):
        floor = -1 << 62 if low is None else self.number(low)
        top = 1 << 62 if high is None else self.number(high) - (end == "below")
        return [each for each in self.places if each[:2] > self.place(after) and floor <= each[0] <= top]

    def page(self, after, limit, through=None):
        found = self.whole(self.within(None, through, after), limit)
        self.casino.sessions.setdefault(self.relation.relation, [[]])[-1].extend(found.get_column("number"))
        return found

    def keys(self, low, high, limit, after=None, end="through"):
        return self.whole(self.within(low, high, after, end), limit, "positions")

    def among(self, listed, wanted):
        rows = self.framed(self.places)
        for (label, _), values in zip(listed, zip(*wanted, strict=True), strict=True):
            rows = rows.filter(pl.col(label).is_in(list(values)))
        return rows

    def head(self, through=None):
        found = self.within(None, through)
        return self.text(found[-1][0]) if found else None

    def without_cursor(self, _limit, _after=()):
        return empty(self.relation, "rows")

    def null_cursors(self, _of="cursor or key", _patience_ms=None):
        return 0

    def null_scan(self):
        return "by index"

    def count(self, low, high, end="through"):
        return len(self.within(low, high, None, end))


@cache
def millisecond(text):
    """A time as the database prints it, or as a bound is written."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
