"""Rows that would be one event, and what to write so that they are several."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.catalogue.kinds import kind
from smartico_sync.core.few_texts import FEW
from smartico_sync.core.late_commit.delivered_keys import DeliveredKeys
from smartico_sync.core.ledger_keys import WHERE_BITS, few_keys, ledger_keys, which
from smartico_sync.core.planning import plan
from smartico_sync.core.relation import Column, Relation
from smartico_sync.core.uniqueness import not_unique, repeats
from smartico_sync.core.view_mapping import Options

FAMILIES = {"ext_brand_id": "text", "user_ext_id": "text", "bet_id": "text", "dt": "instant", "seq_no": "integer",
            "at": "timestamp", "phone_no": "text", "amount": "decimal"}  # fmt: skip
DTYPES = {"integer": pl.Int64, "instant": pl.Datetime("us", "UTC"), "timestamp": pl.Datetime("us")}
START = datetime(2026, 1, 1, tzinfo=UTC)


def view(cursor="dt", key=("bet_id",), name="custom", drop=(), **options):
    columns = tuple(Column(column, family, family) for column, family in FAMILIES.items() if column not in drop)
    chosen = Options(event_type="x" if name == "custom" else "", secret=bytes(32), **options)
    return plan("bets", kind(name), Relation("bets", cursor, key, relation="bets", columns=columns), chosen)


def page(mapping, *rows):
    """Rows (bet_id, second, seq_no, at, phone_no, amount)."""
    full = [
        {"ext_brand_id": "b", "user_ext_id": "u", "bet_id": bet, "dt": START + timedelta(seconds=second), "seq_no": number,
         "at": datetime(2026, 1, at), "phone_no": phone, "amount": amount}  # noqa: DTZ001 - a wall clock
        for bet, second, number, at, phone, amount in rows
    ]  # fmt: skip
    frame = pl.DataFrame(full, schema={name: DTYPES.get(family, pl.String) for name, family in FAMILIES.items()})
    frame = frame.select(column.name for column in mapping.relation.columns)
    return frame.with_columns(
        pl.col(mapping.relation.cursor).cast(pl.String).alias("@cursor"),
        *(pl.col(part).cast(pl.String).alias(f"@key.{place}") for place, part in enumerate(mapping.relation.key)),
    )


def compared(mapping, rows):
    return repeats(mapping, rows, ledger_keys(mapping, rows))


def test_rows_that_differ_under_one_key_clash_and_copies_do_not():
    """A row that is the same in all columns is a copy; one that differs in any, or stands elsewhere, is another row."""
    mapping = view()
    rows = page(
        mapping,
        ("a", 0, 1, 1, "1", "1"), ("b", 1, 2, 1, "1", "1"), ("b", 1, 2, 1, "1", "1"),
        ("a", 2, 1, 1, "1", "1"), ("c", 3, 4, 1, "1", "1"), ("c", 3, 4, 1, "1", "2"),
    )  # fmt: skip
    found = compared(mapping, rows)
    assert found.copies.arg_true().to_list() == [2]
    assert found.clash.arg_true().to_list() == [0, 3, 4, 5]
    assert compared(mapping, rows.head(2)) is None


def test_rows_of_two_brands_that_stand_at_one_place_clash():
    """They would be two events, but a page that ends between them shows only the first: the brand belongs to the key."""
    mapping = view(drop=("seq_no",))
    rows = page(mapping, ("a", 0, 1, 1, "1", "1"), ("a", 0, 1, 1, "1", "1"))
    rows = rows.with_columns(ext_brand_id=pl.Series(["b", "c"]))
    assert compared(mapping, rows).clash.all()
    error = not_unique(mapping, rows, compared(mapping, rows).clash)
    assert "a page that ends between them would hide all but the first" in error.message
    assert "write `key: [ext_brand_id, bet_id]`," in error.hint
    alone = not_unique(mapping, rows.head(1), pl.Series([True]))
    assert "they would have one event id" in alone.message  # with a row that the source holds and the page does not
    elsewhere = rows.with_columns(pl.Series("@cursor", ["1", "2"]))
    assert not compared(mapping, elsewhere).clash.any()


def test_a_key_that_has_the_brand_already_is_not_told_to_take_it():
    """It would not help: another id is asked for."""
    mapping = view(key=("ext_brand_id", "bet_id"), drop=("seq_no",))
    rows = page(mapping, ("a", 0, 1, 1, "1", "1"), ("a", 0, 1, 1, "1", "2"))
    assert "an id of its own" in not_unique(mapping, rows, compared(mapping, rows).clash).hint


def test_an_id_as_cursor_makes_every_row_one_of_its_own():
    """Whatever repeats in the key."""
    mapping = view("seq_no")
    assert compared(mapping, page(mapping, ("a", 0, 1, 1, "1", "1"), ("a", 0, 2, 1, "1", "1"))) is None


def test_profiles_are_not_compared():
    """A player may be read more than once; what is equal is unchanged."""
    mapping = view(name="users", key=("user_ext_id",))
    assert compared(mapping, page(mapping, ("a", 0, 1, 1, "1", "1"), ("a", 1, 1, 1, "1", "1"))) is None


@pytest.mark.parametrize(
    ("drop", "rows", "advice"),
    [
        ((), [("a", 0, 1, 1, "1", "1"), ("a", 1, 2, 1, "1", "1")], "write `key: [seq_no]`,"),
        (
            (),
            [("a", 0, 1, 1, "1", "1"), ("a", 1, 2, 1, "1", "1"), ("b", 2, 1, 1, "1", "1")],
            "write `key: [bet_id, seq_no]`,",
        ),
        (("seq_no",), [("a", 0, 1, 1, "1", "1"), ("a", 1, 2, 2, "2", "1")], "write `key: [bet_id, dt]`,"),
        (("seq_no",), [("a", 0, 1, 1, "1", "1"), ("a", 0, 2, 2, "2", "2")], "write `key: [bet_id, at]`,"),
        (("seq_no",), [("a", 0, 1, 1, "1", "1"), ("a", 0, 2, 1, "2", "2")], "an id of its own"),
    ],
)
def test_the_hint_names_a_key_that_tells_the_rows_apart(drop, rows, advice):
    """An id first, then the key and one column more; never one with personal data, and nothing that does not help."""
    mapping = view(drop=drop, blind=frozenset({"phone_no"}))
    full = page(mapping, *rows)
    error = not_unique(mapping, full, compared(mapping, full).clash)
    assert "the key is not unique: bet_id a" in error.message
    assert advice in error.hint
    assert "phone_no" not in error.hint


def test_a_key_with_personal_data_is_not_shown():
    """Such a view says that its key repeats, and no value."""
    mapping = view(key=("phone_no",), blind=frozenset({"phone_no"}))
    rows = page(mapping, ("a", 0, 1, 1, "+35699", "1"), ("b", 1, 2, 1, "+35699", "1"))
    assert "+35699" not in not_unique(mapping, rows, compared(mapping, rows).clash).message


def test_a_ledger_key_says_which_row_and_where_it_stands():
    """Under a time cursor a row that moves keeps the upper bits; elsewhere, and for profiles, another place is another row."""
    mapping = view()
    keys = ledger_keys(
        mapping, page(mapping, ("a", 0, 1, 1, "1", "1"), ("a", 1, 2, 2, "2", "2"), ("b", 0, 1, 1, "1", "1"))
    )
    rows = which(mapping, keys)
    assert keys.n_unique() == 3
    assert rows[0] == rows[1] != rows[2]
    for other in (view("seq_no"), view(name="users", key=("user_ext_id",))):
        keys = ledger_keys(other, page(other, ("a", 0, 1, 1, "1", "1"), ("a", 1, 2, 1, "1", "1")))
        assert which(other, keys).to_list() == keys.to_list()
        assert keys.n_unique() == 2


def test_a_ledger_key_needs_cursor_and_key_alone_but_without_a_key_all_a_row_holds():
    """What scans read are cursors and keys; rows of a keyless view are told apart by what they hold, wherever they stand."""
    mapping = view()
    rows = page(mapping, ("a", 0, 1, 1, "1", "1"), ("b", 0, 2, 1, "1", "1"))
    assert ledger_keys(mapping, rows.select("@cursor", "@key.0")).to_list() == ledger_keys(mapping, rows).to_list()
    keyless = view(key=())
    same = page(keyless, ("a", 0, 1, 1, "1", "1"), ("a", 0, 1, 1, "1", "2"), ("a", 0, 1, 1, "1", "1"))
    keys = ledger_keys(keyless, same)
    assert keys[0] == keys[2] != keys[1]
    assert compared(keyless, same).copies.to_list() == [False, False, True]
    assert not compared(keyless, same).clash.any()


TEXTS = st.none() | st.sampled_from(["", "a", "\x1f", "\x1e-", "é"])


@given(
    st.lists(st.tuples(TEXTS, TEXTS), max_size=4),
    st.sampled_from(["dt", "seq_no"]),
    st.sampled_from(["custom", "users"]),
)
def test_a_handful_of_rows_has_the_same_ledger_keys(places, cursor, name):
    """Of a scan that brings few rows keys are made one by one, and are those of a scan that brings many."""
    mapping = view(cursor, ("user_ext_id",), name)
    few = pl.DataFrame(places, schema={"@cursor": pl.String, "@key.0": pl.String}, orient="row")
    many = pl.concat([few, pl.DataFrame([("", "")] * (FEW + 1), schema=few.schema, orient="row")])
    assert few_keys(mapping, few) == ledger_keys(mapping, many).head(few.height).to_list()
    assert few_keys(mapping, many) is None
    assert few_keys(mapping, few.with_columns(other=1)) is None


NUMBERS = st.integers(0, 2**64 - 1) | st.integers(0, 3).map(lambda number: number << WHERE_BITS) | st.integers(0, 2**26)


@given(
    chunks=st.lists(st.lists(NUMBERS, max_size=40), max_size=4),
    held=st.lists(NUMBERS, max_size=5),
    wanted=st.lists(NUMBERS),
)
def test_delivered_keys_know_a_row_wherever_it_stood(chunks, held, wanted):
    """As a set of the upper bits would, however the keys are kept."""
    known = DeliveredKeys().hold(pl.Series(held, dtype=pl.UInt64))
    for seq, keys in enumerate(chunks, start=1):
        known = known.append(seq, pl.Series(keys, dtype=pl.UInt64))
    low = (1 << WHERE_BITS) - 1
    rows = [number & ~low for number in wanted]
    there = {number & ~low for number in (*held, *(number for keys in chunks for number in keys))}
    assert known.same(pl.Series(rows, dtype=pl.UInt64), WHERE_BITS).to_list() == [row in there for row in rows]
