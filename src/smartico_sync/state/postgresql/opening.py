"""The door to a state in PostgreSQL; whoever goes through needs its driver."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from smartico_sync.state.postgresql.connection import connect, told  # isort: skip - first: it says how the driver is installed
from smartico_sync.state.postgresql import database, first_start, recovery
from smartico_sync.state.postgresql.budget import SharedBudget
from smartico_sync.state.postgresql.first_start import Wish
from smartico_sync.state.postgresql.lease import Who
from smartico_sync.state.postgresql.membership import Membership, look_around, want
from smartico_sync.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from smartico_sync.state.database import Access
    from smartico_sync.state.place import ServerPlace
    from smartico_sync.state.postgresql.membership import Seen
    from smartico_sync.state.postgresql.statements import Steps
    from smartico_sync.state.recovery import Restored

__all__ = [
    "budget",
    "cleared",
    "joined",
    "opened",
    "renewed",
    "restored",
    "seen",
    "snapshot",
    "there",
    "wanted",
]


def wished(place: ServerPlace) -> Wish:
    """The place as its own files know it."""
    who = Who(place.member, place.id) if place.member else Who(id=place.id)
    return Wish(place.url, place.secret, place.lease_s, place.groups, who, place.first)


def budget(place: ServerPlace, account: str) -> SharedBudget:
    """What members may send under one token."""
    return SharedBudget(wished(place), account)


def opened(place: ServerPlace, access: Access) -> Store:
    """Open the state there; see `PostgresqlDatabase.open`."""
    return Store(database.PostgresqlDatabase.open(wished(place), place.path, access))


def renewed(place: ServerPlace, starts: Mapping[str, str]) -> str | None:
    """Begin a new state there; see `renew`."""
    return recovery.renew(wished(place), starts)


def restored(place: ServerPlace, backup: Path) -> Restored:
    """Put a copy in place of the state there; see `restore`."""
    return recovery.restore(wished(place), backup, place.path)


def there(place: ServerPlace) -> bool:
    """Whether there is a state."""
    wish = wished(place)
    with told(wish.url), closing(connect(wish.url, wish.lease_s, "look")) as connection:
        return (connection.execute(first_start.THERE).fetchone() or (False,))[0] is True


def cleared(place: ServerPlace) -> None:
    """Put aside a state that was moved from there, so that one can be moved there again."""
    wish = wished(place)
    with told(wish.url), closing(connect(wish.url, wish.lease_s)) as connection:
        there, _ = connection.execute(first_start.THERE).fetchone() or (False, False)
        if not there or connection.execute("SELECT moved <> '' FROM identity").fetchone() != (True,):
            return
    recovery.renew(wish)


def snapshot(place: ServerPlace) -> AbstractContextManager[Steps]:
    """Read the state for as long as it takes, as it is now."""
    return database.snapshot(wished(place))


def seen(place: ServerPlace) -> Seen:
    """Who is there, who has each lease there is, and who reads what of topics that members share."""
    wish = wished(place)
    with told(wish.url), closing(connect(wish.url, wish.lease_s, "look")) as connection:
        first_start.looked_at(connection, wish)
        return look_around(connection)


def joined(place: ServerPlace) -> Membership:
    """Be there as a member; see `Membership.join`."""
    return Membership.join(wished(place))


def wanted(place: ServerPlace, group: str, member: str) -> None:
    """Have a member hold a group; see `Membership.want`."""
    wish = wished(place)
    with told(wish.url), closing(connect(wish.url, wish.lease_s, "look")) as connection:
        first_start.looked_at(connection, wish)
        want(connection, group, member)
