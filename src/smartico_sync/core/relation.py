"""What is read from a source: one view, its columns and its order."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = [
    "DATED",
    "IDS",
    "TIME",
    "TIMES",
    "Column",
    "ColumnsAre",
    "CursorIs",
    "Family",
    "Prints",
    "Relation",
    "Snapshot",
]

TIME = "@time"  # when the broker says that a message was written: the cursor of messages
DATED = "@dated"  # the same, or where nobody says one that can be meant, when the message was read: a column only where that is so
Family = Literal[
    "integer",  # any width, signed or not
    "decimal",  # exact; reaches the frame as text
    "float",
    "text",
    "boolean",
    "timestamp",  # wall clock without zone: `timezone:` of the source says which
    "instant",  # a point in time, with zone
    "date",
    "uuid",
    "json",  # reaches the frame as JSON text
    "array",  # reaches the frame as JSON text
    "binary",
    "other",
]
IDS: frozenset[Family] = frozenset(
    {"integer", "decimal"}
)  # as a cursor: whole numbers that are given out one after the other
MOVING = frozenset({"rowversion", "timestamp"})  # types of whole numbers that are given to a row anew when it changes


TIMES: frozenset[Family] = frozenset({"timestamp", "instant", "date"})

ColumnsAre = Literal[
    "declared",  # the database knows them
    "sampled",  # they are learnt from some of the rows
    "chosen",  # some of them, for a question of its own
]
CursorIs = Literal[
    "auto",  # a time where the column is one, else an id
    "id",
    "epoch_s",  # a number: seconds since 1970 in UTC
    "epoch_ms",
    "epoch_us",
]


Prints = Literal[
    "anything",
    "JSON numbers",  # and NULL: the source vouches that no value of the frame is another text, so nobody looks
]


class Column(Struct, frozen=True):
    """A column as the engine describes it; `type` is the engine's own word, for messages and casts.

    `prints`: what a decimal is as text, as far as the source vouches for it. `collation`: what orders a text where a constant
    has to name it to be compared by it.
    """

    name: str
    type: str
    family: Family
    prints: Prints = "anything"
    collation: str = ""


class Relation(Struct, frozen=True):
    """One view as it is polled. `name` is the view's name in the configuration, put into the query comment.

    Exactly one of `relation` (maybe schema-qualified) and `query` is set. `key` makes `(cursor, *key)` unique and is empty
    for a keyless view. `columns` is filled by `Source.describe`; empty before. `cursor_is`: what the cursor's values mean.
    `columns_are` is said by `describe` too.
    `version`: of messages the column that says which of two states of a player is newer, empty where none does; None for rows,
    where the cursor does.
    """

    name: str
    cursor: str
    key: tuple[str, ...]
    relation: str | None = None
    query: str | None = None
    timezone: str = "UTC"
    columns: tuple[Column, ...] = ()
    cursor_is: CursorIs = "auto"
    columns_are: ColumnsAre = "declared"
    version: str | None = None

    def __hash__(self) -> int:
        """Of what tells relations apart: statements are kept by relation, and found some times in every poll."""
        return hash((self.name, self.cursor, self.key, self.relation, self.query, len(self.columns)))

    def column(self, name: str) -> Column | None:
        """The described column of that name, or None."""
        for column in self.columns:
            if column.name == name:
                return column
        return None

    @property
    def cursor_is_id(self) -> bool:
        """Whether the cursor never changes in a row, so that it tells one row from another."""
        cursor = self.cursor_column
        return cursor.family in IDS and cursor.type.lower() not in MOVING and not self.epoch

    @property
    def cursor_column(self) -> Column:
        """The cursor as described. LookupError before the relation is described."""
        column = self.column(self.cursor)
        if column is None:
            raise LookupError(f"{self.name} is not described: it has no column {self.cursor}")
        return column

    @property
    def epoch(self) -> bool:
        """Whether the cursor is a number that tells a time."""
        return self.cursor_is.startswith("epoch")

    @property
    def dated(self) -> bool:
        """Whether the cursor is a time. LookupError before the relation is described."""
        return self.epoch or self.cursor_column.family in TIMES


class Snapshot(Struct, frozen=True):
    """Transaction ids of one PostgreSQL snapshot: everything below `xmin` has ended, nothing from `xmax` on has begun."""

    xmin: int
    xmax: int
