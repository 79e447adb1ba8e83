"""How the members of a cluster stand: who is there, who works with which group of views, and what this one makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.observe.finding import by_cause

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smartico_sync.observe.finding import Finding
    from smartico_sync.observe.health import Health
    from smartico_sync.state.group import LaneHolder

__all__ = ["ClusterStatus", "GroupStatus", "MemberStatus", "lane_lines", "with_cluster"]

ANSWERS = "give all members the same `views:`, `sources:` and `pii:`; until then the others work with it"


class GroupStatus(Struct, frozen=True):
    """A group of views. `role`: whether this member works with it; `member`: who does, or did last; `since` is a time of the state's clock.

    `lanes`: of topics that members read together, what each of them reads; None for what one member works with.
    """

    name: str
    views: tuple[str, ...]
    role: Literal["works", "stands by"]
    held: Literal["yes", "no"]
    member: str
    since: str
    left_s: float
    lanes: tuple[LaneHolder, ...] | None = None


class MemberStatus(Struct, frozen=True):
    """A member that is there, and the groups it works with."""

    name: str
    groups: tuple[str, ...]


class ClusterStatus(Struct, frozen=True):
    """What this member knows. `sees`: whether it saw the state within the time of a lease; `findings`: what is not as it should be."""

    member: str
    sees: Literal["yes", "no"]
    groups: tuple[GroupStatus, ...]
    members: tuple[MemberStatus, ...]
    findings: tuple[Finding, ...] = ()


def lane_lines(lanes: Iterable[tuple[str, str, str]]) -> list[str]:
    """A line for each view whose topics members share: who reads which partitions. `lanes`: view, lane, and the member, empty for nobody."""
    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    for view, lane, member in lanes:
        topic, _, number = lane.rpartition("/")
        found.setdefault(view, {}).setdefault(member or "nobody", {}).setdefault(topic, []).append(number)
    return [
        f"{view}: "
        + "; ".join(
            f"{member} reads "
            + ", ".join(f"{topic}/{','.join(sorted(numbers, key=int))}" for topic, numbers in topics.items())
            for member, topics in readers.items()
        )
        for view, readers in found.items()
    ]


def with_cluster(health: Health, cluster: ClusterStatus) -> Health:
    """Health of a member: it is ready when it delivers what it holds, or stands by and sees the state."""
    each = (*cluster.findings, *health.each)
    told = replace(health, findings=tuple(by_cause(each)), each=each)
    if cluster.sees == "no":
        return replace(told, ready="not delivering")
    if any(group.role == "works" for group in cluster.groups):
        return told
    free = [group.name for group in cluster.groups if group.held == "no"]
    if free or not cluster.groups:
        return replace(told, alive="alive", ready="starting")
    return replace(told, alive="alive", ready="standing by")
