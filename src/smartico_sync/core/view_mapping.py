"""How a view's columns become properties: what mapping, planning and selection share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace  # noqa: TID251 - of ViewMapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from smartico_sync.core.conversion import PLAIN, Hints
from smartico_sync.core.discreet import Discreet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from smartico_sync.catalogue.kinds import Kind
    from smartico_sync.catalogue.properties import PropertyType
    from smartico_sync.core.conversion import Conversion
    from smartico_sync.core.few_events import FewSteps
    from smartico_sync.core.few_rows import Step
    from smartico_sync.core.relation import Column, Relation

    Later: TypeAlias = Callable[[], Conversion]

__all__ = [
    "EVERY_ROLE",
    "MOMENTS",
    "Demand",
    "Misfit",
    "Options",
    "Origin",
    "Property",
    "Steps",
    "ViewMapping",
    "identity_columns",
]

Demand = Literal[
    "none",  # what cannot be read is left out
    "readable",  # it may be missing, for another view may have it
    "there",  # neither missing nor unreadable
]
EVERY_ROLE: frozenset[str] = frozenset()
MOMENTS = frozenset({"timestamp", "instant", "date", "text"})  # families of columns that may say when


class Options(Discreet, frozen=True):
    """What a view's configuration adds to its kind. `roles` maps values of the type column to roles of the kind.

    `columns`: column to property, to another name of the catalogue, or to None, which leaves it out; `hints` and `types` say how
    columns are read and what custom properties become. `other`: what becomes of rows whose type has no role. `where`: rows
    are kept whose column holds one of these texts (None: NULL). `unmapped`: as in Kind, empty for the kind's own.
    `unfolded`: properties that are sent as they are written, "*" for all. `unreadable`: an optional value that cannot be
    read is left out, or costs its row. `arrays`: how sets of names are told. `clears`: properties that are cleared when they
    became NULL, "*" for all.
    `identity`: what event ids are made of in place of the view's name, and `id_columns` of which columns, where the state
    says so (None: of those that `identity_columns` names). `content_columns`: where there is no key, those that a row is
    made of (none: all). `generation`: how often event ids were begun anew; each generation has ids of its own. `blind`:
    columns with personal data, which go into an event's id under the `secret` only, so that nobody can try out values
    against it. Keys of players and of the ledger hang on the secret too.
    """

    unprinted = frozenset({"secret"})

    columns: Mapping[str, str | None] = msgspec.field(default_factory=dict)
    hints: Mapping[str, Hints] = msgspec.field(default_factory=dict)
    types: Mapping[str, PropertyType] = msgspec.field(default_factory=dict)
    type_column: str = ""
    roles: Mapping[str, str] = msgspec.field(default_factory=dict)
    other: Literal["dead_letter", "ignore"] = "dead_letter"
    where: Mapping[str, tuple[str | None, ...]] = msgspec.field(default_factory=dict)
    unmapped: Literal["", "omit", "send"] = ""
    unfolded: frozenset[str] = frozenset()
    unreadable: Literal["omit", "dead_letter"] = "omit"
    arrays: Mapping[str, Literal["replace", "add", "sync"]] = msgspec.field(default_factory=dict)
    clears: frozenset[str] = frozenset()
    event_type: str = ""
    event_date: str = ""
    brand: str = ""
    identity: str = ""
    id_columns: tuple[str, ...] | None = None
    content_columns: tuple[str, ...] = ()
    generation: int = 0
    blind: frozenset[str] = frozenset()
    secret: bytes = b""


class Origin(Struct, frozen=True):
    """A column that a property may come from; in rows of these roles only, of every row where there are none."""

    column: Column
    roles: frozenset[str] = EVERY_ROLE
    hints: Hints = PLAIN


class Property(Struct, frozen=True):
    """One property: where it comes from, the first that is not NULL wins; `expected` for messages.

    `target`: what it becomes. `demand`: a row is no event where it is unreadable, or (there) missing, in rows of the roles
    `needed_in`. In rows of the roles `dated` it has the event's date where no column fills it, in those of `true_in` it is
    true; no role named: in all rows.
    """

    name: str
    origins: tuple[Origin, ...]
    target: PropertyType
    expected: str
    demand: Demand = "none"
    needed_in: frozenset[str] = EVERY_ROLE
    dated: frozenset[str] | None = None
    true_in: frozenset[str] | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns it may come from."""
        return tuple(origin.column for origin in self.origins)

    @property
    def said(self) -> str:
        """The columns, for messages."""
        return " or ".join(dict.fromkeys(column.name for column in self.columns))


