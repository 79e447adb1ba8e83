"""What a member of a cluster works with."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["First", "Group", "LaneHolder"]

First = Literal[
    "may begin",  # where there is no state yet, this is its very first start
    "was there",  # this process has seen it: one that is gone now was lost, and is not begun anew
]


class LaneHolder(Struct, frozen=True):
    """A lane of a view that members share, and the member that reads it; empty while nobody does."""

    view: str
    lane: str
    member: str


class Group(Struct, frozen=True):
    """Views that one member works with. `digest`: a hash of their configuration, which members of one group share.

    `shares`: the group whose topics this member reads together with others; empty for what one member works with alone.
    `budget`: whether others use its token at the same time.
    """

    name: str
    views: tuple[str, ...]
    digest: str
    shares: str = ""
    budget: Literal["own", "shared"] = "own"
