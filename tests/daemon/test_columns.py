"""A view whose columns change while it is watched, on a real PostgreSQL: nothing wrong is sent, and a person is told once."""

from __future__ import annotations

import json

import pytest

from daemon.deposits import insert
from waiting import until

PROFILES = (
    """CREATE TABLE profiles (user_ext_id bigint PRIMARY KEY, ext_brand_id text DEFAULT 'b', core_username text DEFAULT 'p',
        dt_update timestamptz)""",
    "INSERT INTO profiles SELECT g, 'b', 'p' || g, now() - interval '1 day' FROM generate_series(1, 20) g",
)
USERS = "{name: users, source: db, relation: profiles, kind: users, cursor: dt_update, every: 50ms%s}"
ALTERATIONS = {
    "a new column": "ALTER TABLE deposits ADD COLUMN unknown_thing text DEFAULT 'x'",
    "whole number to decimal": "ALTER TABLE deposits ALTER deposit_amount TYPE numeric(20, 2)",
    "NULL is allowed": "ALTER TABLE deposits ALTER transaction_date DROP NOT NULL",
    "enum to varchar": "ALTER TABLE deposits ALTER method TYPE varchar(9)",
    "key to varchar": "ALTER TABLE deposits ALTER transaction_id TYPE varchar(20)",
    "an optional column is gone": "ALTER TABLE deposits DROP COLUMN method",
    "an optional column is renamed": "ALTER TABLE deposits RENAME method TO way",
}


@pytest.mark.parametrize("statement", ALTERATIONS.values(), ids=ALTERATIONS)
def test_what_is_altered_costs_no_row_and_no_error(tracked, postgresql, statement):
    """Whatever becomes of a column that is not required, the next row goes out as the view is now: none is given up."""
    postgresql.execute(
        "CREATE TYPE way AS ENUM ('card', 'cash')",
        "CREATE VIEW nothing AS SELECT 1 AS one",
    )
    view = tracked()
    postgresql.execute(
        "ALTER TABLE deposits ADD COLUMN method way DEFAULT 'card'",
        "ALTER TABLE deposits ALTER deposit_amount TYPE int, ALTER transaction_date SET NOT NULL",
    )
    insert(postgresql, 1)
    assert view.poll().state == "live"
    postgresql.execute(statement)
    insert(postgresql, 2)
    status = view.poll()
    assert status.state == "live"
    assert view.sent() == ["1", "2"]
    assert not status.dead


def test_a_decimal_arrives_whole_at_once(tracked, postgresql):
    """INT becomes DECIMAL between two polls: the first such amount is sent with its cents."""
    view = tracked()
    postgresql.execute("ALTER TABLE deposits ALTER deposit_amount TYPE int")
    insert(postgresql, 1)
    view.poll()
    postgresql.execute(
        "ALTER TABLE deposits ALTER deposit_amount TYPE numeric(20, 2)",
        "INSERT INTO deposits (transaction_id, dt_finalized, deposit_amount) VALUES (2, now(), 12.75)",
    )
    assert not view.poll().dead
    assert [event["payload"]["acc_last_deposit_amount"] for event in view.operator.accepted()] == [1, 12.75]


def test_a_time_that_loses_its_zone_is_read_in_the_sources_own(tracked, postgresql):
    """timestamptz becomes timestamp: the very next row is read as the wall clock it is, and not hours off."""
    view = tracked(", timezone: Europe/Malta")
    insert(postgresql, 1)
    view.poll()
    postgresql.execute(
        "ALTER TABLE deposits ALTER transaction_date TYPE timestamp",
        "INSERT INTO deposits (transaction_id, dt_finalized, transaction_date) VALUES (2, now(), '2026-07-01 12:00:00')",
    )
    view.poll()
    assert view.operator.accepted()[-1]["event_date"] == 1782900000000


def test_a_cursor_of_another_type_stops_the_view(tracked, postgresql):
    """Where the watermark means nothing any more the view says so, and sends nothing."""
    view = tracked()
    insert(postgresql, 1)
    view.poll()
    postgresql.execute("ALTER TABLE deposits ALTER dt_finalized TYPE timestamp")
    insert(postgresql, 2)
    assert view.poll().state == "halted"
    assert view.sent() == ["1"]