class Misfit(Struct, frozen=True):
    """What keeps a view from being of its kind, and the change that mends it; a sentence each."""

    what: str
    hint: str


class Steps(Struct, frozen=True):
    """How pages of one shape become events: how to make the envelope, the properties, and the frame that is kept.

    A conversion is made when it is called for, and kept.

    `payload` hangs on `envelope`. `moments`: the columns that may say when, by role; `kept`: the column that each of an event's
    is made as; `raw` as in Events.
    """

    envelope: tuple[Step, ...]
    payload: tuple[Step, ...]
    conversions: tuple[tuple[Property, Later], ...]
    moments: Mapping[str, tuple[tuple[Column, Later], ...]]
    kept: Mapping[str, str]
    raw: frozenset[str]


@dataclass(frozen=True, slots=True)
class ViewMapping:
    """How rows of one described relation become events.

    `called`: the column that has a name of the catalogue, by its own name or because `columns:` says so. `dates`: the columns that
    may say when, by role; those of "" are for roles that have none of their own, and `named_dates` are those that the kind or the
    configuration names: where one is unreadable, no other stands in. `unmapped`: columns that are sent nowhere.
    A mapping with misfits must not be used. `steps` are kept here by the columns and dtypes of pages, and beside them how a handful
    of rows goes, `few` (None: only as columns): they hang on all the rest, so that a copy begins without (and this class is no Struct).
    """

    view: str
    kind: Kind
    relation: Relation
    options: Options
    properties: tuple[Property, ...]
    called: Mapping[str, Column]
    dates: Mapping[str, tuple[Column, ...]]
    named_dates: frozenset[str]
    unmapped: tuple[Column, ...]
    misfits: tuple[Misfit, ...]
    steps: dict[Any, Steps] = field(default_factory=dict, init=False, repr=False, compare=False)
    few: dict[Any, FewSteps | None] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def problems(self) -> tuple[str, ...]:
        """What the misfits say."""
        return tuple(misfit.what for misfit in self.misfits)

    @property
    def identity(self) -> str:
        """What event ids are made of in place of the view's name."""
        return self.options.identity or self.view

    @property
    def id_columns(self) -> tuple[str, ...]:
        """The columns that make the row that row; none for a keyless view: all of them."""
        recorded = self.options.id_columns
        return identity_columns(self.kind, self.relation) if recorded is None else recorded

    @property
    def cursor_is_id(self) -> bool:
        """Whether the cursor never changes in a row."""
        return self.relation.cursor_is_id

    @property
    def content(self) -> tuple[str, ...]:
        """The columns that hold what a row holds: those of the state are used on, so that a further one makes no other rows."""
        names = [column.name for column in self.relation.columns if column.family != "binary"]
        recorded = self.options.content_columns
        return tuple(name for name in names if not recorded or name in recorded)

    def with_options(self, options: Options) -> ViewMapping:
        """The same under other options, with steps of its own."""
        return replace(self, options=options)

    def with_relation(self, relation: Relation) -> ViewMapping:
        """The same of another relation, with steps of its own."""
        return replace(self, relation=relation)


def identity_columns(kind: Kind, relation: Relation) -> tuple[str, ...]:
    """The columns that make a transaction that transaction: its key, and with it an id that is the cursor.

    A business id may be given twice (a round, a bet that is settled again), an incrementing id never is. A profile is its
    player, at the cursor and with the content that it then has. None for a keyless view: a row is all that it holds.
    """
    key = relation.key
    joins = key and kind.role != "profile" and relation.cursor_is_id and relation.cursor not in key
    return (*key, relation.cursor) if joins else key
