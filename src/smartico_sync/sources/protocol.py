"""The one seam between the daemon and ten databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import Struct, field

from smartico_sync.core.relation import TIMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    import polars as pl

    from smartico_sync.core.late_commit.view_definition import ViewDefinition
    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Family, Relation, Snapshot
    from smartico_sync.core.replication import Replication
    from smartico_sync.core.tables import IndexPlan, Table, ViewPlan

__all__ = [
    "HANDFUL",
    "Asked",
    "Digest",
    "Encrypted",
    "End",
    "FirstPage",
    "KeysAsked",
    "Landmarks",
    "News",
    "NullScan",
    "Nulls",
    "Plan",
    "Reading",
    "Scan",
    "ServerFacts",
    "Source",
]

HANDFUL = 16  # rows that a question always brings, however wide they are: of 2 MB each not much more

End = Literal[
    "through",  # the upper bound of a range belongs to it
    "below",  # it does not
]


Encrypted = Literal["yes", "no", "none", "unknown"]
Nulls = Literal[
    "cursor",
    "key",  # in some part of it, of rows that have a cursor
    "cursor or key",
]
NullScan = Literal[
    "by index",  # for next to nothing, however large the table is
    "by reading all",  # of the column at least
    "not at all",  # no index of the engine holds NULLs, and to read a whole table for them is too much
    "unknown",  # the engine does not tell: how long a count takes does
]


class ServerFacts(Struct, frozen=True):
    """What the server is, for `smartico-sync check` and for the choice of a late-commit mechanism.

    `role`: primary, physical standby, logical replica, or unknown. `fence`: empty when the snapshot fence is valid here,
    else the reason it is not; with `fence_for` times the reason concerns ids only. `replay_lag_ms`: how far a replica is
    behind, where it can be known. `warnings`: privileges that are too wide, a session that is not read-only, and the like, one
    sentence each. `encrypted`: whether others on the network can read along; none: there is no network.
    """

    engine: str
    version: str
    role: str
    fence: str
    replay_lag_ms: int | None = None
    timezone: str = "UTC"
    warnings: tuple[str, ...] = field(default=())
    encrypted: Encrypted = "unknown"
    fence_for: Literal["nothing", "times"] = "nothing"

    def no_fence(self, cursor: Family) -> str:
        """Why the fence is not valid for a cursor of this family; empty where it is."""
        return "" if self.fence_for == "times" and cursor in TIMES else self.fence


class Plan(Struct, frozen=True):
    """How the engine runs the exact poll query. `uses_index`: whether the cursor is found by an index; None when unknown.

    `text` is the engine's own plan; `advice` the statement that would mend it (a CREATE INDEX), empty when nothing is wrong.
    `summary` says in half a sentence what one poll reads, where an engine without indexes knows that.
    """

    uses_index: bool | None
    text: str
    advice: str = ""
    summary: str = ""


class KeysAsked(Struct, frozen=True):
    """What `keys` is asked for: `keys(low, high, limit, after)`."""

    low: str | None
    high: str
    limit: int
    after: Position | None


class FirstPage(Struct, frozen=True):
    """A page without an upper bound that a reading will most likely be asked for first: `page(after, limit)`.

    `keys`: what it will most likely be asked for besides. `holds`: whether the page will most likely hold rows.
    """

    after: Position | None
    limit: int
    keys: KeysAsked | None = None
    holds: Literal["rows", "nothing"] = "nothing"


class Digest(Struct, frozen=True):
    """So many `rows`, and a `sum` of their hashes: of a scan that has any a whole number, so that those of neighbours add up."""

    rows: int
    sum: str


class Scan(Struct, frozen=True):
    """The rows after a position (all for None) with `cursor <= high`, as `page` returns them, or their `keys`."""

    of: Literal["rows", "keys"]
    after: Position | None
    high: str


class Landmarks(Struct, frozen=True):
    """What tells whether a source is still the one whose rows were delivered, up to the cursor `high`.

    The rows at these positions and of these keys, the highest cursor of all, and the lowest position up to `high`.
    """

    positions: tuple[Position, ...]
    keys: tuple[tuple[str, ...], ...]
    high: str


class Asked(Struct, frozen=True):
    """What is to be told of one view: whether rows are behind the position, and the digests of what is looked at `again`.

    With landmarks also whether the view has the columns with which it was described. `nulls`: and whether a row has no cursor.
    """

    relation: Relation
    after: Position | None
    again: tuple[Scan | Landmarks, ...] = ()
    nulls: Literal["not asked", "asked"] = "not asked"


class News(Struct, frozen=True):
    """What one server answered of each view that it was asked for.

    `found`: rows behind the position, other columns, or a row without a cursor. `digests`: one for each thing that was looked at
    again; none where something is found. `replication`: where it was asked for and can be told.
    """

    server: str
    found: tuple[bool, ...]
    digests: tuple[tuple[Digest, ...], ...] = ()
    replication: Replication | None = None


class Reading(Protocol):
    """One short read-only transaction (one snapshot) over one relation. Never held during an HTTP call.

    Frames hold the relation's columns under their source names, in the relation's column order, with these dtypes by
    family: integer Int64 (UInt64 or String when wider) · decimal String · float Float64 · text String · boolean Boolean ·
    timestamp Datetime('us') or ('ns'), naive and converted to UTC · instant Datetime('us'|'ns', 'UTC') · date Date ·
    uuid String · json/array String of JSON text · binary Binary · other String. A value that does not fit (an infinite
    timestamp, a day of no month) arrives as null in its column and its text in the column `@unreadable` (String: `column:
    reason; column: reason`, no value), which is present only when needed; a zero date is NULL. A boolean that holds codes, or
    an integer with decimals, makes its column String. The column `@cursor` (String, always present) is the cursor at full
    precision as the database prints it; the columns `@key.0`, `@key.1` … (String) are the key likewise.

    A question for many rows raises RowsTooWide where they are more bytes than are read at once, and the reading is over then:
    whoever asked asks for fewer. A handful is brought whatever it weighs.
    """

    @property
    def clock_ms(self) -> int:
        """The database's now in epoch ms; on a replica the time up to which it has replayed, where that is known."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The transaction's snapshot ids; None where the engine has none that can serve as a fence."""

    @property
    def server(self) -> str:
        """Which server answers: another text for each of several behind one address, for a restart, and for a promotion.

        Empty where that cannot be known.
        """

    @property
    def first(self) -> FirstPage | None:
        """The page that came in the round trip that opened the reading: to ask for it costs nothing. None: none did."""

    def replication(self) -> Replication:
        """How the server stands in its replication; UNKNOWN where the engine does not tell, or the user may not ask."""

    def pinned_by(self) -> str:
        """What keeps the snapshot's xmin back, in words, as far as the user may see it; empty where that is not known."""

    def page(self, after: Position | None, limit: int, through: str | None = None) -> pl.DataFrame:
        """Up to `limit` rows after the position (all rows from the start for None), in order `(cursor, *key)`.

        Rows with a NULL cursor are never returned. `through` is an inclusive upper bound of the cursor. Rows that the database
        takes for the last one's position, since its collation tells no letter case, come with it, beyond the limit:
        the next page begins behind all of them.
        """

    def keys(
        self, low: str | None, high: str, limit: int, after: Position | None = None, end: End = "through"
    ) -> pl.DataFrame:
        """`@cursor` and `@key.*` only, for `low <= cursor <= high` (from the start for None), in order, up to `limit` rows.

        With `end` below, for `cursor < high`. `after` continues a previous answer. Rows at the last position as for `page`.
        """

    def digest(self, of: Literal["rows", "keys"], after: Position | None, high: str) -> Digest | None:
        """What the rows after a position (all for None) with `cursor <= high` are, as `page` would return them, or `keys` theirs.

        Equal digests, equal rows, up to a collision of 64-bit hashes. None where the engine does not tell them for less.
        """

    def landmarks(self, landmarks: Landmarks) -> Digest | None:
        """What they are now. Equal digests, equal landmarks, as of `digest`; None where the engine does not tell them for less."""

    def rows(self, positions: Iterable[Position]) -> pl.DataFrame:
        """The rows at exactly these positions that still exist, any order; at most 1,000 positions a call."""

    def by_cursor(self, values: Iterable[str]) -> pl.DataFrame:
        """The rows whose cursor is one of these (missing ids asked again), any order; at most 1,000 values a call."""

    def by_key(self, keys: Iterable[tuple[str, ...]]) -> pl.DataFrame:
        """The rows with one of these keys, whatever their cursor, any order; at most 1,000 keys a call. Not for keyless views."""

    def by_written_key(self, key: tuple[str, ...]) -> pl.DataFrame:
        """The rows that the database takes for those of this key, as a person wrote it: another form of a time, another letter case."""

    def without_cursor(self, limit: int, after: tuple[str, ...] = ()) -> pl.DataFrame:
        """Up to `limit` rows whose cursor is NULL (`@cursor` is null), in order of their key, after that key.

        Rows with a NULL in the key are left out. Not for keyless views.
        """

    def head(self, through: str | None = None) -> str | None:
        """The highest cursor, up to an inclusive bound, by index; None when there is none."""

    def moment(self, at_ms: int) -> str:
        """An epoch ms as the text of a cursor; only for cursors that are times, ConfigError for others.

        For bounds that a clock, a person or a schedule chose; a watermark is never made like this.
        """

    def newest(self, limit: int) -> pl.DataFrame:
        """The `limit` rows with the highest cursors, in order of the cursor, by one question; which of equal ones is open."""

    def null_cursors(self, of: Nulls = "cursor or key", patience_ms: int | None = None) -> int:
        """How many rows no page returns, because of a NULL there (counting stops at 10,000).

        `patience_ms`: where the server can be told so, it ends a longer count with SourceCancelled, and so this reading.
        Elsewhere the source's `statement_timeout` does.
        """

    def null_scan(self) -> NullScan:
        """How the engine would find rows with a NULL cursor. Nothing is read but the plan."""

    def count(self, low: str | None, high: str, end: End = "through") -> int:
        """How many rows `keys` returns for this range."""


