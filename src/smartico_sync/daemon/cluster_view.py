"""How a cluster stands, by what its state tells: the same for a member and for a command on any machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from smartico_sync.config.shared_topics import shared_views
from smartico_sync.config.token_groups import token_groups
from smartico_sync.observe.cluster_status import GroupStatus, MemberStatus

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from smartico_sync.config.models import Configuration
    from smartico_sync.config.token_groups import TokenGroup
    from smartico_sync.state.place import ServerPlace
    from smartico_sync.state.postgresql.lease import Holder
    from smartico_sync.state.postgresql.membership import Seen

__all__ = ["Divided", "divided", "groups_of", "members_of", "names_of"]


class Divided(Struct, frozen=True):
    """Groups of views by their names: the views of each that one member works with `alone`, and the topics that members read `together`."""

    alone: Mapping[str, TokenGroup]
    together: Mapping[str, TokenGroup]


def divided(configuration: Configuration) -> Divided:
    """The groups of a configuration; a group may have views of both kinds."""
    groups, shared = token_groups(configuration), shared_views(configuration)
    return Divided(
        {group.name: part for group in groups if (part := group.without(shared)).views},
        {group.name: part for group in groups if (part := group.within(shared)).views},
    )


def names_of(group: TokenGroup) -> tuple[str, ...]:
    """The views of a group."""
    return tuple(view.name for view in group.views)


def groups_of(
    groups: Divided, place: ServerPlace, seen: Seen, me: str = "", works: AbstractSet[str] = frozenset()
) -> tuple[GroupStatus, ...]:
    """How each group stands. `works`: the names of the leases under which the member called `me` works."""
    holders = {each.name: each for each in seen.holders}
    found = [read_together(name, group, place, seen, works) for name, group in groups.together.items()]
    for name, group in groups.alone.items():
        holder, here = holders.get(name), name in works
        if holder is None or not holder.live:  # another member may have its views in another group
            other = next((each for each in seen.holders if each.live and overlaps(each, group)), None)
            holder = other or holder
        found.append(
            GroupStatus(
                name,
                names_of(group),
                "works" if here else "stands by",
                "yes" if here or (holder is not None and holder.live) else "no",
                (me if here else holder.member if holder else ""),
                holder.since if holder else "",
                holder.left_s if holder else 0.0,
            )
        )
    return tuple(found)


def overlaps(holder: Holder, group: TokenGroup) -> bool:
    """Whether views of a group are held under another name."""
    return not holder.shares and holder.otherwise([group.name], names_of(group))


def read_together(name: str, group: TokenGroup, place: ServerPlace, seen: Seen, works: AbstractSet[str]) -> GroupStatus:
    """How it stands with topics that members read together."""
    readers = [each for each in seen.holders if each.live and each.shares == name]
    here = place.beside(name, ()).groups[0].name in works
    return GroupStatus(
        f"topics of {name}",
        names_of(group),
        "works" if here else "stands by",
        "yes" if here or readers else "no",
        ", ".join(each.member for each in readers),
        min((each.since for each in readers), default=""),
        max((each.left_s for each in readers), default=0.0),
        tuple(each for each in seen.lanes if each.view in names_of(group)),
    )


def members_of(seen: Seen) -> tuple[MemberStatus, ...]:
    """Who is there, and what each of them works with."""
    return tuple(
        MemberStatus(
            each.name,
            tuple(
                f"topics of {holder.shares}" if holder.shares else holder.name
                for holder in seen.holders
                if holder.live and str(holder.member_id) == each.id
            ),
        )
        for each in seen.members
    )
