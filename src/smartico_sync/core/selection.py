"""Which rows of a page are meant, and what each is: the columns that say so, compared with the configured words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from smartico_sync.core.conversion import FALSE, TRUE, id_text, truth

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from smartico_sync.catalogue.kinds import Kind
    from smartico_sync.core.relation import Column
    from smartico_sync.core.view_mapping import Options, ViewMapping

__all__ = [
    "ROLE",
    "chosen",
    "fits",
    "implied_role",
    "in_roles",
    "role_of",
    "roles_by_word",
    "told_roles",
    "type_of",
    "types_by_word",
    "words_by_role",
]

ROLE = "@role"  # String: the row's role, in views that hold several and only while rows are mapped
COMPARED = 4  # words: to compare texts with each costs less than to look them up, a fifth for two of them
FLAGS = frozenset({"true", "false"})
FLAG_FAMILIES = frozenset({"boolean", "integer", "decimal", "float"})


def chosen(mapping: ViewMapping, page: pl.DataFrame, unread: Iterable[str]) -> pl.DataFrame:
    """The rows that the configuration does not leave out. What cannot be judged, because it is unreadable, stays."""
    options, relation = mapping.options, mapping.relation
    kept = [
        fits(found, page.schema[name], words)
        for name, words in options.where.items()
        if (found := relation.column(name))
    ]
    if options.other == "ignore" and options.roles:
        kept.append(role_of(mapping, page.schema).is_not_null())
    if not kept:
        return page
    judged = pl.all_horizontal(kept)
    if set(unread) & {*options.where, options.type_column}:
        judged = judged | pl.col("@unreadable").is_not_null()
    return page.filter(judged)


def fits(column: Column, dtype: pl.DataType, words: tuple[str | None, ...]) -> pl.Expr:
    """Whether a row's value is one of the words. A flag that is NULL counts as false."""
    texts = [word for word in words if word is not None]
    if texts and {word.lower() for word in texts} <= FLAGS:
        said = truth(pl.col(column.name)).fill_null(value=False)
        return said.is_in([word.lower() == "true" for word in texts])
    found = words_of(column).is_in([canonical(column, dtype, word) for word in texts]).fill_null(value=False)
    return found | pl.col(column.name).is_null() if None in words else found


def role_of(mapping: ViewMapping, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """The role of each row; null for a value of the type column that has none."""
    options = mapping.options
    column = mapping.relation.column(options.type_column)
    if not options.roles or column is None:
        return pl.lit(implied_role(mapping.kind, options))
    return said(words_of(column), roles_by_word(mapping, column, schema))


def roles_by_word(mapping: ViewMapping, column: Column, schema: Mapping[str, pl.DataType]) -> dict[str, str]:
    """The role of each word that the type column may hold."""
    return {canonical(column, schema[column.name], word): role for word, role in mapping.options.roles.items()}


def words_by_role(mapping: ViewMapping, page: pl.DataFrame) -> pl.DataFrame:
    """What the type column holds [word String|null, role String|null, rows UInt32], the most frequent first; empty without one."""
    column = mapping.relation.column(mapping.options.type_column)
    if column is None or not mapping.options.roles:
        return pl.DataFrame(schema={"word": pl.String, "role": pl.String, "rows": pl.UInt32})
    told = page.select(words_of(column).cast(pl.String).alias("word"), role_of(mapping, page.schema).alias("role"))
    return told.group_by("word", "role").agg(pl.len().alias("rows")).sort("rows", "word", descending=[True, False])


def type_of(mapping: ViewMapping, schema: Mapping[str, pl.DataType]) -> pl.Expr:
    """The event type of each row; null where the row has no role."""
    options, kind = mapping.options, mapping.kind
    column = mapping.relation.column(options.type_column)
    if not options.roles or column is None:
        return pl.lit(options.event_type or kind.event_types[""])
    return said(words_of(column), types_by_word(mapping, column, schema))


def types_by_word(mapping: ViewMapping, column: Column, schema: Mapping[str, pl.DataType]) -> dict[str, str]:
    """The event type of each word that the type column may hold."""
    return {word: mapping.kind.event_types[role] for word, role in roles_by_word(mapping, column, schema).items()}


def said(words: pl.Expr, meaning: Mapping[str, str]) -> pl.Expr:
    """What each word stands for; null for one without a meaning."""
    if not 0 < len(meaning) <= COMPARED:
        return words.replace_strict(meaning, default=None, return_dtype=pl.String)
    return pl.coalesce(pl.when(words == word).then(pl.lit(meant)) for word, meant in meaning.items())


def implied_role(kind: Kind, options: Options) -> str:
    """The role that all rows have where no column says it: that of the configured event type."""
    return next((role for role in kind.row_roles if kind.event_types[role] == options.event_type), "")


def told_roles(kind: Kind, options: Options) -> tuple[str, ...]:
    """The roles that rows may have; none where all rows are of one kind."""
    implied = implied_role(kind, options)
    return tuple(dict.fromkeys(options.roles.values())) or ((implied,) if implied else ())


def in_roles(roles: frozenset[str], made: pl.Expr) -> pl.Expr:
    """The value in rows of these roles, null in others; in all rows where no role is named."""
    return pl.when(pl.col(ROLE).is_in(sorted(roles))).then(made) if roles else made


def words_of(column: Column) -> pl.Expr:
    """A column as the words that the configuration writes: whole numbers without a point."""
    return id_text(pl.col(column.name), column.family)


def canonical(column: Column, dtype: pl.DataType, word: str) -> str:
    """A configured word as the column has it: `1`, `Y` and `true` are one for a flag, which may be stored as a number."""
    if column.family not in FLAG_FAMILIES or word.lower() not in (*TRUE, *FALSE):
        return word
    truth_value = word.lower() in TRUE
    return str(truth_value).lower() if dtype == pl.Boolean else str(int(truth_value))