def test_a_new_column_is_told_with_what_sends_it(tracked, postgresql):
    """A column joins a profile view and is filled, which moves no cursor: page and check name it, and the command that sends it."""
    postgresql.execute(*PROFILES)
    view = tracked(view=USERS)
    assert view.poll().warnings == ()
    postgresql.execute(
        "ALTER TABLE profiles ADD COLUMN core_custom_prop1 text",
        "UPDATE profiles SET core_custom_prop1 = 'gold'",
    )
    (warning,) = view.poll().warnings
    assert "core_custom_prop1" in warning
    assert "smartico-sync backfill users --from first" in warning
    assert not any("core_custom_prop1" in event["payload"] for event in view.operator.accepted()[:20])
    checked = view.operator.sync("check")
    assert checked.returncode == 0, checked.stdout
    assert "smartico-sync backfill users --from first" in " ".join(checked.stdout.split())


@pytest.mark.slow
def test_followed_literally_the_hint_mends_it(operator, postgresql):
    """`smartico-sync backfill users --from first` sends the new column for all, `smartico-sync watermark accept` takes the finding away."""
    postgresql.execute(*PROFILES)
    operator.configure(postgresql.url, f"  - {USERS % ''}\n")
    daemon = operator.start("run")
    until(lambda: placed(operator))
    postgresql.execute("ALTER TABLE profiles ADD COLUMN core_custom_prop1 text DEFAULT 'gold'")
    daemon.terminate()
    daemon.wait()
    told = operator.sync("run", "--once")
    assert "smartico-sync backfill users --from first" in told.stderr + told.stdout
    assert operator.sync("backfill", "users", "--from", "first").returncode == 0
    golden = {each["user_ext_id"] for each in operator.accepted() if each["payload"].get("core_custom_prop1") == "gold"}
    assert len(golden) == 20
    accepted = operator.sync("watermark", "accept", "users")
    assert accepted.returncode == 0, accepted.stderr
    assert "core_custom_prop1" in accepted.stdout
    done = operator.sync("run", "--once")
    assert "backfill" not in done.stderr + done.stdout
    assert "smartico-sync watermark accept" not in operator.sync("check").stdout


def placed(operator):
    """Whether everything was delivered, and nothing below it can appear any more."""
    rows = json.loads(operator.sync("watermark", "show", "--json").stdout or "[]")
    return bool(rows) and rows[0]["watermark"] != "nothing yet"


def test_a_view_may_stop_instead(tracked, postgresql):
    """`on_schema_change: stop`: the view halts with the column's name and the command that lets it go on, and sends nothing."""
    postgresql.execute(*PROFILES)
    view = tracked(", on_schema_change: stop", view=USERS)
    view.poll()
    postgresql.execute(
        "ALTER TABLE profiles DROP COLUMN core_username",
        "INSERT INTO profiles (user_ext_id, dt_update) VALUES (30, now())",
    )
    status = view.poll()
    assert status.state == "halted"
    assert "core_username" in status.error
    assert "smartico-sync watermark accept users" in status.hint
    assert len(view.operator.accepted()) == 20
    assert view.operator.sync("check").returncode == 2


@pytest.mark.slow
def test_a_stopped_view_goes_on_when_a_person_says_so(operator, postgresql):
    """`run --once` ends with exit code 2; after `smartico-sync watermark accept` the view goes on with the columns it has."""
    postgresql.execute(*PROFILES)
    operator.configure(postgresql.url, f"  - {USERS % ', on_schema_change: stop'}\n")
    assert operator.sync("run", "--once").returncode == 0
    postgresql.execute(
        "ALTER TABLE profiles DROP COLUMN core_username",
        "INSERT INTO profiles (user_ext_id, dt_update) VALUES (30, now())",
    )
    done = operator.sync("run", "--once")
    assert done.returncode == 2, done.stderr
    assert "smartico-sync watermark accept users" in done.stderr
    assert operator.sync("watermark", "accept", "users").returncode == 0
    assert operator.sync("run", "--once").returncode == 0
    assert len(operator.accepted()) == 21
