"""One recipe tried on one table: its fields, its cursor, the rows that count, and what each of them is."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from smartico_sync.core.relation import IDS, Column
from smartico_sync.core.tables import Condition, Table
from smartico_sync.proposal.names import meaning, own_names, subject, view_name
from smartico_sync.proposal.recipe import ID
from smartico_sync.proposal.resolve import find, fits, reachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from smartico_sync.proposal.recipe import Choice, Recipe
    from smartico_sync.proposal.resolve import Found, Reachable

__all__ = ["Attempt", "Values", "attempt", "may_hold"]

Values = Callable[[Table, Column], Sequence[str | int]]
"""What a column holds in the newest rows, each value once; empty where that could not be read."""

BY_NAME = 100  # a view that is called like the recipe was made for it


class Attempt(Struct):
    """What was found; `problem` says why the table does not serve, empty where it does."""

    recipe: Recipe
    table: Table
    places: tuple[Reachable, ...]
    found: dict[str, Found] = field(default_factory=dict)
    conditions: list[Condition] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    roles: dict[str, tuple[str | int, ...]] = field(default_factory=dict)
    type_column: str = ""
    cursor: str = ""
    problem: str = ""

    @property
    def made_for_it(self) -> bool:
        """Whether this is a view that is called like the recipe, so that its rows are what they should be."""
        return self.table.structure.view == "view" and view_name(self.table.name) == self.recipe.name

    @property
    def score(self) -> int:
        """How well it fits: the catalogue's own names first, then how much is found, then what is at hand."""
        exact = sum(found.column.name == name for name, found in self.found.items())
        near = sum(not found.at.joins for found in self.found.values())
        return 3 * exact + 2 * len(self.found) + near + (BY_NAME if self.made_for_it else 0)


def may_hold(recipe: Recipe, table: Table) -> bool:
    """Whether the table's name speaks for it."""
    return view_name(table.name) == recipe.name or re.search(recipe.tables, subject(table.name)) is not None


def attempt(recipe: Recipe, table: Table, tables: Mapping[str, Table], values: Values) -> Attempt:
    """Fill the fields, find what moves, choose the rows."""
    tried = Attempt(recipe, table, reachable(table, tables))
    for each in recipe.fields:
        if found := find(each, tried.places):
            tried.found[each.name] = found
        elif each.need == "must":
            tried.problem = tried.problem or f"{table.name} has no column for {each.name}"
    for names in recipe.one_of:
        if not tried.found.keys() & set(names):
            tried.problem = tried.problem or f"{table.name} has no column for {' or '.join(names)}"
    if not tried.problem and recipe.rows == "one a player" and not _one_a_player(tried):
        tried.problem = f"{table.name} may have several rows a player: no unique index says otherwise"
    for step in (_choose_cursor, _choose_rows, _choose_roles):
        tried.problem = tried.problem or step(tried, values)
    return tried


def _choose_cursor(tried: Attempt, _: Values) -> str:
    """Take the best of the recipe's cursors that the table has; a recipe without any needs none."""
    table = tried.table
    if not tried.recipe.cursor:
        return ""
    for word in (tried.recipe.cursor_name, *tried.recipe.cursor) if tried.made_for_it else tried.recipe.cursor:
        for column in table.columns:
            if word == ID:
                suits = column.family in IDS and (table.key == (column.name,) or _passed_through(table, column))
            else:
                suits = word in own_names(table.name, column.name) and fits("time", column) and column.family != "text"
            if suits:
                tried.cursor = column.name
                return ""
    words = ", ".join([word for word in tried.recipe.cursor if word != ID][:4])
    return f"{table.name} has no column that says when ({words} …)"


def _passed_through(table: Table, column: Column) -> bool:
    """Whether a view probably shows its table's own id by that name."""
    return table.structure.view == "view" and column.name == "id"


def _choose_rows(tried: Attempt, values: Values) -> str:
    """Which rows count, by their type and status."""
    table = tried.table
    if tried.made_for_it:
        return ""
    for choice in tried.recipe.choices:
        column = _named(table, choice.words)
        told = re.search(choice.table, subject(table.name)) is not None
        if column is None:
            if told or choice.otherwise == "everything":
                continue
            words = ", ".join(choice.words[:3])
            return f"{table.name} has no column ({words} …) that says which rows are {choice.means}"
        seen = values(table, column)
        meant = tuple(value for value in seen if meaning(value, _alternatives(choice)) == choice.means)
        if meant:
            tried.conditions.append(Condition(column.name, meant))
            tried.seen.append(f"{column.name}: {_shown(seen)}")
        elif not told:
            return f"no value of {table.name}.{column.name} that was seen means {choice.means}: {_shown(seen)}"
    if tried.recipe.filled == "filled":
        tried.conditions.append(Condition(tried.cursor))
    return ""


def _choose_roles(tried: Attempt, values: Values) -> str:
    """What a row is, for kinds that read one table of several things."""
    recipe, table = tried.recipe, tried.table
    if not recipe.roles:
        return ""
    column = _named(table, recipe.type_words)
    if column is None:
        return f"{table.name} has no column ({', '.join(recipe.type_words[:3])} …) that says what a row is"
    seen = values(table, column)
    for role in recipe.roles:
        if meant := tuple(value for value in seen if meaning(value, recipe.roles) == role):
            tried.roles[role] = meant
    tried.type_column = column.name
    tried.seen.append(f"{column.name}: {_shown(seen)}")
    return (
        ""
        if tried.roles
        else f"no value of {table.name}.{column.name} that was seen says what a row is: {_shown(seen)}"
    )


def _alternatives(choice: Choice) -> tuple[str, ...]:
    """What else a value could mean, so that one that is rejected is not taken for one that is paid."""
    return ("deposit", "withdrawal") if choice.means in ("deposit", "withdrawal") else ("final", "failed")


def _named(table: Table, words: Iterable[str]) -> Column | None:
    found = (column for word in words for column in table.columns if word in own_names(table.name, column.name))
    return next(found, None)


def _shown(values: Sequence[str | int]) -> str:
    return ", ".join(str(value) for value in values) or "none was seen"


def _one_a_player(tried: Attempt) -> bool:
    """Whether the player's id, perhaps with the brand, tells rows apart; a view is believed."""
    who = {
        found.column.name
        for name in ("user_ext_id", "ext_brand_id")
        if (found := tried.found.get(name)) and not found.at.joins
    }
    known = tried.table.structure
    return (
        known.view == "view" or not known.indexes or any(who.issuperset(each) for each in tried.table.structure.unique)
    )
