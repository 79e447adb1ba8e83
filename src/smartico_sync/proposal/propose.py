"""From tables to proposed views: for each recipe the table that fits best, as it is or through a view that is to be made."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field
from msgspec.structs import replace

from smartico_sync.catalogue.kinds import KINDS
from smartico_sync.catalogue.properties import PROPERTIES, is_managed
from smartico_sync.config.personal import looks_identifying, looks_personal, plain_name
from smartico_sync.core.relation import IDS
from smartico_sync.core.tables import IndexPlan, Picked, ViewPlan
from smartico_sync.proposal.attempt import attempt, may_hold
from smartico_sync.proposal.names import schema_of, view_name
from smartico_sync.proposal.recipe import ID, Field, Recipe
from smartico_sync.proposal.recipes import RECIPES
from smartico_sync.proposal.words import BRAND, CENTS, TESTERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.core.tables import Join, Table
    from smartico_sync.proposal.attempt import Attempt, Values
    from smartico_sync.proposal.resolve import Found

__all__ = ["Proposal", "Proposed", "propose"]

PART = Recipe(
    "", "users", "A part of profiles that is tracked by itself", "", (Field("user_ext_id", (), "must", reach="own"), BRAND), ("dt_update",),
    "dt_update", rows="one a player",
)  # fmt: skip
LONGEST = 60  # of a view's name in the configuration
PREFIXES = ("smartico_", "crm_", "v_")  # of the views that are made: the first with which a name is not too long
TYPE = "tx_type"  # the type column of such a view
ANY_CURSOR = "dt"  # a cursor that may have another name, where the view has the column anyway


class Proposed(Struct, frozen=True):
    """One view of the configuration.

    `plan`: the view to make, None where the relation is taken as it is; `index`: what the poll needs and the table has not.
    `key` is empty for the kind's own. `columns`: view column → property where a name is not the catalogue's, None for one left
    out. `roles`: the values of `type_column`. `brand`: whether a column says it. `seen`: values of the columns that were
    asked; `left_out`: columns of the table that the view has not; `personal`: properties that say who somebody is; `whole`:
    columns with amounts in whole numbers; `cents`: those of them whose name in the table says that they are cents.
    """

    recipe: Recipe
    relation: str
    table: str
    cursor: str
    key: tuple[str, ...] = ()
    plan: ViewPlan | None = None
    index: IndexPlan | None = None
    columns: Mapping[str, str | None] = field(default_factory=dict)
    type_column: str = ""
    roles: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)
    test: str = ""
    brand: bool = True
    seen: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    cents: tuple[str, ...] = ()


class Proposal(Struct, frozen=True):
    """The views in the order of the recipes, and what was looked for and not found, with the reason."""

    views: tuple[Proposed, ...]
    missing: Mapping[str, str]


def propose(
    tables: Sequence[Table], values: Values, cursor_names: Literal["free", "kept"] = "free", longest: int = LONGEST
) -> Proposal:
    """Try every recipe on every table whose name speaks for it; `values` is asked for columns that say what a row is.

    `cursor_names` kept: a view calls its cursor as its table does. `longest`: characters of a name in the database.
    """
    known = {table.name: table for table in tables}
    views: list[Proposed] = []
    missing: dict[str, str] = {}
    needless: set[str] = set()
    for recipe in RECIPES:
        if recipe.name in needless:
            continue
        tried = [attempt(recipe, table, known, values) for table in tables if may_hold(recipe, table)]
        tried.sort(key=lambda each: (bool(each.problem), -each.score))
        if tried and not tried[0].problem:
            views.append(_proposed(tried[0], cursor_names, longest))
            needless.update(recipe.instead)
        else:
            missing[recipe.name] = tried[0].problem if tried else "no table is called so"
    views += _other_profiles(tables, views, known, values)
    return Proposal(tuple(views), {name: why for name, why in missing.items() if name not in needless})


def _other_profiles(
    tables: Sequence[Table], views: Sequence[Proposed], known: Mapping[str, Table], values: Values
) -> list[Proposed]:
    """Views that somebody made for profiles, beside the one of players: a player may be told by several."""
    taken, names = {view.table for view in views}, {view.recipe.name for view in views}
    found = []
    for table in tables:
        name = re.sub(r"\W", "_", view_name(table.name))[:LONGEST]
        if table.structure.view == "view" and table.name not in taken and name not in names and name[:1].isalpha():
            tried = attempt(replace(PART, name=name), table, known, values)
            if (
                not tried.problem
                and tried.cursor == PART.cursor_name
                and "user_ext_id" in {c.name for c in table.columns}
            ):
                found.append(_proposed(tried, "kept", LONGEST))
                names.add(name)
    return found


def _proposed(tried: Attempt, cursor_names: Literal["free", "kept"], longest: int) -> Proposed:
    kind = KINDS[tried.recipe.kind]
    joined = any(found.at.joins for found in tried.found.values())
    # A profile's table would send every column it has.
    sends_all = kind.unmapped == "send" and tried.table.structure.view == "table"
    made = (
        _through_a_view(tried, cursor_names, longest) if tried.conditions or joined or sends_all else _as_it_is(tried)
    )
    numbers = {each.name for each in tried.recipe.fields if each.shape == "number" and "count" not in each.name}
    shown = {value: column for column, value in made.columns.items()}  # names that the view has by another
    amounts = {
        shown.get(name, name): found.column
        for name, found in tried.found.items()
        if name in numbers and found.column.family in IDS
    }
    cents = tuple(name for name, column in amounts.items() if CENTS.search(plain_name(column.name)))
    return replace(
        made,
        index=_index(tried),
        roles=tried.roles,
        brand="ext_brand_id" in tried.found,
        seen=tuple(tried.seen),
        whole=tuple(name for name, column in amounts.items() if column.family == "integer" and name not in cents),
        cents=cents,
        personal=tuple(name for name in tried.found if kind.role == "profile" and looks_identifying(name)),
    )


def _as_it_is(tried: Attempt) -> Proposed:
    """The relation itself: the configuration says what columns that are called otherwise are."""
    recipe, table = tried.recipe, tried.table
    kind = KINDS[recipe.kind]
    targets = dict(kind.columns)
    columns: dict[str, str | None] = {}
    for name, found in tried.found.items():
        column = found.column.name
        if column != name and name not in TESTERS and targets.get(column, column) != targets.get(name, name):
            columns[column] = name
    if kind.unmapped == "send":
        names = (column.name for column in table.columns if column.name not in (*columns, *PROPERTIES))
        columns |= dict.fromkeys(filter(looks_personal, names))
    test = next((tried.found[name].column.name for name in TESTERS if name in tried.found), "")
    if kind.unmapped == "send" and test and test not in PROPERTIES:
        columns[test] = None
    default = next((each for each in kind.key if all(table.column(name) for name in each)), ())
    own = (tried.cursor,) if table.structure.view == "view" and tried.cursor == "id" else table.key
    key = () if kind.role == "profile" or set(own) == set(default) else own
    return Proposed(
        recipe, table.name, table.name, tried.cursor, key, columns=columns, type_column=tried.type_column, test=test
    )


def _through_a_view(tried: Attempt, cursor_names: Literal["free", "kept"], longest: int) -> Proposed:
    """A view over the table: the catalogue's names, what other tables tell, and the rows that count."""
    recipe, table, alias = tried.recipe, tried.table, tried.places[0].alias
    # A name that is too long for the database stays as the table has it, and the configuration says what it is.
    kept = {name: found.column.name for name, found in tried.found.items() if len(name) > longest}
    picked = {
        (shown := kept.get(name, name)): Picked(shown, found.column.name, found.at.alias)
        for name, found in tried.found.items()
    }
    for column in table.columns:
        name = plain_name(column.name)
        if name not in picked and name not in kept and _passes(recipe, name):
            picked[name] = Picked(name, column.name, alias)
    cursor = tried.cursor if cursor_names == "kept" else _cursor_name(tried, picked)
    picked[cursor] = Picked(cursor, tried.cursor, alias)
    if tried.type_column:
        picked[TYPE] = Picked(TYPE, tried.type_column, alias)
    joins = _joins(tried, {pick.table for pick in picked.values()})
    relation = ".".join((*schema_of(table.name), _called(recipe, longest)))
    plan = ViewPlan(relation, table.name, alias, tuple(picked.values()), joins, tuple(tried.conditions))
    used = {pick.column for pick in picked.values() if pick.table == alias}
    used |= {each.column for each in tried.conditions} | {left for join in joins for left, _ in join.on}
    test = next((name for name in TESTERS if name in picked), "")
    unsent = {test: None} if test and test not in PROPERTIES and KINDS[recipe.kind].unmapped == "send" else {}
    return Proposed(
        recipe, relation, table.name, cursor, _key(tried, picked, cursor), plan, columns={**{column: name for name, column in kept.items()}, **unsent},
        type_column=TYPE if tried.type_column else "", test=test,
        left_out=tuple(column.name for column in table.columns if column.name not in used),
    )  # fmt: skip


