"""What keeps rows from being events, and values from being sent; found by a second look where the first left something null."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

import polars as pl
from msgspec import Struct, field

from smartico_sync.catalogue.properties import PROPERTIES
from smartico_sync.core import few_columns
from smartico_sync.core.conversion import Hints, conversion
from smartico_sync.core.events import BRAND, DATE, KEY, PLAYER, POSITION, TYPE, USER
from smartico_sync.core.few_texts import are_few
from smartico_sync.core.identity import row_hashes
from smartico_sync.core.row_values import dating
from smartico_sync.core.selection import ROLE, role_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from smartico_sync.core.conversion import Conversion
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.core.view_mapping import Later, Property, ViewMapping

__all__ = ["Flaws", "moments_in", "unreadable"]

UNREADABLE = "@unreadable"
NOBODYS = ""  # what is unreadable in no column that is known by name


def whose(rows: pl.DataFrame, secret: bytes) -> pl.Series:
    """The players of rows (UInt64); 0 where one names no player, or no brand."""
    named = rows.select(pl.col(BRAND).is_not_null() & pl.col(USER).is_not_null()).to_series()
    texts = rows.select(pl.col(BRAND, USER).fill_null(""))
    nobody = pl.Series([0], dtype=pl.UInt64).new_from_index(0, rows.height)
    return row_hashes(texts, [BRAND, USER], secret).zip_with(named, nobody).alias(PLAYER)


def unreadable(relation: Relation, page: pl.DataFrame) -> dict[str, pl.Series]:
    """What the source could not read, by column: why (String), null in rows where the column is fine."""
    if UNREADABLE not in page.columns:
        return {}
    texts = page.get_column(UNREADABLE)
    told = {text: dict(reasons(text, relation)) for text in texts.drop_nulls().unique()}
    names = dict.fromkeys(name for each in told.values() for name in each)
    return {
        name: texts.replace_strict(
            list(told), pl.Series([each.get(name) for each in told.values()], dtype=pl.String),
            default=None, return_dtype=pl.String,
        )
        for name in names
    }  # fmt: skip


def moments_in(
    mapping: ViewMapping, schema: Mapping[str, pl.DataType], columns: Sequence[Column]
) -> tuple[tuple[Column, Later], ...]:
    """The columns that may say when it happened, as moments."""
    hints = Hints(timezone=mapping.relation.timezone)
    there = zip(columns, dating(columns, schema), strict=True)
    return tuple((column, cache(partial(conversion, own, "date", schema[own.name], hints))) for column, own in there)


def reasons(text: str, relation: Relation) -> Iterator[tuple[str, str]]:
    """Take `column: reason; column: reason` apart; no column's name can hide another."""
    names = sorted((column.name for column in relation.columns), key=len, reverse=True)
    starts = [at for at in range(len(text)) if at == 0 or text.startswith("; ", at - 2)]
    found = [(at, name) for at in starts if (name := next((n for n in names if text.startswith(f"{n}: ", at)), None))]
    if not found or found[0][0]:
        yield NOBODYS, text
        return
    for (at, name), after in zip(found, [*(at for at, _ in found[1:]), len(text) + 2], strict=True):
        yield name, text[at : after - 2]


