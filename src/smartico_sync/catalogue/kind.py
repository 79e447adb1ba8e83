"""What a kind of view is, and how one is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field

from smartico_sync.catalogue.columns import (
    CURSOR,
    PAID,
    PLACED,
    PLAYER,
    REQUESTED,
    SETTLED,
    TRACKING,
    Renames,
    pairs,
    rest,
    sources,
)
from smartico_sync.catalogue.properties import MANAGED, PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.catalogue.properties import PropertyType

__all__ = ["CONSUMED", "HIDDEN", "Kind", "Role", "RowRole", "gated", "template", "transactions"]

Role = Literal["profile", "transaction"]
Since = Literal["documented", "observed", "inferred"]


class RowRole(Struct, frozen=True):
    """What holds for the rows of one role only, in a view that holds several.

    `columns`: (view column, property) beside those of the kind. `needs`: properties without which the row is no event.
    `event_date`: as in Kind, instead of the kind's (empty: the kind's). `flags`: boolean properties that are true in every
    row. `moment`: the date property that says when it happened, empty for none.
    """

    columns: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, ...] = ()
    event_date: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    moment: str = ""


PLAIN = RowRole()


class Kind(Struct, frozen=True):
    """What Smartico knows about one kind of view.

    `event_types` maps a row's role to its event type: {"": type} for kinds with one type, {"bet": …, "win": …} for
    views whose `type:` column says what a row is, both where it may; empty for `custom`, whose event type is configured.
    `required` are view columns (each a tuple of alternatives, any of which will do); `columns` maps view columns to
    properties; several columns may map to one property, the first present and not NULL wins in the order given. `needs` are
    properties without which a row is no event, and `moment` the date property that says when it happened: it has the
    event's date where no column fills it. `event_date` are the view columns that may hold the moment of the business event,
    the first present wins; "@cursor" stands for the cursor, which comes last where it is not named. `key` is the default
    key: the columns that make a row that row, first alternative present wins; none present: the view has no unique key. `unmapped`: columns that mean nothing here
    go out under their own name, but for `hidden`, or stay. `types` are those of properties that only this kind
    knows. `expected` are columns a player needs from any one view of this kind (a profile may be spread over several), so
    that one view without them is no mistake. `since` says how sure we are of event type and columns; a `template` has an
    event type that is registered with Smartico by agreement.
    """

    name: str
    role: Role
    event_types: dict[str, str]
    required: tuple[tuple[str, ...], ...]
    optional: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    event_date: tuple[str, ...]
    key: tuple[tuple[str, ...], ...]
    hidden: frozenset[str]
    since: Literal["documented", "observed", "inferred", "template"]
    expected: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    moment: str = ""
    unmapped: Literal["omit", "send"] = "omit"
    roles: Mapping[str, RowRole] = field(default_factory=dict)
    types: Mapping[str, PropertyType] = field(default_factory=dict)

    @property
    def row_roles(self) -> tuple[str, ...]:
        """The roles that `type:` may tell apart; empty for a kind of one event type."""
        return tuple(name for name in self.event_types if name)

    def row_role(self, name: str) -> RowRole:
        """What holds for rows of that role only."""
        return self.roles.get(name, PLAIN)

    def event_needs(self, role: str) -> tuple[str, ...]:
        """The properties that an event of such a row always has: what it needs, and the moment."""
        own = self.row_role(role)
        moments = [moment for moment in (self.moment, own.moment) if moment]
        return tuple(dict.fromkeys((*self.needs, *own.needs, *moments)))


HIDDEN = MANAGED.union(PLAYER, TRACKING)
CONSUMED = frozenset((*PAID, *SETTLED, *REQUESTED, *PLACED))  # say when something happened, and are no properties


def transactions(
    name: str,
    event_types: dict[str, str],
    renames: Renames,
    required: tuple[str, ...],
    *,
    event_date: tuple[str, ...],
    key: tuple[tuple[str, ...], ...],
    since: Since = "documented",
    optional: tuple[str, ...] = (),
    needs: tuple[str, ...] | None = None,
    moment: str = "",
    roles: Mapping[str, RowRole] | None = None,
    also: Renames = (),
) -> Kind:
    """Make a kind whose rows are final once they appear. `also` gives properties of `renames` further columns."""
    needed = sources(renames, *required)
    more = tuple((column, target) for target, columns in also for column in columns)
    dates = {column for each in (event_date, *(role.event_date for role in (roles or {}).values())) for column in each}
    return Kind(
        name=name,
        role="transaction",
        event_types=event_types,
        required=(("user_ext_id",), *needed),
        optional=("ext_brand_id", *rest(renames, needed), *optional),
        columns=(*pairs(renames), *more),
        event_date=event_date,
        key=key,
        hidden=HIDDEN.union(dates, CONSUMED) - {CURSOR},
        since=since,
        needs=tuple(target for target in required if target != moment) if needs is None else needs,
        moment=moment,
        roles=roles or {},
        types=dict.fromkeys((*optional, *(target for target, _ in renames if target not in PROPERTIES)), "string"),
    )


def gated(renames: Renames) -> tuple[tuple[str, str], ...]:
    """(view column, property) without the columns that are named like the property, which mean it in every row."""
    return tuple((column, target) for target, columns in renames for column in columns)


def template(name: str, types: Mapping[str, PropertyType], event_date: tuple[str, ...], key: str) -> Kind:
    """Make a kind of a vertical for which Smartico has no event type of its own: the columns go out under their names."""
    names: Renames = tuple((column, ()) for column in types)
    return Kind(
        name=name,
        role="transaction",
        event_types={"": name},
        required=(("user_ext_id",), (key,)),
        optional=("ext_brand_id", *(column for column in types if column != key)),
        columns=pairs(names),
        event_date=event_date,
        key=((key,),),
        hidden=HIDDEN.union(event_date) - {CURSOR, *types},
        since="template",
        needs=(key,),
        types=types,
    )
