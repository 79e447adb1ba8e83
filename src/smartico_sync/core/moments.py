"""Moments and days on the wire: epoch milliseconds UTC, from whatever a database or a person wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from smartico_sync.core.relation import Family

__all__ = ["SECONDS_BELOW", "day_ms", "day_ms_again", "epoch_ms", "epoch_ms_again", "epoch_us_text", "no_date"]

SECONDS_BELOW = 100_000_000_000  # an epoch below it (the year 5138) counts seconds, from there on milliseconds
CLOCK = "%Y-%m-%dT%H:%M:%S%.f"
ZERO_DATE = "0000-00-00"  # MySQL's way to store that there is no date
DAY = r"^(\d{4}-\d\d-\d\d)(?:$|[T ])"
DAY_ALONE = r"^(\d{4}-\d\d-\d\d)$"  # with a time behind it that cannot be read, a day would be the wrong moment


def epoch_ms(column: pl.Expr, family: Family, timezone: str) -> pl.Expr:
    """A moment; null where it is none at first sight. `timezone` is that of texts without one.

    Numbers are epochs, of seconds or milliseconds by their size; a date is its midnight UTC. Columns of the families
    timestamp and instant hold UTC already.
    """
    if family in ("timestamp", "instant"):
        return column.dt.epoch("ms")
    if family == "date":
        return column.cast(pl.Datetime("ms")).dt.epoch("ms")
    if family in ("integer", "decimal", "float"):
        return from_number(column, family)
    plain = column.cast(pl.String, strict=False).str.replace(" ", "T", literal=True)
    return to_utc(plain.str.to_datetime(CLOCK, strict=False, time_unit="us"), timezone).dt.epoch("ms")


def epoch_ms_again(column: pl.Expr, timezone: str) -> pl.Expr:
    """Texts on a second look: with a zone, without seconds, a day alone, or an epoch in digits."""
    plain = tidy(column)
    zoned = plain.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", strict=False, time_unit="us").dt.replace_time_zone(None)
    wall = to_utc(plain.str.to_datetime(CLOCK, strict=False, time_unit="us"), timezone)
    return pl.coalesce(zoned.dt.epoch("ms"), wall.dt.epoch("ms"), midnight(days(column, DAY_ALONE)), digits(column))


def epoch_us_text(column: pl.Expr) -> pl.Expr:
    """A time in text as epoch microseconds, UTC where it names no zone; null where it is none."""
    plain = tidy(column)
    zoned = plain.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", strict=False, time_unit="us").dt.replace_time_zone(None)
    wall = plain.str.to_datetime(CLOCK, strict=False, time_unit="us")
    return pl.coalesce(zoned.dt.epoch("us"), wall.dt.epoch("us"))


def day_ms(column: pl.Expr, family: Family, timezone: str) -> pl.Expr:
    """Midnight UTC of a calendar date; null where it is none at first sight. `timezone` is that of the wall clock."""
    if family == "date":
        return midnight(column)
    if family == "timestamp":
        return midnight(wall_day(column.dt.replace_time_zone("UTC"), timezone))
    if family == "instant":
        return midnight(wall_day(column, timezone))
    if family in ("integer", "decimal", "float"):
        return midnight(wall_day(instant(from_number(column, family)), timezone))
    return midnight(column.cast(pl.String, strict=False).str.extract(DAY).str.to_date("%Y-%m-%d", strict=False))


def day_ms_again(column: pl.Expr, timezone: str) -> pl.Expr:
    """Texts on a second look: other ways to write a day, or an epoch in digits."""
    return pl.coalesce(midnight(days(column, DAY)), midnight(wall_day(instant(digits(column)), timezone)))


def no_date(column: pl.Expr) -> pl.Expr:
    """Whether a text says that there is no date."""
    return column.cast(pl.String, strict=False).str.strip_chars().str.starts_with(ZERO_DATE)


def from_number(column: pl.Expr, family: Family) -> pl.Expr:
    """An epoch of seconds or milliseconds."""
    whole = column if family == "integer" else column.cast(pl.Float64, strict=False)
    scaled = pl.when(whole.abs() < SECONDS_BELOW).then(whole * 1000).otherwise(whole)
    rounded = scaled if family == "integer" else scaled.round()
    return rounded.cast(pl.Int64, strict=False)


def tidy(column: pl.Expr) -> pl.Expr:
    """A time as text in one form: `T` between day and time, seconds, and an offset of four digits."""
    plain = column.cast(pl.String, strict=False).str.strip_chars()
    plain = plain.str.replace(r"^(\d{4})/(\d\d)/(\d\d)", "${1}-${2}-${3}").str.replace(r"^([\d-]{10})[T ]+", "${1}T")
    plain = plain.str.replace(r"\s*(?:Z|z|UTC|GMT)$", "+0000").str.replace(r"(T\d\d:\d\d:\d\d),(\d)", "${1}.${2}")
    plain = plain.str.replace(r"T(\d\d:\d\d)($|[+ -])", "T${1}:00${2}")
    return plain.str.replace(r"(T[\d:.]+)\s*([+-]\d\d):?(\d\d)?$", "${1}${2}${3}").str.replace(
        r"(T[\d:.]+[+-]\d\d)$", "${1}00"
    )


def days(column: pl.Expr, form: str) -> pl.Expr:
    """A day: `1990-05-01`, `1990/05/01` or `19900501`; `form` says what may stand behind it."""
    plain = column.cast(pl.String, strict=False).str.strip_chars()
    plain = plain.str.replace(r"^(\d{4})/?(\d\d)/?(\d\d)$", "${1}-${2}-${3}")
    return plain.str.extract(form).str.to_date("%Y-%m-%d", strict=False)


def digits(column: pl.Expr) -> pl.Expr:
    """An epoch in digits; eight of them are a day, fewer are no moment of our time."""
    plain = column.cast(pl.String, strict=False).str.strip_chars()
    return from_number(pl.when(plain.str.contains(r"^-?\d{9,13}(?:\.\d+)?$")).then(plain), "decimal")


def to_utc(wall: pl.Expr, timezone: str) -> pl.Expr:
    """Wall clocks of a zone to naive UTC: the autumn hour that happens twice is its first pass, what the spring skips null."""
    if timezone == "UTC":
        return wall
    zoned = wall.dt.replace_time_zone(timezone, ambiguous="earliest", non_existent="null")
    return zoned.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def instant(epoch: pl.Expr) -> pl.Expr:
    """Epoch milliseconds as a point in time."""
    return pl.from_epoch(epoch, time_unit="ms").dt.replace_time_zone("UTC")


def wall_day(moment: pl.Expr, timezone: str) -> pl.Expr:
    """The day that the wall clock of a zone shows."""
    return (moment if timezone == "UTC" else moment.dt.convert_time_zone(timezone)).dt.date()


def midnight(day: pl.Expr) -> pl.Expr:
    """A day as epoch milliseconds UTC."""
    return day.cast(pl.Datetime("ms")).dt.epoch("ms")
