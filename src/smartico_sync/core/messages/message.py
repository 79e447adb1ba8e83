"""One message as a broker hands it over, its place, and many of them column by column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress, repeat
from typing import TYPE_CHECKING, Any, NamedTuple, overload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "LATEST_MS",
    "NOTHING",
    "NO_MESSAGES",
    "PAGE_BYTES",
    "Message",
    "Messages",
    "fitting",
    "place_of",
    "split_place",
]

NOTHING: Mapping[str, object] = {}
PAGE_BYTES = 8_000_000  # of bodies that are worked with at once: a page of narrow messages has less, two of these may be in flight
LATEST_MS = 253_402_300_799_999  # the end of the year 9999: producers that count in other units write times beyond all calendars


class Message(NamedTuple):
    """One message. Those of one `lane` (`topic/partition`, or a queue) are in order, and `offset` grows there.

    `time_ms`: when it was written, epoch ms up to LATEST_MS, 0 where the broker does not say. `value` None is a tombstone. `headers` are the
    producer's; `properties` those of AMQP. Both are filled only where the view reads them.
    """

    lane: str
    offset: int
    time_ms: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, object] = NOTHING
    properties: Mapping[str, object] = NOTHING


@dataclass(frozen=True, slots=True)
class Messages(Sequence[Message]):
    """Messages column by column: an object for each costs as much as reading it. One is made of those that are looked at.

    All columns are as long as `lanes`, but `headers` and `properties`, which are empty where none of the messages has any.
    """

    lanes: Sequence[str] = ()
    offsets: Sequence[int] = ()
    times_ms: Sequence[int] = ()
    keys: Sequence[bytes | None] = ()
    values: Sequence[bytes | None] = ()
    headers: Sequence[Mapping[str, object]] = ()
    properties: Sequence[Mapping[str, object]] = ()

    @classmethod
    def of(cls, messages: Iterable[Message]) -> Messages:
        """The same messages; those that are in columns already as they are."""
        return messages if isinstance(messages, cls) else cls(*map(list, zip(*messages, strict=True)))

    def __len__(self) -> int:
        return len(self.lanes)

    def __iter__(self) -> Iterator[Message]:
        told = (self.headers or repeat(NOTHING), self.properties or repeat(NOTHING))
        return map(Message, self.lanes, self.offsets, self.times_ms, self.keys, self.values, *told)

    @overload
    def __getitem__(self, place: int) -> Message: ...

    @overload
    def __getitem__(self, place: slice) -> Messages: ...

    def __getitem__(self, place: int | slice) -> Message | Messages:
        if isinstance(place, slice):
            return Messages(*(column[place] for column in self._columns))
        told = (column[place] if column else NOTHING for column in (self.headers, self.properties))
        return Message(*(column[place] for column in self._columns[:5]), *told)

    def __add__(self, others: Messages) -> Messages:
        if not self or not others:
            return self or others
        told = [
            [*(mine or [NOTHING] * len(self)), *(theirs or [NOTHING] * len(others))] if mine or theirs else ()
            for mine, theirs in zip(self._columns[5:], others._columns[5:], strict=True)
        ]
        columns = zip(self._columns[:5], others._columns[:5], strict=True)
        return Messages(*([*mine, *theirs] for mine, theirs in columns), *told)

    def chosen(self, which: Sequence[object]) -> Messages:
        """Those whose place holds something true."""
        return self if all(which) else Messages(*(list(compress(column, which)) for column in self._columns))

    @property
    def last(self) -> dict[str, int]:
        """The offset of the last message of each lane, in the order in which they first came."""
        return dict(zip(self.lanes, self.offsets, strict=True))

    @property
    def size(self) -> int:
        """Bytes of all bodies."""
        return sum(map(len, filter(None, self.values)))

    def fitting(self, most: int) -> int:
        """How many of them, from the first and at most so many, make a page; see `fitting`."""
        if self.size <= PAGE_BYTES:
            return min(most, len(self))
        return fitting((len(value or b"") for value in self.values), most)

    @property
    def _columns(self) -> tuple[Sequence[Any], ...]:
        return (self.lanes, self.offsets, self.times_ms, self.keys, self.values, self.headers, self.properties)


NO_MESSAGES = Messages()


def fitting(sizes: Iterable[int], most: int) -> int:
    """How many bodies of these sizes, from the first and at most so many, are worked with at once: one in any case."""
    fits, total = 0, 0
    for size in sizes:
        total += size
        if fits == most or (fits and total > PAGE_BYTES):
            break
        fits += 1
    return fits


def place_of(message: Message) -> str:
    """Where a message is, as text; a dead letter and a parked row are known by it."""
    return f"{message.lane}@{message.offset}"


def split_place(place: str) -> tuple[str, int]:
    """Lane and offset of a place. ValueError for what is none."""
    lane, _, offset = place.rpartition("@")
    return lane, int(offset)
