"""What a view of a first configuration is looked for by."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

__all__ = ["ID", "Choice", "Field", "Recipe", "Shape"]

Shape = Literal["any", "number", "time", "flag"]
ID = "@id"  # as a cursor: the primary key, where it is one whole number


class Field(Struct, frozen=True):
    """A column of the view.

    `words`: what it may be called in the table, best first; its own name comes first of all where it is not among them.
    `reach`: whether a table that the first one refers to may hold it.
    """

    name: str
    words: tuple[str, ...] = ()
    need: Literal["must", "may"] = "may"
    shape: Shape = "any"
    reach: Literal["own", "joined"] = "joined"


class Choice(Struct, frozen=True):
    """A column whose value says which rows count. `table`: a name of the table that says it without such a column.

    `otherwise`: what a table without such a column, and without such a name, holds: nothing that counts, or only such rows.
    """

    words: tuple[str, ...]
    means: str
    table: str = "$^"
    otherwise: Literal["nothing", "everything"] = "nothing"


class Recipe(Struct, frozen=True):
    """One view. `tables`: what the table is about, as `names.subject` writes it; `instead`: recipes it makes needless.

    `cursor`: what moves, best first, columns of the table itself. `filled`: the cursor's column is NULL until the row is what
    it is here. `roles` of a type column (`type_words`). `event_type`: another one than the kind's. `one_of`: of each of these
    one field at least must be there. `use`: whether it is proposed as it is, or written out as a comment, with the reason
    `why`.
    """

    name: str
    kind: str
    about: str
    tables: str
    fields: tuple[Field, ...]
    cursor: tuple[str, ...]
    cursor_name: str = "dt"
    choices: tuple[Choice, ...] = ()
    filled: Literal["filled", "as it is"] = "as it is"
    type_words: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    event_type: str = ""
    one_of: tuple[tuple[str, ...], ...] = ()
    instead: tuple[str, ...] = ()
    rows: Literal["many a player", "one a player"] = "many a player"
    use: Literal["propose", "comment"] = "propose"
    why: str = ""
