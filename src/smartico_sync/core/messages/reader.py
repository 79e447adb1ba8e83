"""A page of messages is read at once, by decoders that know the members that messages of the view have.

A value becomes a Python object where it is a column, and nowhere else: no dictionary for each message, and what stands around
the row is only looked through. What these decoders do not know, or cannot read, is left to `rows.read`.
"""

from __future__ import annotations

import re
from itertools import count
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from smartico_sync.catalogue.properties import NAME_PATTERN
from smartico_sync.core.messages.exact import ABSENT, Absent, Number, Undecodable, as_text
from smartico_sync.core.messages.layout import timed, value_at, walk, word_at
from smartico_sync.core.messages.rows import MOST_COLUMNS, ODD, Table, bounded, read

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from smartico_sync.core.messages.layout import Conditions, Field, Layout
    from smartico_sync.core.messages.message import Messages

__all__ = ["Reader"]

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError)
UNSAID = (Any, ABSENT)  # of a member that may be there or not
OF_THE_BODY = frozenset({"root", "value"})
Found = dict[tuple[str, str], list[Any]]  # by root (of a record, or of the whole body) and member


class Odd(Exception):
    """Messages have to be looked at one by one."""


class Shape(Struct, frozen=True):
    """A decoder of bodies, and where in what it makes each member is."""

    decode: Callable[[bytes], Any]
    record: Callable[[Any], Any] | None  # the object at the root of what was decoded, where that is another
    places: Mapping[tuple[str, str], Callable[[Any], Any]]

    def members(self, bodies: Sequence[bytes]) -> Found:
        """The members of bodies, ABSENT where one is not there. Raises one of UNREADABLE where any of them is not of this shape."""
        wholes = [*map(self.decode, bodies)]
        records = wholes if self.record is None else [*map(self.record, wholes)]
        return {
            (root, name): [*map(get, records if root == "root" else wholes)]
            for (root, name), get in self.places.items()
        }


def shape_of(
    root: tuple[str, ...], record: Collection[str], whole: Collection[str], others: Literal["passed over", "refused"]
) -> Shape:
    """A decoder of bodies that have an object at `root`; `others`: what becomes of members of it that are not in `record`.

    ValueError where a member of the `whole` is on the way to that object.
    """
    if root and root[0] in whole:
        raise ValueError(root[0])
    numbers = count()
    names = {f"m{next(numbers)}": name for name in dict.fromkeys((*record, *(() if root else whole)))}
    made = struct(dict.fromkeys(names.values(), UNSAID), names, others)
    outer = {f"m{next(numbers)}": name for name in whole} if root else {}
    for depth, step in reversed([*enumerate(root)]):
        beside = outer if depth == 0 else {}
        members = {step: (made, msgspec.NODEFAULT)} | dict.fromkeys(beside.values(), UNSAID)
        made = struct(members, {"inner": step, **beside}, "passed over")
    places = {("root", name): attrgetter(attribute) for attribute, name in names.items()}
    places |= {("value", name): attrgetter(attribute) for attribute, name in (outer or ({} if root else names)).items()}
    to_record = attrgetter(".".join(["inner"] * len(root))) if root else None
    return Shape(msgspec.json.Decoder(made, float_hook=Number).decode, to_record, places)


def struct(
    members: Mapping[str, tuple[Any, Any]], names: Mapping[str, str], others: Literal["passed over", "refused"]
) -> type[msgspec.Struct]:
    """A type whose attributes are called as in `names`, and hold these members (type, default)."""
    fields = [
        (attribute, kind) if default is msgspec.NODEFAULT else (attribute, kind, default)
        for attribute, name in names.items()
        for kind, default in [members[name]]
    ]
    return msgspec.defstruct(
        "Shape", fields, rename=dict(names), gc=False, kw_only=True, forbid_unknown_fields=others == "refused"
    )  # fmt: skip


