"""Who is to hold which group of views: nobody decides, each member follows the same rules from what it sees.

A member takes what is free until it has its share, the one with the least first. It lets go what another was asked to hold, and what
evens out a difference of two and more. What it may hold is settled by the lease alone: two members that see different things do no harm.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

__all__ = ["Member", "Plan", "Seat", "plan"]

TURN = 1 / 3  # of a lease: what a member with more leaves to each with less to take what is free
ABANDONED = 2  # leases: what nobody took for so long is taken by whoever sees it


class Member(Struct, frozen=True):
    """A member that has been there for `here_s`. `groups`: those that it can work with, each with a hash of its configuration.

    `resting`: those of them that it let go on purpose, and leaves to others for now. `views`: those of each.
    """

    id: str
    name: str
    here_s: float
    groups: Mapping[str, str]
    resting: frozenset[str] = frozenset()
    views: Mapping[str, frozenset[str]] = {}


class Seat(Struct, frozen=True):
    """A group. `holder`: a member's id, or "" while it is free, which it has been for `free_s`; `wanted`: the name of the member that is to hold it.

    `before`: the id of the member that held it last. `views`: those that it was held with.
    """

    group: str
    holder: str
    free_s: float
    wanted: str = ""
    before: str = ""
    views: frozenset[str] = frozenset()


class Plan(Struct, frozen=True):
    """What a member does next. `refused`: groups that it knows by another configuration than a member that was there before."""

    take: tuple[str, ...]
    release: tuple[str, ...]
    refused: Mapping[str, str]


def plan(
    me: str, members: Sequence[Member], seats: Sequence[Seat], lease_s: float, shared: AbstractSet[str] = frozenset()
) -> Plan:
    """What the member of that id does next. `shared`: groups of which nothing is any member's alone."""
    mine = next((member for member in members if member.id == me), None)
    if mine is None:
        return Plan((), (), {})
    known = {seat.group: seat for seat in seats}
    at = {group: known.get(group, Seat(group, "", float("inf"))) for group in mine.groups if group not in shared}
    refused = {group: other.name for group in mine.groups if (other := before(mine, members, group)) is not None}
    peers = [member for member in members if any(before(member, members, group) is None for group in member.groups)]
    load = {member.id: sum(seat.holder == member.id for seat in seats) for member in peers}
    if me not in load:
        return Plan((), (), refused)
    claims = {group: claim(seat, members) for group, seat in at.items()}
    held = [group for group, seat in at.items() if seat.holder == me]
    release = [group for group in held if claims[group] not in (None, me)]
    free = [
        group for group, seat in at.items()
        if not seat.holder and group not in refused and not held_otherwise(mine, group, seats)
    ]  # fmt: skip
    if not free and not release:
        release = surplus(mine, peers, load, [group for group in held if claims[group] is None], members)
    take = []
    together_s = min(member.here_s for member in peers)
    for group in free:
        seat, theirs = at[group], claims[group]
        if group in mine.resting or (theirs not in (None, me) and seat.free_s < lease_s):
            continue
        takers = [other.id for other in peers if takes(other, members, group)]
        share = ceil(len(at) / max(1, len(takers)))
        # Whoever let it go does not want it back: nobody waits for him.
        ahead = sum((load[other], other) < (load[me], me) for other in takers if other != seat.before)
        fair = load[me] < share and seat.free_s >= ahead * lease_s * TURN
        if theirs == me or fair or min(seat.free_s, together_s) >= ABANDONED * lease_s:
            take.append(group)
            load[me] += 1
    return Plan(tuple(take), tuple(release), refused)


def surplus(
    mine: Member, peers: Sequence[Member], load: Mapping[str, int], movable: Sequence[str], members: Sequence[Member]
) -> list[str]:
    """What the member with the most lets go for the one with the least; nothing where no two differ by two."""
    most = max(load.values())
    if mine.id != min(member for member, count in load.items() if count == most):
        return []
    least = min(peers, key=lambda member: (load[member.id], member.id))
    fits = [group for group in movable if takes(least, members, group)]
    return fits[: (most - load[least.id]) // 2]


def takes(other: Member, members: Sequence[Member], group: str) -> bool:
    """Whether a member would take a group now, if it were free and its turn."""
    return group in other.groups and group not in other.resting and before(other, members, group) is None


def before(mine: Member, members: Sequence[Member], group: str) -> Member | None:
    """The first member that was there before and knows the group by another configuration, or views of it in another group."""
    order = (-mine.here_s, mine.id)
    return next(
        (other for other in members if (-other.here_s, other.id) < order and differs(mine, other, group)),
        None,
    )


def differs(mine: Member, other: Member, group: str) -> bool:
    """Whether another member has other views in a group, or views of it in another one."""
    digest, views = mine.groups[group], mine.views.get(group, frozenset())
    apart = any(name != group and not views.isdisjoint(theirs) for name, theirs in other.views.items())
    return apart or other.groups.get(group, digest) != digest


def held_otherwise(mine: Member, group: str, seats: Sequence[Seat]) -> bool:
    """Whether views of a group are held under another name, by a member that has them in another group."""
    views = mine.views.get(group, frozenset())
    return any(seat.holder and seat.group != group and not views.isdisjoint(seat.views) for seat in seats)


def claim(seat: Seat, members: Sequence[Member]) -> str | None:
    """The id of the member that is to hold a group, where it is there and can."""
    return next(
        (
            member.id
            for member in members
            if seat.wanted
            and member.name == seat.wanted
            and seat.group in member.groups
            and before(member, members, seat.group) is None
        ),
        None,
    )
