"""What would become of some rows: the daemon's own pipeline over them, counted. Nothing is sent, kept, or shown of a person."""

from __future__ import annotations

from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING

import polars as pl
from msgspec import Struct

from smartico_sync.catalogue.events import EVENTS
from smartico_sync.core.conversion import CODED
from smartico_sync.core.diff import nothing_known
from smartico_sync.core.events import DATE, KEY, POSITION
from smartico_sync.core.mapping import events
from smartico_sync.core.moment_checks import Oddity, oddities
from smartico_sync.core.pipeline import prepare
from smartico_sync.core.redaction import from_database
from smartico_sync.core.selection import fits, words_by_role
from smartico_sync.core.validation import EVENT_DATE, broken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.core.pipeline import PipelineOptions
    from smartico_sync.core.view_mapping import ViewMapping

__all__ = ["Breach", "Refused", "Roleless", "Survey", "near_event_type", "survey"]

EXAMPLES = 3  # keys of refused rows that are named
ALIKE = 0.8  # of 1: a letter or two in a word
MOST_WORDS = 20  # different values of a column that says what a row is; what has more is another column


class Refused(Struct, frozen=True):
    """Rows that cannot be events, by the reason, and the keys of some of them."""

    reason: str
    rows: int
    keys: tuple[str, ...] = ()


class Breach(Struct, frozen=True):
    """Values of a property that break a rule of the catalogue."""

    property: str
    rows: int
    rule: str


class Roleless(Struct, frozen=True):
    """A value of the type column that no role has, None for NULL; `near`: the configured value that was probably meant."""

    value: str | None
    rows: int
    near: str = ""


class Survey(Struct, frozen=True):
    """What would become of rows. rows = sent + refused + skipped + same.

    `skipped` are left out as the configuration says, `same` are profiles that repeat the row before. `nulls`: how many rows are
    NULL, by column; `empty`: events without a value of a property that an event or a player needs. `unreadable`: optional values that are left
    out because they cannot be read, by property. `roleless` holds no value where the column has so many that it says
    something else (`words` of them). `idle`: roles that no row has. `unmet`: columns of `where:`
    of whose words no row has one. `coded`: custom properties of a type that flags have too, whose values are more than those.
    """

    rows: int
    sent: int
    skipped: int
    same: int
    refused: tuple[Refused, ...]
    nulls: Mapping[str, int]
    empty: Mapping[str, int]
    unreadable: Mapping[str, int]
    breaches: tuple[Breach, ...]
    roleless: tuple[Roleless, ...]
    words: int
    idle: tuple[str, ...]
    unmet: tuple[str, ...]
    coded: tuple[str, ...]
    moments: tuple[Oddity, ...]

    @property
    def given_up(self) -> int:
        """How many rows would be dead letters."""
        return sum(each.rows for each in self.refused)


def survey(rows: pl.DataFrame, options: PipelineOptions, now_ms: int) -> Survey:
    """Send the rows through the pipeline as if none had been sent before. `now_ms` is the source's clock."""
    mapping = options.mapping
    mapped = events(mapping, rows)
    batch = prepare(rows, options, lambda _: nothing_known(), now_ms)
    rules = {name: rule for name, (_, rule) in broken(mapped.events.frame, now_ms, options.future_ms).items()}
    wrong = Counter(batch.invalid) - Counter(mapped.invalid)
    words = words_by_role(mapping, rows)
    return Survey(
        rows=rows.height,
        sent=len(batch.send),
        skipped=batch.skipped,
        same=batch.quiet.height,
        refused=refused(mapping, batch.rejects),
        nulls={name: rows.get_column(name).null_count() for name in rows.columns if name[0] != "@"},
        empty=empty(mapping, mapped.events.frame),
        unreadable=dict(mapped.invalid),
        breaches=tuple(
            Breach(name, count, rules.get(name, "what it was: it can never change"))
            for name, count in sorted(wrong.items())
            if name != EVENT_DATE
        ),
        roleless=named(mapping, words),
        words=words.height,
        idle=idle(mapping, words),
        unmet=unmet(mapping, rows),
        coded=coded(mapping, rows),
        moments=oddities(
            mapping,
            rows,
            mapped.events.frame.select(POSITION, DATE, *dates(mapping, mapped.events.frame)),
            now_ms,
            options.future_ms,
        ),
    )


