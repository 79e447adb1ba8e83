"""The anchor: whether the rows delivered last still exist, or the source went back in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["ANCHORS", "Facts", "Highest", "Standing", "judge"]

ANCHORS = 16  # a handful tells an erased row from a restored database, and costs one query
FEW = 3  # fewer anchors than this prove nothing when they are gone

Highest = Literal[
    "none",  # the relation is empty
    "below watermark",
    "below head",  # but not below the watermark
    "at head or above",
]

CAUSE = {
    True: "the source was restored, failed over to a stale replica, or its ids were reset",
    False: "the source was restored and has moved on since, or its rows were replaced",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What one reading saw.

    `asked`: how many of the rows delivered last (at most ANCHORS, spread over the last pages) were asked for, by cursor and
    key, or by key alone where rows move up when they are updated; `found` of them exist. `highest`: the source's highest
    cursor, as the database compared it.
    """

    asked: int
    found: int
    highest: Highest


@dataclass(frozen=True, slots=True)
class Standing:
    """`steady`: go on. `suspicious`: go on, say so, look again soon. `regressed`: stop, send nothing.

    `reason` says what was seen and `hint` which commands come next; both empty when steady.
    """

    state: Literal["steady", "suspicious", "regressed"]
    reason: str = ""
    hint: str = ""


def judge(view: str, facts: Facts) -> Standing:
    """Judge a view by its anchors. A row erased on its own is no regression; all gone, or most gone with nothing newer, is."""
    gone = facts.asked - facts.found
    below = facts.highest in ("none", "below watermark")
    most = gone * 2 > facts.asked
    seen = f"{gone} of the {facts.asked} rows delivered last are gone, and {highest(facts)}"
    if gone <= 1 and (facts.asked >= FEW or not gone):
        return Standing("steady")
    if facts.asked >= FEW and (not facts.found or (most and below)):
        cause = "it was emptied, truncated or its ids were reset" if facts.highest == "none" else CAUSE[below]
        return Standing("regressed", f"{seen}: {cause}", restart(view, "first" if facts.highest == "none" else "…"))
    if most or facts.highest != "at head or above":
        return Standing("suspicious", f"{seen}: rows were deleted, or the source went back a little", reconcile(view))
    return Standing("steady")


def highest(facts: Facts) -> str:
    """Say where the source ends."""
    return {
        "none": "the relation is empty",
        "below watermark": "its highest cursor lies below the watermark",
        "below head": "its highest cursor lies below the last row delivered",
        "at head or above": "others took their place",
    }[facts.highest]


def reconcile(view: str) -> str:
    """Return the command that compares."""
    return f"sync reconcile --view {view}"


def restart(view: str, to: str) -> str:
    """Return the commands that go on from here, for a person to choose from."""
    return (
        f"look with: sync watermark show {view}; go on with: sync watermark rewind {view} --to {to}; "
        f"then: {reconcile(view)}"
    )
