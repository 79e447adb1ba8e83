"""A cursor as a person writes it, at three doors: `start_from`, `watermark rewind --to`, `backfill --from`."""

from __future__ import annotations

import sqlite3
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from daemon.deposits import VIEW, insert
from smartico_sync.core.records import ViewRow
from smartico_sync.core.relation import Column, Relation
from smartico_sync.errors import ConfigError
from smartico_sync.tracking.backfill import stretch
from smartico_sync.tracking.view_start import just_before
from smartico_sync.tracking.written_cursors import cursor_at, written

BY_ID = VIEW.replace("cursor: dt_finalized", "cursor: transaction_id")
NO_TIMES = (
    "yesterday", "1000", "1769860800", "31.01.2026", "2026-13-01", "2026-02-30", "2026-01-31T25:00", "2026", "12:00",
    "9999-12-31T23:59:59-10:00", "2026-01-31 12:00 Europe/Malta", "-5", "",
)  # fmt: skip
NO_IDS = (
    "2026-01-01", "first row", "1e6", "1_000", "1,000", "12.5", "0x10", "9223372036854775808", "-9223372036854775809",
    "99999999999999999999999", "", "17 ",
)  # fmt: skip


def refused(view, text):
    """What each of the three doors says to a text; nothing of it is stored."""
    equipment = view.loop.equipment
    prepared = view.loop._session.prepared
    row = equipment.store.view("deposits")
    told = []
    configured = equipment.view.model_copy(update={"start_from": text})
    with pytest.raises(ConfigError) as error:
        just_before(configured, prepared, equipment.source)
    told.append(error.value)
    with equipment.source.reading(prepared.relation) as reading, pytest.raises(ConfigError) as error:
        cursor_at(reading, prepared, text)
    told.append(error.value)
    with equipment.source.reading(prepared.relation) as reading, pytest.raises(ConfigError) as error:
        stretch(reading, prepared, row, text, None)
    told.append(error.value)
    return told


@pytest.mark.parametrize(("cursor", "texts", "form"), [(VIEW, NO_TIMES, "a time"), (BY_ID, NO_IDS, "a whole number")])
def test_what_is_no_value_of_the_cursor_is_refused_at_every_door(tracked, postgresql, cursor, texts, form):
    """Each door names what is expected, and hands nothing to the state."""
    insert(postgresql, 1, 2, 3)
    view = tracked(view=cursor)
    view.poll()
    view.poll()
    before: ViewRow = view.loop.equipment.store.view("deposits")
    for text in texts:
        for error in refused(view, text):
            assert form in error.hint, text
            assert repr(text) in error.message or f"start_from: {text}" in error.message
    assert view.loop.equipment.store.view("deposits") == before


@pytest.mark.parametrize(
    ("type_", "value", "told"),
    [
        ("text", "2026-01-31 11:00:00", "is a text"),
        ("varchar(40)", "tx-12", "is a text"),
        ("uuid", "00000000-0000-0000-0000-000000000001", "is of type uuid"),
        ("double precision", "12.5", "is of type double precision"),
        ("time", "12:00:00", "is of type time"),
    ],
)
def test_a_cursor_that_is_no_time_and_no_number_takes_first_and_now_only(tracked, postgresql, type_, value, told):
    """Every text is a value of a text, so none can be told from a mistake: not even one that a row has is taken."""
    postgresql.execute(f"ALTER TABLE deposits ADD other {type_} DEFAULT '{value}'")
    insert(postgresql, 1, 2, 3)
    view = tracked(view=VIEW.replace("cursor: dt_finalized", "cursor: other"))
    view.poll()
    before: ViewRow = view.loop.equipment.store.view("deposits")
    for text in ("12", "yesterday", "2026-01-31", "-5", "", value):
        for error in refused(view, text):
            assert f"other of deposits {told}" in error.message
            assert "first" in error.hint
            assert "whole number" not in error.hint
    assert view.loop.equipment.store.view("deposits") == before


