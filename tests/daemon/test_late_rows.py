"""Rows that come late otherwise than by a long transaction, on real PostgreSQL servers, poll by poll."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from daemon.deposits import DEPOSITS, insert
from waiting import until

BY_ID = "{name: deposits, source: db, relation: by_id, kind: deposits, cursor: id, every: 50ms%s}"
HASTE = ", settle: 50ms"  # so that a test need not wait for two seconds
SLOT_S = 0.02


def polled(day, seconds):
    """Poll for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        day.poll()
        time.sleep(SLOT_S)
    return day.status


def polled_until(day, happened):
    """Poll until it is so; what is true of the view's status then."""
    until(lambda: happened(day.poll()), SLOT_S)
    return day.status


def delivered(day, count):
    """Poll until so many deposits have arrived; those that have, as numbers."""
    until(lambda: day.poll() and len(day.sent()) >= count, SLOT_S)
    return sorted(int(number) for number in day.sent())


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


DELAY_S = 2


@pytest.fixture
def pair(private_postgresql, standby):
    """A primary on which others are at work too, and a standby that is some seconds behind."""
    primary, stopping = private_postgresql, threading.Event()
    primary.admin(
        *DEPOSITS, "CREATE VIEW by_id AS SELECT transaction_id AS id, * FROM deposits", "CREATE TABLE beat (n int)"
    )
    standby.admin(f"ALTER SYSTEM SET recovery_min_apply_delay = '{DELAY_S}s'", "SELECT pg_reload_conf()")

    def beat():
        while not stopping.wait(0.05):
            primary.admin("INSERT INTO beat VALUES (1)")

    others = threading.Thread(target=beat)
    others.start()
    yield primary, standby
    stopping.set()
    others.join()


def on_primary(primary, *ids):
    values = ", ".join(f"({number}, now())" for number in ids)
    primary.admin(f"INSERT INTO deposits (transaction_id, dt_finalized) VALUES {values}")


def test_a_replica_that_is_further_back_closes_nothing(tracked, pair, proxied, capsys):
    """Behind one address a replica takes over that has not heard of the head yet: the rows it still has to replay are found,
    and the switch is told once."""
    primary, standby = pair
    proxy = proxied(primary.port)
    on_primary(primary, 1, 2, 3, 4)
    time.sleep(2 * DELAY_S)
    day = tracked(f"{HASTE}, late_commit: fence", url=primary.url(port=proxy.port), view=BY_ID)
    day.poll()
    with psycopg.connect(primary.admin_url()) as early:
        early.execute("INSERT INTO deposits (transaction_id, dt_finalized) VALUES (5, now())")
        on_primary(primary, 9)
        day.poll()
        assert day.sent() == ["1", "2", "3", "4", "9"]
        proxy.target = standby.port
        proxy.drop()
        polled(day, 1)
    on_primary(primary, 10)
    assert delivered(day, 7) == [1, 2, 3, 4, 5, 9, 10]
    assert capsys.readouterr().out.count("view.server_changed") == 1


def test_a_replica_that_lacks_what_was_delivered_sends_nothing(tracked, pair, proxied):
    """A replica without the rows delivered last is not read from; when it has them the view goes on, and misses nothing."""
    primary, standby = pair
    proxy = proxied(primary.port)
    time.sleep(2 * DELAY_S)
    day = tracked(HASTE, url=primary.url(port=proxy.port), view=BY_ID)
    for number in range(1, 8):
        on_primary(primary, number)
        day.poll()
    proxy.target = standby.port
    proxy.drop()
    seen = {day.poll().state for _ in range(3)}
    assert "regressed" in seen
    on_primary(primary, 8)
    assert delivered(day, 8) == list(range(1, 9))


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