def _called(recipe: Recipe, longest: int) -> str:
    """What the view that is made is called in the database."""
    names = [f"{prefix}{recipe.name}" for prefix in PREFIXES]
    return next((name for name in names if len(name) <= longest), names[-1])


def _cursor_name(tried: Attempt, picked: Mapping[str, Picked]) -> str:
    """What the view calls the cursor: `id` for an id, else one of its columns anyway, where the name does not matter."""
    recipe, alias = tried.recipe, tried.places[0].alias
    if ID in recipe.cursor and tried.table.key == (tried.cursor,):
        return "id"
    same = (pick.name for pick in picked.values() if (pick.table, pick.column) == (alias, tried.cursor))
    return next(same, ANY_CURSOR) if recipe.cursor_name == ANY_CURSOR else recipe.cursor_name


def _passes(recipe: Recipe, name: str) -> bool:
    """Whether a column of that name means something to the kind though nobody looked for it."""
    kind = KINDS[recipe.kind]
    if kind.role == "profile":
        return name in PROPERTIES and not is_managed(name) and name.startswith("core_")
    return name in PROPERTIES and name in dict(kind.columns)


def _joins(tried: Attempt, used: set[str]) -> tuple[Join, ...]:
    """The joins that lead to the tables that are used, each once, each after the one it begins at."""
    joins = {join.alias: join for place in tried.places if place.alias in used for join in place.joins}
    order = [place.alias for place in tried.places]
    return tuple(sorted(joins.values(), key=lambda join: order.index(join.alias)))


