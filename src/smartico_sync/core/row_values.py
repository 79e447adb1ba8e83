"""What a row says around its payload and in it: expressions over the columns that a mapping names."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

import polars as pl
from msgspec.structs import replace

from smartico_sync.core import few_rows
from smartico_sync.core.conversion import Conversion, Form, Hints, blank, conversion, form_of, id_text
from smartico_sync.core.events import BRAND, DATE, KEY, TYPE, USER
from smartico_sync.core.few_rows import Step
from smartico_sync.core.few_texts import FEW
from smartico_sync.core.relation import DATED, TIME
from smartico_sync.core.selection import ROLE, implied_role, in_roles, role_of, roles_by_word, type_of, types_by_word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from smartico_sync.catalogue.properties import PropertyType
    from smartico_sync.core.relation import Column
    from smartico_sync.core.view_mapping import Property, ViewMapping

__all__ = [
    "BRAND_COLUMN", "USER_COLUMN", "converted", "converted_form", "dating", "envelope", "few_converted", "inked_columns",
]  # fmt: skip

BRAND_COLUMN, USER_COLUMN = "ext_brand_id", "user_ext_id"
FIRST_INK, PAST_INK = "!", "\x7f"  # what begins in between is neither empty nor blank, whatever counts as a space


@cache
def of_no_column() -> Mapping[PropertyType, pl.DataType]:
    """What a property is where no column fills it; a text where it is not here."""
    return {"date": pl.Int64(), "boolean": pl.Boolean(), "number": pl.Float64()}


def envelope(mapping: ViewMapping, schema: Mapping[str, pl.DataType], inked: AbstractSet[str]) -> tuple[Step, ...]:
    """Brand, user, type, date and key of each row; null where they cannot be told. The role where values hang on it.

    `inked`: columns of texts of which none is blank, or NULL.
    """
    own = mapping.options.brand
    made: dict[str, Callable[[], pl.Expr]] = {
        BRAND: partial(pl.lit, own) if own else partial(name_of, mapping.called[BRAND_COLUMN], schema, inked),
        USER: partial(name_of, mapping.called[USER_COLUMN], schema, inked),
        TYPE: partial(type_of, mapping, schema),
        DATE: partial(date_of, mapping, schema),
        KEY: partial(key_of, mapping),
    }
    if any(hangs_on_role(known) for known in mapping.properties):
        made[ROLE] = partial(role_of, mapping, schema)
    few = few_envelope(mapping, schema)
    return tuple(Step(name, cache(expr), few[name]) for name, expr in made.items())


def few_envelope(mapping: ViewMapping, schema: Mapping[str, pl.DataType]) -> dict[str, few_rows.Maker | None]:
    """The same of a handful of rows."""
    options, kind = mapping.options, mapping.kind
    column = mapping.relation.column(options.type_column) if options.roles else None
    if column is None:
        role = few_rows.same(implied_role(kind, options))
        event_type = few_rows.same(options.event_type or kind.event_types[""])
    else:
        role = few_rows.words(column, roles_by_word(mapping, column, schema))
        event_type = few_rows.words(column, types_by_word(mapping, column, schema))
    hints = Hints(timezone=mapping.relation.timezone)
    moments = {
        name: few_rows.first(
            [few_rows.value(each, "date", schema[each.name], hints) for each in dating(columns, schema)], pl.Int64()
        )
        for name, columns in mapping.dates.items()
    }
    brand = few_rows.same(options.brand) if options.brand else few_rows.name(mapping.called[BRAND_COLUMN])
    return {
        BRAND: brand,
        USER: few_rows.name(mapping.called[USER_COLUMN]),
        TYPE: event_type,
        DATE: few_rows.dates(moments, role if len(moments) > 1 else None),
        KEY: few_rows.key([f"@key.{index}" for index in range(len(mapping.relation.key))]),
        ROLE: role,
    }


def few_converted(known: Property, schema: Mapping[str, pl.DataType]) -> few_rows.Maker | None:
    """The property's value in a handful of rows, where its columns are all read in one form."""
    if known.target != "string" and len({origin.column.family for origin in known.origins}) > 1:
        return None
    made = [
        few_rows.in_rows(
            origin.roles,
            ROLE,
            few_rows.value(origin.column, known.target, schema[origin.column.name], origin.hints),
        )
        for origin in known.origins
    ]
    return few_rows.first(made, of_no_column().get(known.target, pl.String()))


def hangs_on_role(known: Property) -> bool:
    """Whether a property is for rows of some roles only, or needed in them."""
    return bool(known.needed_in) or any(origin.roles for origin in known.origins)


