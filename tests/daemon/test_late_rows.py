"""Rows that come late otherwise than by a long transaction, on real PostgreSQL servers, poll by poll."""

from __future__ import annotations

import psycopg
import pytest

import servers.postgresql as postgresql_servers
from daemon.deposits import BY_ID, DEPOSITS, HASTE, VIEW, delivered, insert, polled, polled_until
from smartico_sync.core.late_commit.mechanism import KeyScan
from smartico_sync.tracking.late_scan import find_again
from waiting import until


@pytest.mark.parametrize("policy", ["auto", "fence"])
def test_a_time_that_is_taken_long_before_the_first_write(tracked, postgresql, policy):
    """`DEFAULT now()` in a transaction that waits before it writes: found by the lookback, and not by a fence alone."""
    day = tracked(f"{HASTE}, late_commit: {policy}")
    postgresql.execute("ALTER TABLE deposits ALTER dt_finalized SET DEFAULT now()")
    insert(postgresql, 1)
    day.poll()
    with psycopg.connect(postgresql.admin_url) as waits:
        waits.execute("SELECT now()")
        insert(postgresql, 2)
        polled(day, 0.5)
        while policy == "fence" and day.status.watermark != day.status.head:
            day.poll()
        waits.execute("INSERT INTO deposits (transaction_id) VALUES (3)")
        polled(day, 0.2)
    insert(postgresql, 4)
    expected = ["1", "2", "4"] if policy == "fence" else ["1", "2", "3", "4"]
    status = polled_until(day, lambda _: sorted(day.sent()) == expected)
    assert sorted(day.sent()) == expected
    assert status.late_commit.startswith("fence + lookback: " if policy == "auto" else "fence: ")
    if policy == "auto":
        polled_until(day, lambda now: any("lookback found them" in warning for warning in now.warnings))


@pytest.mark.slow
def test_an_application_server_whose_clock_is_behind(tracked, postgresql):
    """One of two writers is four seconds behind: all of its rows arrive, each once."""
    day = tracked(HASTE)
    insert(postgresql, 0)
    day.poll()
    for number in range(1, 41):
        insert(postgresql, number, at="now() - interval '4 s'" if number % 2 else "now()")
        polled(day, 0.02)
    assert delivered(day, 41) == list(range(41))
    assert day.status.late.late_rows >= 10


def test_ids_in_blocks(tracked, postgresql):
    """Two nodes use up blocks of fifty ids each in their own time: each row arrives, long after higher ids as well."""
    postgresql.execute(
        "CREATE SEQUENCE deposits_seq INCREMENT BY 50",
        "CREATE VIEW by_id AS SELECT transaction_id AS id, * FROM deposits",
    )
    day = tracked(f"{HASTE}, lookback: 100ms", view=BY_ID)
    blocks = [iter(range(1, 51)), iter(range(51, 101))]
    for at in range(12):
        insert(postgresql, next(blocks[at % 2]))
        polled(day, 0.4 if at == 5 else 0.05)
    assert delivered(day, 12) == [*range(1, 7), *range(51, 57)]
    assert "ids come in blocks (public.deposits_seq INCREMENT BY 50)" in day.status.late_commit
    assert day.operator.sandbox.stats()["duplicates"] == 0


def test_one_id_far_ahead_on_postgresql(tracked, postgresql):
    """Rows below an id typed by hand are found after the fence and its lookback have passed it, too."""
    postgresql.execute("CREATE VIEW by_id AS SELECT transaction_id AS id, * FROM deposits")
    day = tracked(f"{HASTE}, lookback: 100ms", view=BY_ID)
    insert(postgresql, *range(1, 21))
    day.poll()
    insert(postgresql, 999_999_999)
    status = polled(day, 0.5)
    while status.watermark != "999999999":
        status = polled(day, 0.1)
    insert(postgresql, 21, 22)
    assert delivered(day, 23) == [*range(1, 23), 999_999_999]
    assert any("range far below" in warning for warning in day.poll().warnings)


@pytest.mark.parametrize("pin", ["writer", "prepared"])
def test_what_keeps_the_watermark_is_named(tracked, private_postgresql, pin):
    """A writer of another database, or a transaction that was prepared and forgotten, is told by name."""
    server = private_postgresql
    server.admin("ALTER SYSTEM SET max_prepared_transactions = 5", "CREATE DATABASE other")
    server.restart()
    server.admin(*DEPOSITS)
    day = tracked(f"{HASTE}, late_commit: fence, pin_cap: 100ms", url=server.url())
    with psycopg.connect(server.admin_url("other"), autocommit=True) as writer:
        writer.execute("CREATE TABLE busy (n int)")
        writer.execute("BEGIN")
        writer.execute("INSERT INTO busy VALUES (1)")
        if pin == "prepared":
            writer.execute("PREPARE TRANSACTION 'forgotten'")
        server.admin("INSERT INTO deposits (transaction_id, dt_finalized) VALUES (1, now())")
        named = polled_until(day, lambda status: any("kept the watermark" in each for each in status.warnings))
        (warning,) = [each for each in named.warnings if "kept the watermark" in each]
        assert (
            "in database other, a transaction since" if pin == "writer" else "'forgotten' of database other"
        ) in warning
        writer.execute("ROLLBACK" if pin == "writer" else "ROLLBACK PREPARED 'forgotten'")


