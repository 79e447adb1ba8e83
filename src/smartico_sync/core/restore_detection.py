"""The anchor: whether the rows delivered last still exist, or the source went back in time."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["ANCHORS", "Facts", "Highest", "Standing", "judge", "reconcile", "still_gone"]

ANCHORS = (
    48  # first, middle and last row of 16 pages: they tell an erased row from a restored database, and cost one query
)
FEW = 3  # fewer anchors than this prove nothing when they are gone
PART = 6  # of two pages: so many newest rows gone, all older ones there and newer ones too, is a restore that lost the last part

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


class Facts(Struct, frozen=True):
    """What one reading saw.

    `asked`: how many of the rows delivered last (at most ANCHORS, spread over the last pages) were asked for, by cursor and
    key, or by key alone where rows move up when they are updated; `found` of them exist. `highest`: the source's highest
    cursor, as the database compared it. `newest`: how many of those delivered last of all are gone, one after another.
    """

    asked: int
    found: int
    highest: Highest
    newest: int = 0


class Standing(Struct, frozen=True):
    """`steady`: go on. `suspicious`: go on, say so, look again soon. `regressed`: stop, send nothing.

    `reason` says what was seen and `hint` which commands come next; both empty when steady.
    """

    state: Literal["steady", "suspicious", "regressed"]
    reason: str = ""
    hint: str = ""


def judge(view: str, facts: Facts) -> Standing:
    """Judge a view by its anchors.

    A row erased on its own is no regression. All gone is one, so is most gone with nothing newer, and the last part gone with
    others in its place.
    """
    gone = facts.asked - facts.found
    below = facts.highest in ("none", "below watermark")
    most = gone * 2 > facts.asked
    seen = f"{gone} of the {facts.asked} rows delivered last are gone, and {highest(facts)}"
    if gone <= 1 and (facts.asked >= FEW or not gone):
        return Standing("steady")
    if facts.asked >= FEW and (not facts.found or (most and below)):
        cause = "it was emptied, truncated or its ids were reset" if facts.highest == "none" else CAUSE[below]
        return Standing("regressed", f"{seen}: {cause}", restart(view, "first" if facts.highest == "none" else "…"))
    if facts.newest == gone and facts.highest == "at head or above":
        part = f"the newest {gone} of the {facts.asked} rows delivered last are gone, all older ones are there, and others came since"
        if gone >= PART:
            return Standing("regressed", f"{part}: the source was restored and lost them", restart(view, "…"))
        return Standing(
            "suspicious", f"{part}: they were deleted, or the source was restored and lost them", reconcile(view)
        )
    if most or facts.highest != "at head or above":
        return Standing("suspicious", f"{seen}: rows were deleted, or the source went back a little", reconcile(view))
    return Standing("steady")


def still_gone(view: str, gone: int) -> Standing:
    """Judge a view that stopped, and whose source holds newer rows by now: what it lost is not back."""
    reason = (
        f"{gone} rows delivered last are still gone, though others came since: the source was restored and has moved on"
    )
    return Standing("regressed", reason, restart(view, "…"))


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
    return f"smartico-sync reconcile --view {view}"


def restart(view: str, to: str) -> str:
    """Return the commands that go on from here, for a person to choose from."""
    return (
        f"look with: smartico-sync watermark show {view}; go on with: smartico-sync watermark rewind {view} --to {to}; "
        f"then: {reconcile(view)}"
    )
