"""A handful of rows becomes a batch in plain values, and many as columns: the same is sent, kept, remembered and left out."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from unittest.mock import patch

import msgspec
import polars as pl
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from parts import parts
from smartico_sync.catalogue.kinds import kind
from smartico_sync.core import pipeline
from smartico_sync.core.diff import nothing_known
from smartico_sync.core.events import Events
from smartico_sync.core.few_batch import few_batch
from smartico_sync.core.folding import ALL
from smartico_sync.core.mapping import keys_of
from smartico_sync.core.pipeline import PipelineOptions, prepare
from smartico_sync.core.planning import plan
from smartico_sync.core.records import Holds
from smartico_sync.core.relation import Column, Relation
from smartico_sync.core.view_mapping import Options

from .test_few_rows import ENVELOPE, HELD, ROLES, USUAL, pages

NOW_MS = 1_800_000_000_000
SECRET = bytes(range(32))
LATELY = st.datetimes(datetime(2001, 1, 1), datetime(2026, 12, 1))  # noqa: DTZ001 - made aware where the family is
MOMENTS = LATELY | st.builds(
    lambda year: datetime(year, 12, 31, 23, 59, 59, 999_999),  # noqa: DTZ001
    st.sampled_from([1969, 1999, 2025]),
)
# What columns hold nearly always, and now and then what has to be looked at with more care.
ORDINARY = {
    "text": st.sampled_from(["a", "7", "MT", "DE", "EN", "EUR", "ACTIVE", "é\x1f", "\x1e-", " ", ""]),
    "decimal": st.sampled_from(["1.50", "-0", "0.00", "7", "1E+2", "NaN"]), "uuid": st.sampled_from(["0e8b", "0e8c"]),
    "integer": st.integers(-3, 3) | st.sampled_from([-(2**63), 2**63 - 1]), "float": st.floats(), "boolean": st.booleans(),
    "timestamp": MOMENTS, "instant": MOMENTS.map(lambda at: at.replace(tzinfo=UTC)), "date": st.dates(date(1960, 1, 1), date(2026, 12, 1)),
    "json": st.sampled_from(["{}", '["a"]', "null", "x"]), "array": st.sampled_from(['["b", "a"]', "[]", "x"]),
}  # fmt: skip
# What breaks no rule, whichever column holds it.
CALM = ORDINARY | {
    "text": st.sampled_from(["MT", "DE"]), "decimal": st.sampled_from(["1.50", "-0", "0.00", "7", "1E+2"]),
    "float": st.floats(allow_nan=False, allow_infinity=False), "integer": st.integers(-3, 3),
    "json": st.just('{"a": 1}'), "array": st.just('["b", "a"]'), "timestamp": LATELY, "instant": LATELY.map(lambda at: at.replace(tzinfo=UTC)),
}  # fmt: skip
# What a row is no event without.
NEEDED = frozenset(
    {"bet_id", "id", "bet_date", "placed_date", "settled_date", "bet_amount", "win_amount", "game_name", "round_id"}
)
RULED = {"core_account_status": ["ACTIVE", "BLOCKED"], "core_wallet_currency": ["EUR"]}
CURSOR = "a_cursor"
CURSORS = ["instant", "timestamp", "integer", "decimal", "date", "text"]


@st.composite
def ordinary_pages(draw, mood, of_kinds=(*USUAL,)):
    """A mapping of some kind, and a page of one to three rows as a database has them; of a calm one nearly none is unusual."""
    calm, of_kind = mood == "calm", draw(st.sampled_from(of_kinds))
    odd = draw(st.sampled_from([*USUAL[of_kind]]))
    families = {}
    for column, there in (ENVELOPE | USUAL[of_kind]).items():
        found = [family for family in there if family in ORDINARY]
        families[column] = found[0] if calm and column != odd else draw(st.sampled_from(found))
    families[CURSOR] = draw(st.sampled_from(CURSORS[: 2 if of_kind == "users" else 4] if calm else CURSORS))
    height = draw(st.integers(1, 3))
    held = {}
    for column, of in families.items():
        values, dtype = (CALM if calm else ORDINARY)[of], HELD[of][1]
        some = values if calm and column in {*ENVELOPE, *NEEDED, CURSOR} else st.none() | values
        if column == "tx_type":
            some = st.sampled_from(["BET", "WIN"] if calm else ["BET", "WIN", "x", None])
        elif column in RULED and calm:
            some = st.none() | st.sampled_from(RULED[column])
        elif column == CURSOR and of in ("decimal", "text"):
            some = st.sampled_from(["1", "22", "007"])
        elif column in ENVELOPE and of in ("text", "integer"):
            some = st.sampled_from(["a", "b", "c", "d e", "e\x1f"]) if of == "text" else st.integers(1, 9)
        unique = calm and (column == CURSOR or (column == "user_ext_id" and of != "float"))
        drawn = st.lists(some, min_size=height, max_size=height, unique=unique)
        held[column] = pl.Series(draw(drawn), dtype=dtype)
    columns = tuple(Column(column, of, of) for column, of in families.items())
    roles = ROLES.get(of_kind, {})
    options = Options(
        event_type="client_action" if of_kind == "custom" else "",
        type_column="tx_type" if roles else "",
        roles=roles,
        other=draw(st.sampled_from(["dead_letter", "ignore"])),
        brand=draw(st.sampled_from(["", "one"])),
        clears=draw(st.sampled_from([frozenset(), frozenset({ALL}), frozenset({"user_country"})])),
        generation=draw(st.sampled_from([0, 2])),
        secret=SECRET,
    )
    keys = [None] if calm and of_kind != "custom" else [("user_ext_id",)] if calm else [("user_ext_id",), None, ()]
    key = keys_of(kind(of_kind), draw(st.sampled_from(keys)), columns, options.type_column)
    mapping = plan("v", kind(of_kind), Relation("v", CURSOR, key, relation="v", columns=columns), options)
    frame = pl.DataFrame(held).with_columns(
        pl.col(CURSOR).cast(pl.String).alias("@cursor"),
        *(pl.col(part).cast(pl.String).alias(f"@key.{place}") for place, part in enumerate(key)),
    )
    return mapping, frame


def as_columns(rows, options, *words, **named):
    """What `prepare` makes of rows where it looks at none by itself."""
    with patch.object(pipeline, "few_batch", lambda *_: None):
        return prepare(rows, options, *words, **named)


def same(found, expected):
    """Whether two batches are equal in all that they hold; frames also in their columns and dtypes."""
    for name in expected.__struct_fields__:
        one, other = getattr(found, name), getattr(expected, name)
        if isinstance(one, Events):
            assert (one.raw, one.optional) == (other.raw, other.optional)
            one, other = one.frame, other.frame
        if isinstance(one, pl.DataFrame):
            assert one.schema == other.schema, name
            assert one.equals(other), name
        elif isinstance(one, Holds):
            assert (one.own, one.earlier) == (other.own, other.earlier)
        else:
            assert one == other, name


def options_of(mapping, **more):
    return PipelineOptions(mapping=mapping, secret=SECRET[::-1], park_ms=0, **more)


@parts(12)
@settings(max_examples=9, deadline=timedelta(seconds=5))
@given(
    ordinary_pages("calm") | ordinary_pages("any") | pages(),
    st.sampled_from(["report", "omit", "dead_letter"]),
    st.sampled_from([False, False, False, True]),
)
def test_rows_become_the_same_batch(part, drawn, on_invalid, somebody_waits):
    """Whatever the columns hold: alone and as columns."""
    mapping, rows = drawn
    options = options_of(mapping, on_invalid=on_invalid)
    expected = as_columns(rows, options, lambda _: nothing_known(), NOW_MS, holds=Holds())
    players = expected.send.frame.get_column("@player").to_list()
    waiting = frozenset(players[:1] if somebody_waits else [])
    if waiting:
        expected = as_columns(rows, options, lambda _: nothing_known(), NOW_MS, waiting, holds=Holds())
    alone = few_batch(rows, options, lambda _: nothing_known(), NOW_MS, waiting, Holds())
    event("alone" if alone is not None else "as columns")
    if alone is not None:
        same(alone, expected)
    same(prepare(rows, options, lambda _: nothing_known(), NOW_MS, waiting, holds=Holds()), expected)


@parts(12)
@settings(max_examples=9, deadline=timedelta(seconds=5))
@given(ordinary_pages("calm", ("users",)) | ordinary_pages("any", ("users",)), st.data())
def test_profiles_become_the_same_batch_beside_what_is_known(part, drawn, data):
    """Of players whose state is as it was, older, newer or nobody's; and of rows of which one value is another, or none."""
    mapping, rows = drawn
    options = options_of(mapping, ahead_ms=data.draw(st.sampled_from([0, 86_400_000])))
    first = as_columns(rows, options, lambda _: nothing_known(), NOW_MS, holds=Holds())
    known = first.profiles.unique("id", keep="last", maintain_order=True).select("id", "whole", "parts", "cursor_at")
    known = {
        "as it was": known,
        "nobody's": nothing_known(),
        "of no time": known.with_columns(cursor_at=pl.lit(None, pl.Int64)),
        "older": known.with_columns(pl.col("cursor_at") - 1),
        "newer": known.with_columns(pl.col("cursor_at") + 1),
        "doubted": known.with_columns(whole=pl.lit(b""), parts=pl.lit(None, pl.Binary)),
        "without cursors": known.drop("cursor_at"),
        "with others": pl.concat([known, known.with_columns(pl.col("id") + 1)]).unique("id", maintain_order=True),
    }[
        data.draw(
            st.sampled_from(
                ["as it was", "nobody's", "of no time", "older", "newer", "doubted", "without cursors", "with others"]
            )
        )
    ]
    changed = data.draw(st.sampled_from(["", "user_country", "core_username", "core_registration_date"]))
    if changed:
        rows = rows.with_columns(pl.when(data.draw(st.booleans())).then(pl.col(changed).shift(1)).alias(changed))
    words = (rows, options, lambda ids: known.filter(pl.col("id").is_in(ids.implode())), NOW_MS)
    alone = few_batch(*words, frozenset(), Holds())
    event("alone" if alone is not None else "as columns")
    if alone is not None:
        event(f"{alone.send.frame.height} sent, {alone.quiet.height} quiet, {alone.profiles.height} remembered")
        same(alone, as_columns(*words, holds=Holds()))