class Source(Protocol):
    """One database. Thread-safe: each reading takes its own connection from the pool.

    Every method raises SourceUnreachable, SourceRefused, SourceCancelled or ViewBroken, with a hint, and never a driver's
    exception; messages hold no password and no row values.
    """

    @property
    def engine(self) -> str:
        """The URL scheme: `postgresql`, `sqlite` and so on."""

    @property
    def encryption(self) -> str:
        """How its connections are protected, in words (see `core.encryption`); empty where there is none."""

    @property
    def cursor_names(self) -> Literal["free", "kept"]:
        """Whether a view may call its cursor otherwise than its table does, and still be read by the table's index."""

    @property
    def longest_name(self) -> int:
        """How many characters the name of an index, a view or a column may have."""
        ...

    def describe(self, relation: Relation) -> Relation:
        """The relation with `columns` filled from the database. ViewBroken when the cursor or a key column is missing."""

    def reading(self, relation: Relation, first: FirstPage | None = None) -> AbstractContextManager[Reading]:
        """Open a reading over a described relation; where the engine can, with the page that will be asked for first.

        At its end ViewAltered is raised where rows were read and the relation has other columns than it was described with,
        but for engines where that takes long: there only where a value was not what its column promised.
        """

    def news(self, asked: Sequence[Asked], replication: Literal["not asked", "asked"] = "not asked") -> News | None:
        """Whether `page` would return any row behind each of these positions, and what is as it was; see `Asked` and `News`.

        In one round trip for all of them: None where the engine cannot. Of all of them rows are said to be found where one
        cannot be asked. Only digests that a reading has told before may be asked for.
        """

    def verify(self, relation: Relation) -> None:
        """Describe it again. ViewAltered when it has other columns than it was described with."""

    def facts(self) -> ServerFacts:
        """Ask the server what it is."""

    def recent_facts(self) -> ServerFacts:
        """The same, or what it answered within the last second, if nothing went wrong since: many views are opened together."""

    def recent_replication(self, relation: Relation) -> Replication:
        """`Reading.replication`, in a reading of its own, or what that told within the last second, likewise."""

    def definition(self, relation: Relation) -> ViewDefinition:
        """What the relation is made of; UNKNOWN where the engine does not tell, or the user may not ask."""

    def hidden(self, relation: Relation) -> str:
        """What keeps rows of the relation from this user, in words; empty where nothing does, or that cannot be known."""

    def plan(self, relation: Relation, after: Position | None, limit: int) -> Plan:
        """Explain the exact poll query."""

    def relations(self) -> tuple[str, ...]:
        """Names of the views and tables the user may read, schema-qualified where the engine has schemas."""

    def tables(self) -> tuple[Table, ...]:
        """Tables and views that the user may read, with columns, keys, indexes and references as far as the engine tells.

        What cannot be described (a broken view, one without rights beneath it) is left out. Names as in `relations`.
        """

    def ddl(self, views: Sequence[ViewPlan], indexes: Sequence[IndexPlan]) -> tuple[str, ...]:
        """The statements by which the database's owner makes these, one each; indexes only where the engine has any."""

    def close(self) -> None:
        """Close every connection; later calls fail. Cancels reads that are under way."""
