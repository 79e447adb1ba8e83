"""What a view reads of its messages: where each column's value is, and which messages are meant."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from smartico_sync.catalogue.events import EARLIEST_MS
from smartico_sync.core.messages.debezium import moment
from smartico_sync.core.messages.exact import ABSENT, Number, Undecodable, as_text, decode

if TYPE_CHECKING:
    from smartico_sync.core.messages.message import Message

__all__ = ["Conditions", "Field", "Format", "Layout", "Tombstones", "field_of", "value_at", "word_at"]

Format = Literal["json", "debezium"]
Tombstones = Literal["skip", "dead_letter"]
Root = Literal["root", "value", "key", "headers", "properties", "message"]
ROOTS: dict[str, Root] = {
    "value": "value", "key": "key", "headers": "headers", "properties": "properties", "message": "message",
}  # fmt: skip
BEFORE_PARSING = frozenset({"headers", "properties", "message", "key"})
SECONDS_DIGITS = 18  # of a number that may be a time at all


class Field(Struct, frozen=True):
    """Where one column's value is. `unit`: of a time that is a number; empty for a value that is taken as it is."""

    column: str
    root: Root
    path: tuple[str, ...]
    unit: str = ""


Conditions = tuple[tuple[Field, tuple[str | None, ...]], ...]  # a field, and the texts that its value may be


class Layout(Struct, frozen=True):
    """How a view's messages are read.

    `fields` are the columns where the configuration lists them, else every member of the object at `root` is one, and `named`
    are further ones that it names elsewhere by a path. `where`: a message is meant whose values are among these texts (None: null,
    or not there). `members`: whether every member is a column.
    """

    format: Format = "json"
    root: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    where: Conditions = ()
    members: Literal["all", "listed"] = "all"
    on_tombstone: Tombstones = "skip"

    @property
    def needs(self) -> frozenset[str]:
        """What is read beside the body: `headers`, `properties`."""
        roots = {field.root for field in (*self.fields, *(field for field, _ in self.where))}
        return frozenset(roots & {"headers", "properties"})

    @property
    def early(self) -> Conditions:
        """What can be told before a body is parsed."""
        return tuple(each for each in self.where if each[0].root in BEFORE_PARSING)

    @property
    def late(self) -> Conditions:
        """What the body tells."""
        return tuple(each for each in self.where if each[0].root not in BEFORE_PARSING)


def field_of(column: str, path: str, unit: str = "") -> Field:
    """A column at a path as written: from the root on, or beginning with the name of something else."""
    first, *rest = path.split(".")
    if first in ROOTS and (rest or first in ("key", "value")):
        return Field(column, ROOTS[first], tuple(rest), unit)
    return Field(column, "root", (first, *rest), unit)


def walk(value: Any, path: tuple[str, ...]) -> Any:
    """What is at a path; ABSENT where it leads nowhere. A number is an item of a list; the last names may be one with dots in it."""
    for place, name in enumerate(path):
        if isinstance(value, dict):
            if name not in value:
                return value.get(".".join(path[place:]), ABSENT)
            value = value[name]
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return ABSENT
    return value


def value_at(field: Field, message: Message, whole: Any, record: Any) -> Any:
    """The value of a field: `whole` is the parsed body, `record` the object at its root.

    Undecodable for a time that is none, and for bytes that are no text: two players must not become one that nobody can read.
    """
    found = found_at(field, message, whole, record)
    if isinstance(found, bytes):
        try:
            found = found.decode()
        except UnicodeDecodeError:
            raise Undecodable("it holds bytes that are no text in UTF-8") from None
    return timed(found, field.unit) if field.unit and found not in (None, ABSENT) else found


def word_at(field: Field, message: Message, whole: Any, record: Any) -> str | None:
    """The text by which a condition chooses; bytes that are no text are none of the words. Undecodable for a time that is none."""
    found = found_at(field, message, whole, record)
    if isinstance(found, bytes):
        found = found.decode("utf-8", "replace")
    return as_text(timed(found, field.unit) if field.unit and found not in (None, ABSENT) else found)


def found_at(field: Field, message: Message, whole: Any, record: Any) -> Any:
    """What is at a field's path, as it is; ABSENT where it leads nowhere."""
    match field.root:
        case "root":
            return walk(record, field.path)
        case "value":
            return walk(whole, field.path)
        case "headers":
            return plain(message.headers.get(".".join(field.path), ABSENT))
        case "properties":
            return message.properties.get(".".join(field.path), ABSENT)
        case "key":
            return of_key(message.key, field.path)
        case "message":
            return of_message(message, field.path)


def plain(value: Any) -> Any:
    """A header's value as JSON would hold it: AMQP has times and decimals of its own."""
    if isinstance(value, datetime):
        return value.isoformat()
    return Number(value) if isinstance(value, Decimal) else value


def of_key(key: bytes | None, path: tuple[str, ...]) -> Any:
    """A message's key, or a member of it where it is JSON."""
    if key is None:
        return None
    return walk(decode(key), path) if path else key


def of_message(message: Message, path: tuple[str, ...]) -> Any:
    """What the broker says of a message."""
    topic, _, partition = message.lane.rpartition("/")
    facts = {
        "timestamp": moment(message.time_ms, "epoch_ms") + "Z" if message.time_ms >= EARLIEST_MS else None, "offset": message.offset, "topic": topic or partition,
        "partition": partition if topic else None, "key": message.key,
    }  # fmt: skip
    return facts.get(path[0], ABSENT) if path else ABSENT


def timed(value: Any, unit: str) -> Any:
    """A number since 1970 as a time in text, UTC."""
    text = as_text(value) or ""
    whole = text.partition(".")[0] if isinstance(value, Number) else text
    if not whole.lstrip("-").isdecimal() or len(whole) > SECONDS_DIGITS + 2:
        raise Undecodable("it holds a time that is no number")
    made = moment(int(whole), unit)
    return made if unit == "days" else f"{made}Z"
