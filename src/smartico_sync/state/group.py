"""What a member of a cluster works with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["First", "Group"]

First = Literal[
    "may begin",  # where there is no state yet, this is its very first start
    "was there",  # this process has seen it: one that is gone now was lost, and is not begun anew
]


@dataclass(frozen=True, slots=True)
class Group:
    """Views that one member works with. `digest`: a hash of their configuration, which members of one group share."""

    name: str
    views: tuple[str, ...]
    digest: str
