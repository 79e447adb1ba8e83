"""Which deliveries may be acknowledged. Pure: tags in, acknowledgements out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

__all__ = ["Ack", "acks"]


class Ack(Struct, frozen=True):
    """One acknowledgement: of this delivery, or `through`: of all that are open up to it."""

    tag: int
    how: Literal["one", "through"]


def acks(first: int, last: int, held: AbstractSet[int], *, earlier: Literal["none held", "some held"]) -> Iterator[Ack]:
    """Acknowledge the deliveries `first` to `last` but those that are `held`.

    In one go up to the first that is held; behind it one by one, so that what waits does not use up the prefetch. `earlier`:
    whether deliveries before them are held.
    """
    at = first
    if earlier == "none held":
        stop = min(held, default=last + 1)
        if stop > first:
            yield Ack(stop - 1, "through")
        at = stop
    for tag in range(at, last + 1):
        if tag not in held:
            yield Ack(tag, "one")