PLAIN = {
    "text": "MT", "integer": 7, "decimal": "1.50", "boolean": True, "date": date(2020, 1, 2), "instant": datetime(2020, 1, 2, tzinfo=UTC),
}  # fmt: skip


@pytest.mark.parametrize("of_kind", [*sorted(ROLES), "users"])
def test_plain_rows_are_looked_at_one_by_one(of_kind):
    """As nearly all are: of a view of the usual types none is looked at as columns."""
    families = {column: there[0] for column, there in (ENVELOPE | USUAL[of_kind]).items() if there[0] != "array"}
    columns = tuple(Column(column, family, family) for column, family in families.items())
    roles = ROLES.get(of_kind, {})
    options = Options(type_column="tx_type" if roles else "", roles=roles, secret=SECRET)
    key = keys_of(kind(of_kind), None, columns, options.type_column)
    mapping = plan("v", kind(of_kind), Relation("v", "dt", key, relation="v", columns=columns), options)
    held = {column: pl.Series([PLAIN[family]], dtype=HELD[family][1]) for column, family in families.items()}
    held |= {"tx_type": pl.Series(["BET"])} if roles else {}
    rules = {"core_account_status": "ACTIVE"}
    held |= {column: pl.Series([value]) for column, value in rules.items() if column in held}
    rows = pl.DataFrame(held).with_columns(
        pl.lit("c").alias("@cursor"), *(pl.lit("k").alias(f"@key.{place}") for place in range(len(key)))
    )
    words = (rows, options_of(mapping), lambda _: nothing_known(), NOW_MS)
    found = few_batch(*words, frozenset(), Holds())
    assert found is not None
    assert len(found.send) == 1
    same(found, as_columns(*words, holds=Holds()))


def test_a_date_that_python_does_not_have_is_looked_at_as_a_column():
    columns = tuple(
        Column(name, family, family)
        for name, family in {**{n: f[0] for n, f in ENVELOPE.items()}, "dt": "instant"}.items()
    )
    options = Options(event_type="client_action", secret=SECRET)
    mapping = plan("v", kind("custom"), Relation("v", "dt", ("user_ext_id",), relation="v", columns=columns), options)
    far = pl.Series([253_402_300_800_000_000], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))  # the year 10000
    rows = pl.DataFrame({"ext_brand_id": ["b"], "user_ext_id": [1], "dt": far, "@cursor": ["c"], "@key.0": ["1"]})
    words = (rows, options_of(mapping), lambda _: nothing_known(), NOW_MS)
    assert few_batch(*words, frozenset(), Holds()) is None
    assert msgspec.structs.asdict(prepare(*words, holds=Holds()))["rejects"].height == 0