class Flaws(Struct):
    """The rows of one page on their way to being events. Each step adds what it finds; `sorted_out` ends it."""

    mapping: ViewMapping
    rows: pl.DataFrame
    unread: Mapping[str, pl.Series]
    found: list[tuple[pl.Series, str | pl.Series]] = field(default_factory=list)
    left_out: dict[str, pl.Series] = field(default_factory=dict)

    def add(self, mask: pl.Series, reason: str | pl.Series) -> None:
        """Rows where `mask` is true cannot be events; of several reasons the first one is told."""
        if mask.any():
            self.found.append((mask, reason))

    def roles(self) -> pl.Series:
        """The role of each row."""
        if ROLE in self.rows.columns:
            return self.rows.get_column(ROLE)
        role = self.rows.select(role_of(self.mapping, self.rows.schema).alias(ROLE)).to_series()
        return role if len(role) == self.rows.height else role.new_from_index(0, self.rows.height)

    def envelope(self) -> None:
        """Who, where and what a row is about."""
        mapping = self.mapping
        needed = {NOBODYS, mapping.options.type_column, *mapping.options.where}
        needed |= {column.name for name, column in mapping.called.items() if name == "user_ext_id"}
        if not mapping.options.brand and "ext_brand_id" in mapping.called:
            needed.add(mapping.called["ext_brand_id"].name)
        for name, reason in self.unread.items():
            if name in needed:
                self.add(reason.is_not_null(), reason)
        said = {USER: "user_ext_id", BRAND: "ext_brand_id"}
        for name, column in said.items():
            if self.rows.get_column(name).null_count():
                own = mapping.called[column].name if column in mapping.called else column
                self.add(self.rows.get_column(name).is_null(), f"{own} is NULL or empty")
        if self.rows.get_column(TYPE).null_count():
            kinds = mapping.options.type_column or "type"
            self.add(self.rows.get_column(TYPE).is_null(), f"{kinds} is none of the configured values")
        if self.rows.get_column(DATE).null_count():
            self.add(self.rows.get_column(DATE).is_null(), self.undated())

    def undated(self) -> pl.Series:
        """Why nothing says when a row happened: the columns that may are NULL, by the row's role."""
        told = {}
        for role, columns in self.mapping.dates.items():
            names = " and ".join(column.name for column in columns)
            told[role] = f"no column says when it happened: {names} {'are' if len(columns) > 1 else 'is'} NULL"
        return self.roles().fill_null("").replace_strict(told, default=told[""], return_dtype=pl.String)

    def moments(self, dates: Mapping[str, Sequence[tuple[Column, Later]]]) -> None:
        """When it happened: the first column that says so must be readable. `dates`: those that may say it, by role."""
        for role, made in dates.items():
            self.moments_of(role, made)

    def moments_of(self, role: str, made: Sequence[tuple[Column, Later]]) -> None:
        """Take a second look at the dates of rows of one role."""
        loose = [
            each().given & each().expr.is_null()
            for column, each in made
            if self.rows.get_column(column.name).dtype in (pl.String, pl.Float64)
        ]
        lossy = bool(loose) and self.rows.select(pl.any_horizontal(loose).any()).item()
        if not lossy and not any(column.name in self.unread for column, _ in made):
            return
        undecided = self.roles() == role if role else ~self.roles().is_in([name for name in self.mapping.dates if name])
        values = self.rows.get_column(DATE)
        for column, each in made:
            again, given = (self.rows.select(expr).to_series() for expr in (each().again, each().given))
            told = self.unread.get(column.name)
            given = given.fill_null(value=False) | (told.is_not_null() if told is not None else False)
            if column.name not in self.mapping.named_dates:
                given &= again.is_not_null()  # the cursor stands in; one that is no date at all says nothing
            lost = undecided & given & (again.is_null() | (told.is_not_null() if told is not None else False))
            reason = f"column {column.name}: not a date, and it says when it happened"
            self.add(lost, reason if told is None else told.fill_null(reason))
            values = values.zip_with(~(undecided & given), again)
            undecided &= ~given
        self.rows = self.rows.with_columns(values.alias(DATE))

    def values(self, conversions: Sequence[tuple[Property, Later]]) -> None:
        """What each property is, on a second look where the first one lost something."""
        for known, made in self.suspects(conversions):
            self.look_again(known, made())
        filled = [value for known, _ in conversions if (value := self.filled(known)) is not None]
        if filled:
            self.rows = self.rows.with_columns(filled)
        self.complete([known for known, _ in conversions])

    def suspects(self, conversions: Sequence[tuple[Property, Later]]) -> list[tuple[Property, Later]]:
        """The properties of which some value is null though the source has one."""
        certain, doubtful = [], []
        for known, made in conversions:
            nulls = self.rows.get_column(f"@@{known.name}").null_count()
            if not nulls or not known.origins:
                continue
            if any(column.name in self.unread for column in known.columns):
                certain.append((known, made))
            elif len(known.origins) > 1 or nulls != self.rows.get_column(known.columns[0].name).null_count():
                doubtful.append((known, made))
        if doubtful:
            lost = self.rows.select(
                (pl.col(f"@@{known.name}").is_null() & made().given).any().alias(known.name) for known, made in doubtful
            )
            certain += [(known, made) for known, made in doubtful if lost.get_column(known.name).item()]
        return certain

    def look_again(self, known: Property, made: Conversion) -> None:
        """Read one property with more patience; what is lost then costs the row, or only itself."""
        again, given = (self.rows.select(expr).to_series() for expr in (made.again, made.given))
        told = self.told(known)
        lost = again.is_null() & (given.fill_null(value=False) | told.is_not_null())
        self.rows = self.rows.with_columns(again.alias(f"@@{known.name}"))
        lost = self.otherwise(known, lost)
        if not lost.any():
            return
        if known.demand == "none" and self.mapping.options.unreadable == "omit":
            self.left_out[known.name] = lost
            return
        self.add(lost, told.fill_null(f"column {known.said}: not a {known.expected}, which {known.name} must be"))

    def told(self, known: Property) -> pl.Series:
        """Why the source could not read a property's columns (String), null where it could."""
        reasons = [self.unread[column.name] for column in known.columns if column.name in self.unread]
        nothing = pl.Series([None], dtype=pl.String).new_from_index(0, self.rows.height)
        return pl.select(pl.coalesce(*reasons)).to_series() if reasons else nothing

    def otherwise(self, known: Property, lost: pl.Series) -> pl.Series:
        """Give texts that are no value of this property to the one that takes texts; what is lost all the same."""
        catalogued = PROPERTIES.get(known.name)
        texts = [
            pl.col(column.name).str.strip_chars()
            for column in known.columns
            if self.rows.schema[column.name] == pl.String
        ]
        if not catalogued or f"@@{catalogued.otherwise}" not in self.rows.columns or not texts:
            return lost
        text = self.rows.select(pl.coalesce(*texts)).to_series()
        name = f"@@{catalogued.otherwise}"
        own = self.rows.get_column(name)
        self.rows = self.rows.with_columns(own.zip_with(own.is_not_null() | ~lost, text).alias(name))
        return lost & text.is_null()

    def filled(self, known: Property) -> pl.Expr | None:
        """A property with what the event itself says of it, in rows of its roles; None where that adds nothing."""
        name = f"@@{known.name}"
        value = pl.col(name)
        roles = None
        if known.dated is not None and self.rows.get_column(name).null_count():
            roles, lost = known.dated, self.left_out.get(known.name)
            empty = value.is_null() if lost is None else value.is_null() & ~pl.lit(lost)
            value = pl.when(self.among(roles) & empty).then(pl.col(DATE)).otherwise(value)
        if known.true_in is not None:
            roles = known.true_in
            value = pl.when(self.among(roles)).then(pl.lit(value=True)).otherwise(value)
        return None if roles is None else value.alias(name)

    def complete(self, properties: Sequence[Property]) -> None:
        """Hold the properties against what the kind cannot do without."""
        lacking = [
            known
            for known in properties
            if known.demand == "there" and self.rows.get_column(f"@@{known.name}").null_count()
        ]
        for known, mask in zip(lacking, self.missing(lacking), strict=True):
            lacks = "NULL or empty" if known.target == "string" else "NULL"
            self.add(mask, f"column {known.said} is {lacks}, and {self.mapping.kind.name} needs it as {known.name}")

    def missing(self, properties: Sequence[Property]) -> Sequence[pl.Series]:
        """Where rows lack each of these properties, which their role needs."""
        if not properties:
            return ()
        if are_few(self.rows):
            roles = (
                self.roles().to_list() if any(known.needed_in for known in properties) else [None] * self.rows.height
            )
            return [
                few_columns.column(
                    "truth",
                    [
                        value is None and (not known.needed_in or role in known.needed_in)
                        for value, role in zip(self.rows.get_column(f"@@{known.name}").to_list(), roles, strict=True)
                    ],
                )
                for known in properties
            ]
        masks = (pl.col(f"@@{known.name}").is_null() & self.among(known.needed_in) for known in properties)
        return self.rows.select(mask.alias(str(place)) for place, mask in enumerate(masks)).get_columns()

    def among(self, roles: frozenset[str]) -> pl.Expr:
        """Whether a row has one of these roles; all have where none is named."""
        if not roles:
            return pl.lit(value=True)
        role = pl.col(ROLE) if ROLE in self.rows.columns else role_of(self.mapping, self.rows.schema)
        return role.is_in(sorted(roles)).fill_null(value=False)

    def sorted_out(self) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
        """The rows without a flaw, `@row`, `@key`, `reason` and `@player` of the others, and how many values were left out."""
        rows = self.rows
        if not self.found:
            return rows, no_rejects(), {name: int(mask.sum()) for name, mask in self.left_out.items()}
        said = pl.select(
            pl.coalesce(pl.when(mask).then(pl.lit(reason)) for mask, reason in self.found).alias("reason")
        ).to_series()
        fine = said.is_null()
        bad = rows.filter(~fine)
        rejects = bad.select(POSITION, KEY).with_columns(said.filter(~fine), whose(bad, self.mapping.options.secret))
        counts = {name: int((mask & fine).sum()) for name, mask in self.left_out.items()}
        return rows.filter(fine), rejects, {name: count for name, count in counts.items() if count}


@cache
def no_rejects() -> pl.DataFrame:
    """No rows that cannot be events."""
    return pl.DataFrame(schema={POSITION: pl.UInt32, KEY: pl.String, "reason": pl.String, PLAYER: pl.UInt64})