def refused(mapping: ViewMapping, rejects: pl.DataFrame) -> tuple[Refused, ...]:
    """The reasons, the most frequent first. Keys of players, and those with personal data in them, are not named."""
    shown = mapping.kind.role != "profile" and not set(mapping.relation.key) & mapping.options.blind
    told = rejects.group_by("reason", maintain_order=True).agg(pl.len().alias("rows"), pl.col(KEY).head(EXAMPLES))
    return tuple(
        Refused(reason, rows, tuple(key for key in keys if key) if shown and mapping.relation.key else ())
        for reason, rows, keys in told.sort("rows", descending=True, maintain_order=True).iter_rows()
    )


def empty(mapping: ViewMapping, frame: pl.DataFrame) -> dict[str, int]:
    """Events without what a player needs. What an event needs is among the refused."""
    names = [name for name in mapping.kind.expected if name in frame.columns]
    counts = {name: frame.get_column(name).null_count() for name in names}
    return {name: count for name, count in counts.items() if count}


def named(mapping: ViewMapping, words: pl.DataFrame) -> tuple[Roleless, ...]:
    """Values without a role; none is shown of a column with personal data, or with too many of them."""
    roleless = words.filter(pl.col("role").is_null())
    if roleless.height > MOST_WORDS or mapping.options.type_column in mapping.options.blind:
        return ()
    unseen = frozenset(mapping.options.roles) - set(words.get_column("word").drop_nulls())
    return tuple(
        Roleless(None if word is None else from_database(word), rows, meant(mapping, word or "", unseen))
        for word, rows in roleless.select("word", "rows").iter_rows()
    )


def meant(mapping: ViewMapping, word: str, unseen: frozenset[str]) -> str:
    """The configured value that a value without a role is probably written for; empty for none.

    It differs in case and spaces alone, or in a letter or two where no row has the configured one (`unseen`).
    """
    folded = {configured.strip().casefold(): configured for configured in mapping.options.roles}
    plain = word.strip().casefold()
    near = get_close_matches(plain, [each for each, configured in folded.items() if configured in unseen], 1, ALIKE)
    return folded.get(plain, "") or (folded[near[0]] if near and not plain.isdecimal() else "")


def idle(mapping: ViewMapping, words: pl.DataFrame) -> tuple[str, ...]:
    """Roles that no row has."""
    there = set(words.get_column("role").drop_nulls())
    return tuple(dict.fromkeys(role for role in mapping.options.roles.values() if role not in there and words.height))


def unmet(mapping: ViewMapping, rows: pl.DataFrame) -> tuple[str, ...]:
    """Columns of `where:` that leave out every row."""
    where, relation = mapping.options.where, mapping.relation
    judged = {name: fits(column, rows.schema[name], where[name]) for name in where if (column := relation.column(name))}
    found = rows.select(fitting.any().alias(name) for name, fitting in judged.items()) if rows.height else None
    return () if found is None else tuple(name for name in judged if not found.get_column(name).item())


def coded(mapping: ViewMapping, rows: pl.DataFrame) -> tuple[str, ...]:
    """Custom properties from a TINYINT(1) that holds codes: a frame has them as text."""
    return tuple(
        known.columns[0].name
        for known in mapping.properties
        if known.target == "any"
        and known.columns[0].family == "boolean"
        and known.columns[0].type.startswith(CODED)
        and rows.schema[known.columns[0].name] == pl.String
    )


def dates(mapping: ViewMapping, frame: pl.DataFrame) -> list[str]:
    """Properties that are moments, and no calendar days."""
    return [
        known.name
        for known in mapping.properties
        if known.name in frame.columns
        and frame.schema[known.name] == pl.Int64
        and (known.target == "date" or known.expected == "date")
        and not any(origin.hints.day for origin in known.origins)
    ]


def near_event_type(name: str) -> str | None:
    """The known event type that an unknown one was probably meant to be, empty where none is near; None for a known one."""
    if name in EVENTS:
        return None
    return next(iter(get_close_matches(name, EVENTS, n=1, cutoff=0.7)), "")
