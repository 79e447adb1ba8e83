"""Messages become rows, and the columns are learnt from what they hold."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct, field

from smartico_sync.catalogue.properties import NAME_PATTERN
from smartico_sync.core.messages.debezium import change_of
from smartico_sync.core.messages.exact import (
    ABSENT,
    LONGEST,
    Absent,
    Number,
    Undecodable,
    object_of,
    objects_of,
    unbounded,
)
from smartico_sync.core.messages.layout import value_at, walk, word_at
from smartico_sync.core.relation import DATED, TIME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.core.messages.layout import Conditions, Layout
    from smartico_sync.core.messages.message import Message
    from smartico_sync.core.relation import Family

__all__ = [
    "DATED", "LANE", "MOST_COLUMNS", "ODD", "OFFSET", "PLACE_KEY", "SKIPS", "TIME", "Table", "bounded", "learnt", "mixed",
    "read",
]  # fmt: skip

LANE, OFFSET = "@lane", "@offset"  # what the broker says of a message; no member can be called so
PLACE_KEY = (LANE, OFFSET, TIME)  # the key of messages that have none of their own
SKIPS = ("where", "tombstone", "deleted", "nothing")  # why messages become no rows
MOST_COLUMNS = 500  # members of objects whose names are data are no columns
NOTHING_THERE = {type(None), Absent}
SCALARS = {int, Number}
DOCUMENTS = {dict, list}
ODD = {Number, *DOCUMENTS}  # what may hold a number beyond all bounds


class Table(Struct, frozen=True):
    """Messages that were read: `rows` of them, column by column.

    `cells` by column, each as long as `messages`, which are those that become rows; ABSENT where a message says nothing of it.
    `reasons`: why a message cannot be read, by its row. `skipped` messages become no rows, by reason. `snapshot`: rows that
    were there before the changes began. `types`: what the values of a column are. `members`: what the objects at the root hold.
    """

    messages: Sequence[Message]
    cells: Mapping[str, list[Any]]
    reasons: Mapping[int, str] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    snapshot: frozenset[int] = frozenset()
    types: Mapping[str, frozenset[type]] = field(default_factory=dict)
    members: frozenset[str] = frozenset()

    @property
    def rows(self) -> int:
        """How many messages become rows."""
        return len(self.messages)


def read(messages: Sequence[Message], layout: Layout) -> Table:
    """Read messages by a layout. None of them is lost: each is a row, maybe one that cannot be read, or is skipped and counted."""
    parts = (layout.early, layout.late)
    if (quick := read_at_once(messages, layout, parts)) is not None:
        return quick
    kept: list[Message] = []
    wholes: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    reasons: dict[int, str] = {}
    skipped: Counter[str] = Counter()
    snapshot: set[int] = set()
    for message in messages:
        try:
            fate, whole, record = parsed(message, layout, parts)
        except Undecodable as error:
            fate, whole, record = "row", {}, {}
            reasons[len(kept)] = f"the message: {error}"
        if fate == "snapshot":
            snapshot.add(len(kept))
        elif fate != "row":
            skipped[fate] += 1
            continue
        kept.append(message)
        wholes.append(whole)
        records.append(record)
    return table_of(kept, wholes, records, layout, reasons, dict(skipped), frozenset(snapshot))


def read_at_once(messages: Sequence[Message], layout: Layout, parts: tuple[Conditions, Conditions]) -> Table | None:
    """The same of JSON that is all as it should be; None where it may not be, or has to be looked at message by message."""
    early, late = parts
    bodies = [message.value for message in messages]
    if layout.format != "json" or early or None in bodies:
        return None
    wholes = objects_of(cast("list[bytes]", bodies))
    if wholes is None:
        return None
    records = [walk(whole, layout.root) for whole in wholes] if layout.root else wholes
    if set(map(type, records)) != {dict}:
        return None
    if not late:
        return table_of(messages, wholes, records, layout, {}, {})
    every = [*zip(messages, wholes, records, strict=True)]
    chosen = [each for each in every if meant(late, *each)]
    kept = [message for message, _, _ in chosen]
    skipped = {"where": len(every) - len(chosen)} if len(chosen) < len(every) else {}
    wholes, records = [whole for _, whole, _ in chosen], [record for _, _, record in chosen]
    return table_of(kept, wholes, records, layout, {}, skipped)


def table_of(
    messages: Sequence[Message],
    wholes: list[dict[str, Any]],
    records: list[dict[str, Any]],
    layout: Layout,
    reasons: dict[int, str],
    skipped: Mapping[str, int],
    snapshot: frozenset[int] = frozenset(),
) -> Table:
    """The table of messages whose bodies are parsed."""
    cells = columns_of(messages, wholes, records, layout, reasons)
    types = {name: frozenset(map(type, values)) for name, values in cells.items()}
    members = frozenset(name for record in records for name in record) if layout.members == "all" else frozenset()
    return Table(messages, cells, reasons, skipped, snapshot, types, members)


def parsed(
    message: Message, layout: Layout, parts: tuple[Conditions, Conditions]
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """What becomes of a message (a row, one of a snapshot, or why it is skipped), its body, and the object at the root of it.

    `parts`: the layout's conditions before and after the body is parsed. Undecodable where it cannot be read.
    """
    early, late = parts
    if early and not meant(early, message, {}, {}):
        return "where", {}, {}
    if message.value is None:
        return skipped_or_refused("tombstone", layout, "it has no body")
    whole = object_of(message.value)
    fate, record = ("row", whole) if layout.format == "json" else change_of(whole)
    if fate == "deleted":
        return skipped_or_refused("deleted", layout, "it says that the row was deleted")
    if fate == "nothing":
        return "nothing", {}, {}
    if layout.root:
        record = walk(record, layout.root)
        if not isinstance(record, dict):
            raise Undecodable(f"it has no object at {'.'.join(layout.root)}")
    if late and not meant(late, message, whole, record):
        return "where", {}, {}
    return fate, whole, record


def skipped_or_refused(fate: str, layout: Layout, reason: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """What becomes of a message without a row, by `on_tombstone`."""
    if layout.on_tombstone == "dead_letter":
        raise Undecodable(reason)
    return fate, {}, {}


def meant(where: Conditions, message: Message, whole: Any, record: Any) -> bool:
    """Whether a message's values are among the configured ones."""
    return all(word_at(field, message, whole, record) in words for field, words in where)