@pytest.mark.parametrize(
    ("type_", "cursor_is", "text"),
    [
        ("bigint unsigned", "auto", "-1"), ("UInt64", "auto", "-5"), ("Nullable(UInt32)", "auto", "-1"),
        ("UInt64", "auto", "99999999999999999999999"), ("Nullable(Int64)", "auto", "9223372036854775808"),
        ("bigint", "epoch_s", "99999999999999999999999"), ("bigint", "epoch_s", "18446744073709551615"),
        ("bigint", "epoch_ms", "999999999999999"), ("bigint", "epoch_us", "-99999999999999999999.5"),
    ],
)  # fmt: skip
def test_a_number_that_the_cursor_cannot_mean_is_refused(type_, cursor_is, text):
    """Below zero where nothing is, or a moment after the year 9999: databases would take it for another place."""
    relation = Relation("v", "c", (), columns=(Column("c", type_, "integer"),), cursor_is=cursor_is)
    prepared = SimpleNamespace(relation=relation)
    with pytest.raises(ConfigError, match="no value of c"):
        written(prepared, text)
    assert written(prepared, "1769860800") in {1_769_860_800, 1_769_860_800_000, 1_769_860}


def test_offsets_are_honoured_at_every_door(tracked, postgresql):
    """Noon in Malta is 11:00 in UTC, whatever the source's own zone is."""
    insert(postgresql, 1, 2, 3)
    view = tracked()
    view.poll()
    view.poll()
    equipment, prepared = view.loop.equipment, view.loop._session.prepared
    same = ("2026-01-31T12:00:00+01:00", "2026-01-31T11:00:00Z", "2026-01-31 06:00:00-05:00", "2026-01-31T11:00:00")
    with equipment.source.reading(prepared.relation) as reading:
        assert {cursor_at(reading, prepared, text) for text in same} == {"2026-01-31 11:00:00+00"}
        row = equipment.store.view("deposits")
        row = replace(row, watermark=row.head)
        assert {stretch(reading, prepared, row, text, None).low for text in same} == {"2026-01-31 11:00:00+00"}
    starts = {
        just_before(equipment.view.model_copy(update={"start_from": text}), prepared, equipment.source) for text in same
    }
    assert len(starts) == 1


def test_check_refuses_what_is_no_value(operator, postgresql):
    """`smartico-sync check` names the view, the value and the form that is expected; so does the rewind, which changes nothing."""
    postgresql.execute("CREATE TABLE deposits (transaction_id bigint PRIMARY KEY, ext_brand_id text, user_ext_id bigint, "
                       "transaction_date timestamptz, deposit_amount numeric, dt_finalized timestamptz)")  # fmt: skip
    operator.configure(postgresql.url, f"  - {BY_ID % ', start_from: 99999999999999999999'}\n")
    checked = operator.sync("check")
    assert checked.returncode == 2, checked.stdout
    assert "start_from: 99999999999999999999" in checked.stdout
    assert "bigint" in checked.stdout
    by_text = BY_ID.replace("cursor: transaction_id", "cursor: ext_brand_id")
    operator.configure(postgresql.url, f"  - {by_text % ', start_from: 12'}\n")
    checked = operator.check()
    assert checked.returncode == 2, checked.stdout
    assert "`start_from: 12`" in checked.stdout
    assert "ext_brand_id of deposits is a text" in checked.stdout
    operator.configure(postgresql.url, f"  - {BY_ID % ', start_from: 1000'}\n")
    assert "no row lies at or after `start_from: 1000`" in operator.sync("check").stdout


def test_no_number_is_asked_for_where_the_cursor_is_a_text(operator):
    """Neither a number nor a time is a place in it; `first` is."""
    with sqlite3.connect(operator.home / "replica.db") as replica:
        replica.execute(
            "CREATE TABLE users (ext_brand_id text, user_ext_id text PRIMARY KEY, core_username text, changed text)"
        )
        replica.execute("INSERT INTO users VALUES ('b', '1', 'p', '2026-01-31 11:00:00')")
    operator.configure(
        f"sqlite:///{operator.home}/replica.db",
        "  - {name: users, source: db, relation: users, kind: users, cursor: changed, start_from: first}\n",
    )
    assert operator.sync("run", "--once").returncode == 0
    for words in (("watermark", "rewind", "users", "--to", "2026-01-31"), ("backfill", "users", "--from", "12")):
        told = operator.sync(*words)
        assert told.returncode == 2
        assert "changed of users is a text" in told.stderr
        assert "whole number" not in told.stderr
    assert operator.sync("watermark", "rewind", "users", "--to", "first", "--yes").returncode == 0