def _key(tried: Attempt, picked: Mapping[str, Picked], cursor: str) -> tuple[str, ...]:
    """The primary key by the names that the view gives it; empty where the kind's own default says the same."""
    kind, alias = KINDS[tried.recipe.kind], tried.places[0].alias
    if kind.role == "profile":
        brand = tried.found.get("ext_brand_id")
        # An index can put a table's rows in order, and no other table's columns, nor those that it cannot hold.
        return ("user_ext_id",) if brand and (brand.at.joins or _told_by_id(tried, brand)) else ()
    default = next((each for each in kind.key if all(name in picked for name in each)), ())
    own = [pick for pick in picked.values() if pick.table == alias]
    # The cursor's own name before another one of the same column: nothing is sorted twice.
    names = {
        pick.column: pick.name for pick in sorted(own, key=lambda pick: (pick.name == cursor, pick.name in default))
    }
    if not tried.table.key or not all(column in names for column in tried.table.key):
        return ()
    # What may happen again, such as a settlement, is told apart by its time. A type column joins the default by itself.
    again = (cursor,) if cursor in default else ()
    key = tuple(dict.fromkeys((*(names[column] for column in tried.table.key), *again)))
    return () if set(key) == set(default) and not tried.type_column else key


def _default_key(tried: Attempt) -> tuple[str, ...]:
    """The table's columns behind the key that the kind has by default, where the catalogue knows no other."""
    found = {name: each.column.name for name, each in tried.found.items() if not each.at.joins}
    here = found | {column.name: column.name for column in tried.table.columns}
    names = next((names for names in KINDS[tried.recipe.kind].key if set(names) <= set(here)), ())
    return tuple(here[name] for name in names)


def _told_by_id(tried: Attempt, brand: Found) -> bool:
    """Whether the player's id tells rows apart without the brand, which no index can hold."""
    known, who = tried.table.structure, tried.found["user_ext_id"]
    return brand.column.name in known.unindexed and not who.at.joins and (who.column.name,) in known.unique


def _index(tried: Attempt) -> IndexPlan | None:
    """The index that finds the cursor; None where there is one. What is beneath a view is not known."""
    table = tried.table
    if table.structure.view == "view":
        return None
    if any(each[:1] == (tried.cursor,) for each in table.structure.indexes):
        # The type column is part of the order, which some engines do not see to be settled by a primary key.
        ties = (tried.cursor, tried.type_column)
        return IndexPlan(table.name, ties, "where the poll sorts") if tried.type_column else None
    own = table.key or _default_key(tried)
    if KINDS[tried.recipe.kind].role == "profile":
        found = (tried.found.get(name) for name in ("ext_brand_id", "user_ext_id"))
        own = tuple(each.column.name for each in found if each and not each.at.joins)
    rest = (column for column in own if column != tried.cursor and column not in table.structure.unindexed)
    return IndexPlan(table.name, (tried.cursor, *rest))