@pytest.mark.slow
def test_a_replication_slot_keeps_no_watermark_and_is_not_accused(tracked, private_postgresql, standby, monkeypatch):
    """Slots with an old xmin or catalog_xmin hold back vacuum only: the watermark passes, and a writer alone is named."""
    server = private_postgresql
    server.admin(
        "SELECT pg_create_physical_replication_slot('physical_one', true)",
        "SELECT pg_create_logical_replication_slot('logical_one', 'test_decoding')",
        *DEPOSITS,
    )
    standby.admin("ALTER SYSTEM SET primary_slot_name = 'physical_one'")
    told = [each.replace("feedback=off", "feedback=on") for each in postgresql_servers.SETTINGS]
    monkeypatch.setattr(postgresql_servers, "SETTINGS", tuple(told))
    standby.restart()
    ages = "SELECT age(xmin), age(catalog_xmin) FROM pg_replication_slots ORDER BY slot_name DESC"
    until(lambda: server.admin(ages)[0][0] is not None, 0.2)
    standby.stop()
    day = tracked(f"{HASTE}, late_commit: fence, pin_cap: 100ms", url=server.url())
    for number in range(1, 6):
        server.admin(f"INSERT INTO deposits (transaction_id, dt_finalized) VALUES ({number}, now())")
    (physical, _), (_, logical) = server.admin(ages)
    assert physical >= 5
    assert logical >= 5
    polled_until(day, lambda status: len(day.sent()) == 5 and status.watermark == status.head)
    with psycopg.connect(server.admin_url()) as writer:
        writer.execute("CREATE TABLE busy (n int)")
        server.admin("INSERT INTO deposits (transaction_id, dt_finalized) VALUES (6, now())")
        named = polled_until(day, lambda status: any("kept the watermark" in each for each in status.warnings))
        (warning,) = [each for each in named.warnings if "kept the watermark" in each]
    assert "in database postgres, a transaction since" in warning
    assert "slot" not in warning


def test_keys_that_are_the_same_are_not_read_again(tracked, postgresql):
    """The second scan of a range asks for their digest, and from the third on that is all; a late row is found all the same."""
    day = tracked()
    insert(postgresql, 1, 2, 5, at="now() - interval '1 minute'")
    day.poll()
    session = day.loop._session
    scan = KeyScan(None, day.status.head, "full", 1, ("5",))

    def looked(before):
        with day.loop.equipment.source.reading(session.prepared.relation) as reading:
            keys = reading.keys
            reading.keys = lambda *asked: read.append(1) or keys(*asked)
            return find_again(reading, session.prepared.mapping, scan, session.reader.known, before)

    before, read = None, []
    for times in (1, 2, 2, 2):
        found, before = looked(before)
        assert (found.rows, found.looked, len(read)) == (None, 3, times)
    insert(postgresql, 3, at="now() - interval '2 minutes'")
    found, before = looked(before)
    assert found.rows["transaction_id"].to_list() == [3]
    assert before is None


@pytest.mark.slow
def test_a_scan_for_late_rows_that_the_server_ends(tracked, postgresql):
    """It takes longer than `statement_timeout`: what is new arrives meanwhile, the view says what is the matter, and less at once is scanned then."""
    postgresql.execute(
        "CREATE TABLE pace (seconds float)",
        "INSERT INTO pace VALUES (0)",
        "CREATE VIEW slow AS SELECT * FROM deposits WHERE CASE WHEN (SELECT seconds FROM pace) > 0 "
        "THEN pg_sleep((SELECT seconds FROM pace)) IS NOT NULL ELSE true END",
    )
    postgresql.execute(
        "INSERT INTO deposits (transaction_id, dt_finalized) SELECT g, now() + g * interval '1 ms' - interval '9 min' FROM generate_series(1, 3000) g",
        "ANALYZE deposits",
    )
    url = f"{postgresql.url}\n    statement_timeout: 1s"
    day = tracked(", lookback: 1h", view=VIEW.replace("relation: deposits", "relation: slow"), url=url)
    assert delivered(day, 3000) == list(range(1, 3001))
    postgresql.execute("UPDATE pace SET seconds = 0.0005")
    told = set()
    for number in range(3001, 3004):
        insert(postgresql, number)
        polled_until(day, lambda now, number=number: told.update(now.warnings) or str(number) in day.sent())
    insert(postgresql, 3004, at="now() - interval '5 min'")
    polled_until(day, lambda now: told.update(now.warnings) or "3004" in day.sent())
    assert any("rows that commit late could not be looked for" in warning for warning in told)
    assert delivered(day, 3004) == list(range(1, 3005))
    assert not any("could not be looked for" in warning for warning in day.poll().warnings)