def columns_of(
    messages: Sequence[Message],
    wholes: list[dict[str, Any]],
    records: list[dict[str, Any]],
    layout: Layout,
    reasons: dict[int, str],
) -> dict[str, list[Any]]:
    """The cells of every column."""
    cells: dict[str, list[Any]] = {}
    if layout.members == "all":
        shapes = {tuple(record) for record in records}
        names = dict.fromkeys(name for shape in sorted(shapes) for name in shape if re.fullmatch(NAME_PATTERN, name))
        for name in [*names][:MOST_COLUMNS]:
            cells[name] = [record.get(name, ABSENT) for record in records]
    for each in layout.fields:
        if each.root == "root" and len(each.path) == 1 and not each.unit:
            (name,) = each.path
            cells[each.column] = [record.get(name, ABSENT) for record in records]
            continue
        found: list[Any] = []
        for row, message in enumerate(messages):
            try:
                found.append(value_at(each, message, wholes[row], records[row]))
            except Undecodable as error:
                reasons.setdefault(row, f"the message: {error}, at {each.column}")
                found.append(ABSENT)
        cells[each.column] = found
    for name, values in cells.items():
        if set(map(type, values)) & ODD:
            cells[name] = bounded(name, values, reasons)
    return cells


def bounded(name: str, values: list[Any], reasons: dict[int, str]) -> list[Any]:
    """The cells without numbers beyond all bounds, whose messages cannot be read."""
    if DOCUMENTS.isdisjoint(map(type, values)) and all_plain(values):
        return values
    odd = [
        row
        for row, value in enumerate(values)
        if (type(value) is not Number or "e" in value or "E" in value or len(value) > LONGEST) and unbounded(value)
    ]
    if not odd:
        return values
    for row in odd:
        reasons.setdefault(row, f"the message: {name} is a number beyond all bounds")
    return [ABSENT if row in odd else value for row, value in enumerate(values)]


def all_plain(values: list[Any]) -> bool:
    """Whether the numbers among some cells have no exponent, and few digits: a quick look at them together."""
    whole = [value for value in values if type(value) is int]
    if unbounded(max(whole, default=0)) or unbounded(min(whole, default=0)):
        return False
    written = [value for value in values if type(value) is Number]
    together = "".join(written)
    return "e" not in together and "E" not in together and max(map(len, written), default=0) <= LONGEST


def family_of(types: frozenset[type]) -> Family | None:
    """The family of a column that holds values of these types; None for no value at all."""
    held = types - NOTHING_THERE
    if not held:
        return None
    if held <= SCALARS:
        return "decimal"
    if held == {bool}:
        return "boolean"
    return "json" if held <= DOCUMENTS else "text"


def mixed(table: Table, known: Mapping[str, Family]) -> frozenset[str]:
    """The columns that become text with these messages, because they hold, or held before, something else beside text."""
    now = {name: types - NOTHING_THERE for name, types in table.types.items() if known.get(name) != "text"}
    texts = {name for name, family in learnt(table, known).items() if family == "text"}
    return frozenset(name for name, types in now.items() if name in texts and (name in known or types != {str}))


def learnt(table: Table, known: Mapping[str, Family]) -> dict[str, Family]:
    """The known columns and those that the messages bring. A column of which two families were seen is text, and stays so."""
    found: dict[str, Family] = dict(known)
    for name, types in table.types.items():
        family = family_of(types)
        if family is not None:
            before = found.get(name)
            found[name] = family if before in (None, family) else "text"
    return found