def key_of(mapping: ViewMapping) -> pl.Expr:
    """The key's columns as one text."""
    key = [pl.col(f"@key.{index}") for index in range(len(mapping.relation.key))]
    return pl.concat_str(key, separator=",", ignore_nulls=True) if key else pl.col("@cursor")


def dating(columns: Sequence[Column], schema: Mapping[str, pl.DataType]) -> list[Column]:
    """The columns that say when, as a page has them: the time of its messages may be wanting in some of them."""
    return [replace(each, name=DATED) if each.name == TIME and DATED in schema else each for each in columns]


def date_of(mapping: ViewMapping, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """When each row happened, by the dates of its role."""
    role = role_of(mapping, schema)
    hints = Hints(timezone=mapping.relation.timezone)

    def first(columns: tuple[Column, ...]) -> pl.Expr:
        made = [conversion(column, "date", schema[column.name], hints).expr for column in dating(columns, schema)]
        return pl.coalesce(made) if made else pl.lit(None, pl.Int64)

    when = first(mapping.dates[""])
    for name, columns in mapping.dates.items():
        if name:
            when = pl.when(role == name).then(first(columns)).otherwise(when)
    return when


def name_of(column: Column, schema: Mapping[str, pl.DataType], inked: AbstractSet[str]) -> pl.Expr:
    """A brand or a user as text, null where it is empty; a whole number has no point, however the database stores it."""
    name = id_text(pl.col(column.name), column.family)
    sure = schema[column.name].is_integer() or (column.family == "text" and column.name in inked)
    return name if sure else pl.when(~blank(name)).then(name)


def inked_columns(mapping: ViewMapping, page: pl.DataFrame) -> frozenset[str]:
    """The columns of texts that must not be blank, and are not in any row: each text begins with a printable character of ASCII.

    To know it costs a third of a look for blanks. A handful of rows is not looked at: it is mapped otherwise.
    """
    asked = {column.name for name, column in mapping.called.items() if name in (BRAND_COLUMN, USER_COLUMN)}
    for known in mapping.properties:
        asked |= {origin.column.name for origin in known.origins if origin.hints.needed}
    texts = (name for name in sorted(asked) if page.schema[name] == pl.String)
    full = [name for name in texts if not page.get_column(name).null_count()]
    if not full or page.height <= FEW:
        return frozenset()
    lowest, highest = page.select(pl.col(full).min()).row(0), page.select(pl.col(full).max()).row(0)
    return frozenset(
        name for name, low, high in zip(full, lowest, highest, strict=True) if low >= FIRST_INK and high < PAST_INK
    )


def converted_form(known: Property, schema: Mapping[str, pl.DataType]) -> Form:
    """The form of what `converted` makes."""
    each = (form_of(origin.column, known.target, schema[origin.column.name], origin.hints) for origin in known.origins)
    return "json" if "json" in each else "value"


def converted(known: Property, schema: Mapping[str, pl.DataType], inked: AbstractSet[str]) -> Conversion:
    """The property's value from its columns: the first that is not NULL, in rows of the roles it is for. `inked` as in `envelope`."""
    each = []
    for origin in known.origins:
        hints = replace(origin.hints, needed=False) if origin.column.name in inked else origin.hints
        made = conversion(origin.column, known.target, schema[origin.column.name], hints)
        expr, again, given = (in_roles(origin.roles, part) for part in (made.expr, made.again, made.given))
        each.append(Conversion(expr, again, given, made.form))
        if known.target == "string" and origin.column.name in inked and not origin.roles:
            break  # it is NULL nowhere
    if not each:
        nothing = pl.lit(None, of_no_column().get(known.target, pl.String()))
        return Conversion(nothing, nothing, pl.lit(value=False))
    if len(each) == 1:
        return each[0]
    form: Form = "json" if any(part.form == "json" for part in each) else "value"
    if form == "json":
        each = [part if part.form == "json" else as_json(part) for part in each]
    return Conversion(
        pl.coalesce(part.expr for part in each),
        pl.coalesce(part.again for part in each),
        pl.any_horizontal(part.given for part in each),
        form,
    )


def as_json(made: Conversion) -> Conversion:
    """The value as JSON text, null where it is null."""

    def text(value: pl.Expr) -> pl.Expr:
        # polars writes JSON only for an object, here {"":…}.
        wrapped = pl.struct(value.alias("")).struct.json_encode()
        return pl.when(value.is_not_null()).then(wrapped.str.slice(4).str.head(-1))

    return Conversion(text(made.expr), text(made.again), made.given, "json")
