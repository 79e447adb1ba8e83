"""What a view was when it was first tracked: what decides its event ids, and what its watermark means."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, Self

from msgspec import Struct
from msgspec.structs import asdict

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ACCEPT", "Change", "Definition", "Weight", "changes", "stopping"]

Weight = Literal[
    "stops",  # watermark or event ids mean nothing any more
    "to verify",  # fine if the rows delivered last are still there
]
OTHER_VIEW = "give what comes from now on to a view of another name and identity, with `start_from: now`"
ACCEPT = "to send what comes from now on in the new way: smartico-sync watermark accept {view}"
PLACE = "place it anew, under the new cursor: smartico-sync watermark rewind {view} --to …"
LOOK = "where it is meant, place it anew in what it reads now: smartico-sync watermark rewind {view} --to …"


class Definition(Struct, frozen=True):
    """A view's definition as the state keeps it.

    `place`: a hash of engine, host and database of its source. `relation` is empty for a query, `query` (a hash of it) for a
    relation. `family`: of the cursor's type. `brand`: the constant one, empty when a column says it. `event_types` are sorted.
    `identity`: the columns that make the row that row, see `core.mapping.identity_columns`. `content`: where there is no key,
    those whose values together are the row; else empty. `columns`: those that are sent, as `name: type`, and `unmapped` the names
    of all others; both are empty where the database does not know a view's columns.
    """

    kind: str
    place: str
    relation: str
    query: str
    brand: str
    event_types: tuple[str, ...]
    cursor: str
    family: str
    key: tuple[str, ...]
    identity: tuple[str, ...]
    content: tuple[str, ...]
    columns: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()

    def text(self) -> str:
        """Write it as JSON; equal definitions, equal texts."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def of(cls, text: str) -> Self:
        """Read it back. ValueError for what is no definition."""
        try:
            fields: dict[str, Any] = json.loads(text)
            listed: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
            }
            return cls(**listed)
        except (TypeError, AttributeError) as error:
            raise ValueError(str(error)) from None


class Change(Struct, frozen=True):
    """What differs between a view as it was tracked and as it is now.

    `option` is what an operator would set, `consequence` what follows, `way_out` the next step where it is meant, with
    `{view}` for the view's name.
    """

    name: str
    before: str
    now: str
    weight: Weight
    option: str
    consequence: str
    way_out: str


def changes(before: Definition, now: Definition) -> tuple[Change, ...]:
    """What changed, the gravest first; nothing for the columns that rows are known by: those of the state are used on."""
    found = []
    for name, weight, option, consequence, way_out in JUDGED:
        old, new = told(getattr(before, name)), told(getattr(now, name))
        if old != new:
            shown = (old, new) if name not in HASHED else (hidden(old, "another one"), hidden(new, "this one"))
            found.append(Change(name, *shown, weight, option, consequence, way_out))
    return tuple(found)


HASHED = ("place", "query")
JUDGED: tuple[tuple[str, Weight, str, str, str], ...] = (
    ("cursor", "stops", "`cursor:`", "its watermark means nothing", PLACE),
    ("family", "stops", "the type of the cursor", "its watermark means nothing", PLACE),
    ("key", "stops", "`key:`", "its watermark and event ids mean nothing, and rows would count twice", OTHER_VIEW),
    ("kind", "stops", "`kind:`", "its event ids mean nothing, and rows would count twice", OTHER_VIEW),
    ("brand", "stops", "`brand:`", "rows that are sent again would count twice, for another brand", ACCEPT),
    ("event_types", "stops", "`event_type:`", "rows that are sent again would count twice, as other events", ACCEPT),
    ("place", "to verify", "the host and database of the source's `url:`", "these are other rows", LOOK),
    ("relation", "to verify", "`relation:`", "these are other rows", LOOK),
    ("query", "to verify", "`query:`", "these are other rows", LOOK),
)


def stopping(found: Sequence[Change], place: Literal["kept", "anew"] = "kept") -> tuple[Change, ...]:
    """The changes that stop a view. One that is placed `anew` has no watermark that could mean nothing."""
    return tuple(each for each in found if each.weight == "stops" and not (place == "anew" and each.way_out == PLACE))


def hidden(value: str, word: str) -> str:
    """A word in place of a hash."""
    return value if value == "none" else word


def told(value: str | tuple[str, ...]) -> str:
    """A value in a line."""
    return (value if isinstance(value, str) else ",".join(value)) or "none"