class Reader:
    """Reads what `rows.read` reads of the same messages, in a third of the time. It learns what members there are: one thread's."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._members: dict[str, None] = {}
        self._shape: Shape | None = None
        self._chooser: Shape | None = None
        self._quick: Literal["yes", "no"] = "yes" if layout.format == "json" else "no"
        self._learn(())

    def read(self, messages: Messages) -> Table:
        """A table of the messages, as `rows.read` makes it."""
        try:
            return self._at_once(messages)
        except (Odd, *UNREADABLE):
            table = read(messages, self._layout)
        self._learn(table.members)
        return table

    def _learn(self, members: Collection[str]) -> None:
        """There are such members: know them from now on."""
        layout = self._layout
        new = [name for name in members if name not in self._members]
        if self._quick == "no" or (self._shape is not None and not new):
            return
        self._members |= dict.fromkeys(new)
        every = layout.members == "all"
        if every and not self._members:
            return
        fields = [field for field in layout.fields if field.root in OF_THE_BODY]
        conditions = [field for field, _ in layout.late]
        try:
            self._shape = shape_of(
                layout.root,
                {**(self._members if every else {}), **dict.fromkeys(firsts(fields, "root"))},
                firsts(fields, "value"),
                "refused" if every else "passed over",
            )
            if conditions:
                self._chooser = shape_of(
                    layout.root, firsts(conditions, "root"), firsts(conditions, "value"), "passed over"
                )
        except ValueError:
            self._quick = "no"
        if len(self._members) > MOST_COLUMNS:
            self._quick = "no"

    def _at_once(self, messages: Messages) -> Table:
        """The table, or one of UNREADABLE, or Odd."""
        layout = self._layout
        if self._quick == "no" or self._shape is None:
            raise Odd
        skipped: dict[str, int] = {}
        if layout.early:
            messages = left(messages, chosen_early(layout.early, messages), "where", skipped)
        if None in messages.values:
            if layout.on_tombstone != "skip":
                raise Odd
            messages = left(messages, [value is not None for value in messages.values], "tombstone", skipped)
        # What is only looked through may be no UTF-8; here it is seen whether all of it is.
        together = b"\n".join(messages.values)  # type: ignore[arg-type]  # none of them is None
        if not together.isascii():
            together.decode()
        if self._chooser is not None:
            found = self._chooser.members(messages.values)  # type: ignore[arg-type]  # as above
            messages = left(messages, chosen_late(layout.late, found, messages), "where", skipped)
        cells, types = self._cells(messages)
        return Table(messages, cells, {}, skipped, types=types)

    def _cells(self, messages: Messages) -> tuple[dict[str, list[Any]], dict[str, frozenset[type]]]:
        """Every column, and what types its values are of."""
        layout, shape = self._layout, self._shape
        found = shape.members(messages.values)  # type: ignore[union-attr,arg-type]  # it is there, and no body is None
        cells, types = {}, {}
        if layout.members == "all":
            for root, name in found:
                if root == "root" and re.fullmatch(NAME_PATTERN, name):
                    cells[name] = found[root, name]
        for each in layout.fields:
            cells[each.column] = values_of(each, found, messages)
        for name, values in [*cells.items()]:
            types[name] = kinds = frozenset(map(type, values))
            if kinds & ODD:
                reasons: dict[int, str] = {}
                bounded(name, values, reasons)
                if reasons:
                    raise Odd
        if layout.members == "all":
            listed = {field.column for field in layout.fields}
            for name in [name for name, kinds in types.items() if kinds <= {Absent} and name not in listed]:
                del cells[name], types[name]
        return cells, types


def firsts(fields: Collection[Field], root: str) -> dict[str, None]:
    """The members from which these fields go on. ValueError where one of them is all of the object."""
    found = [field.path for field in fields if field.root == root]
    if () in found:
        raise ValueError(root)
    return dict.fromkeys(path[0] for path in found)


def left(messages: Messages, which: Sequence[bool], why: str, skipped: dict[str, int]) -> Messages:
    """The messages that are chosen; the others are counted."""
    gone = len(which) - sum(which)
    if gone:
        skipped[why] = skipped.get(why, 0) + gone
        messages = messages.chosen(which)
    return messages


def chosen_early(where: Conditions, messages: Messages) -> list[bool]:
    """Which messages are meant, by what their bodies do not tell. Odd where one of them cannot be read."""
    try:
        return [all(word_at(field, message, {}, {}) in words for field, words in where) for message in messages]
    except Undecodable:
        raise Odd from None


def chosen_late(where: Conditions, found: Found, messages: Messages) -> list[bool]:
    """Which messages are meant, by what their bodies tell."""
    which = [True] * len(messages)
    for field, words in where:
        values = values_of(field, found, messages)
        texts = values if set(map(type, values)) <= {str} else map(as_text, values)
        which = [before and text in words for before, text in zip(which, texts, strict=True)]
    return which


def values_of(field: Field, found: Found, messages: Messages) -> list[Any]:
    """The values of a field. Odd where one of them cannot be read."""
    try:
        if field.root not in OF_THE_BODY:
            return [value_at(field, message, {}, {}) for message in messages]
        first, *rest = field.path
        values = found[field.root, first]
        if rest:
            values = [walk(value, tuple(rest)) for value in values]
        if field.unit:
            values = [value if value is None or value is ABSENT else timed(value, field.unit) for value in values]
    except Undecodable:
        raise Odd from None
    return values
