"""What happens to a view whose source does not behave, poll by poll, on a real PostgreSQL."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

import pytest

from daemon.deposits import DEPOSITS, VIEW, TrackedView, insert
from smartico_sync.core.reason_codes import GONE
from smartico_sync.observe.health import assess
from smartico_sync.tracking import late_scan

__all__ = ["DEPOSITS", "VIEW", "TrackedView", "insert"]


def test_a_restored_source_stops_its_view_until_it_is_itself_again(tracked, postgresql):
    """All rows delivered last are gone: the view sends nothing, says what it saw and what to type; it goes on by itself."""
    day = tracked()
    for number in range(1, 8):
        insert(postgresql, number)
        day.poll()
    postgresql.execute("CREATE TABLE kept AS SELECT * FROM deposits", "DELETE FROM deposits")
    insert(postgresql, 99)
    status = day.poll()
    assert status.state == "regressed"
    assert "are gone" in status.error
    assert "smartico-sync watermark rewind deposits" in status.hint
    assert "99" not in day.sent()
    postgresql.execute("INSERT INTO deposits SELECT * FROM kept")
    assert day.poll().state == "live"
    assert "99" in day.sent()


def test_a_view_that_stopped_goes_on_when_its_rows_are_back_and_not_when_others_came(tracked, postgresql):
    """An older copy that moves on gives ids out again: rows above the head set nothing going, the rows themselves do."""
    day = tracked(", lookback: 1ms, late_commit: lookback")
    for number in range(1, 9):
        insert(postgresql, number)
        day.poll()
    postgresql.execute(
        "CREATE TABLE kept AS SELECT * FROM deposits WHERE transaction_id > 3",
        "DELETE FROM deposits WHERE transaction_id > 3",
    )
    assert day.poll().state == "regressed"
    insert(postgresql, 99)
    assert day.poll().state == "regressed"
    assert "still gone" in day.status.error
    assert "99" not in day.sent()
    postgresql.execute("INSERT INTO deposits SELECT * FROM kept")
    assert day.poll().state == "live"
    assert "99" in day.sent()


def test_a_restore_that_lost_only_the_last_part_is_noticed(tracked, postgresql):
    """The newest rows delivered are gone, older ones are there and new ones have come: the view stops, and sends none of them."""
    day = tracked()
    insert(postgresql, *range(1, 101), at="now() - interval '1 minute'")
    day.poll()
    for number in range(101, 108):
        insert(postgresql, number)
        day.poll()
    postgresql.execute("DELETE FROM deposits WHERE transaction_id > 100")
    insert(postgresql, 200)
    status = day.poll()
    assert status.state == "regressed"
    assert "lost them" in status.error
    assert "200" not in day.sent()


def test_ids_that_are_given_out_again_are_noticed(tracked, postgresql):
    """The same ids with other rows behind them are not the rows that were delivered."""
    day = tracked()
    for number in range(1, 8):
        insert(postgresql, number)
        day.poll()
    postgresql.execute("UPDATE deposits SET user_ext_id = 77, transaction_date = '2026-02-02'")
    assert day.poll().state == "regressed"


def test_a_regression_may_be_only_a_warning(tracked, postgresql):
    """With `on_regressed: warn` the view goes on and says so."""
    day = tracked(", on_regressed: warn")
    for number in range(1, 8):
        insert(postgresql, number)
        day.poll()
    postgresql.execute("DELETE FROM deposits")
    insert(postgresql, 99)
    status = day.poll()
    assert status.state == "live"
    assert "99" in day.sent()
    assert "are gone" in day.poll().warnings[0]


@pytest.mark.parametrize(
    ("policy", "sent", "state"), [("report", [], "live"), ("send", ["1", "2"], "live"), ("stop", [], "halted")]
)
def test_rows_without_a_cursor_follow_the_policy(tracked, postgresql, policy, sent, state):
    """Rows with a NULL cursor are counted; by policy they are reported, sent once, or stop the view."""
    insert(postgresql, 1, 2, at="NULL")
    day = tracked(f", on_null_cursor: {policy}")
    day.poll()
    status = day.poll()
    assert status.state == state
    assert sorted(day.sent()) == sent
    if policy != "stop":
        assert status.null_cursors == 2


def test_rows_without_a_cursor_are_sent_by_the_first_daemon_only(operator, postgresql):
    """The state remembers which were sent: a restart reads none of them again, and sends what came since."""
    postgresql.execute(*DEPOSITS)
    operator.configure(postgresql.url, f"  - {VIEW % ', on_null_cursor: send'}\n")
    for number in (1, 2):
        insert(postgresql, number, at="NULL")
        with ExitStack() as stack:
            day = TrackedView(operator, stack)
            day.poll()
            counts = Counter(day.poll().counts)
            assert (counts["read"], counts["delivered"], counts["duplicate"]) == (number, number, 0)


def test_a_row_from_the_future_is_sent_and_hides_nothing(tracked, postgresql):
    """A row dated ahead goes out at once and never carries the head along; it is not sent again when its time comes."""
    insert(postgresql, 1)
    insert(postgresql, 2, at="now() + interval '10 years'")
    day = tracked()
    status = day.poll()
    assert sorted(day.sent()) == ["1", "2"]
    assert status.ahead == 1
    insert(postgresql, 3)
    status = day.poll()
    assert sorted(day.sent()) == ["1", "2", "3"]
    assert status.head.startswith(str(postgresql.execute("SELECT (now() AT TIME ZONE 'UTC')::date")[0][0]))
    assert any("dated" in finding.message for finding in assess([status], ()).findings)
    postgresql.execute("UPDATE deposits SET dt_finalized = dt_finalized - interval '10 years' WHERE transaction_id = 2")
    day.loop._session.reader.looked_ahead_ms = None
    assert day.poll().ahead == 0
    assert sorted(day.sent()) == ["1", "2", "3"]


def test_many_rows_from_the_future_are_read_in_parts(tracked, postgresql, monkeypatch):
    """However many rows are dated ahead, a reading brings some of them; one poll sends all, each once."""
    monkeypatch.setattr(late_scan, "MOST_ROWS", 10)
    monkeypatch.setattr(late_scan, "ROWS_AT_ONCE", 7)
    insert(postgresql, 1, 2)
    insert(postgresql, *range(100, 145), at="now() + interval '10 years'")
    day = tracked()
    assert day.poll().ahead == 45
    assert sorted(map(int, day.sent())) == [1, 2, *range(100, 145)]
    day.loop._session.reader.looked_ahead_ms = None
    day.poll()
    assert len(day.sent()) == 47


def test_many_late_rows_are_read_in_parts(tracked, postgresql, monkeypatch):
    """A bulk load that commits late arrives whole, a part at a time, and the watermark waits for the last one."""
    monkeypatch.setattr(late_scan, "MOST_ROWS", 10)
    monkeypatch.setattr(late_scan, "ROWS_AT_ONCE", 7)
    day = tracked(", late_commit: lookback")
    insert(postgresql, 1)
    day.poll()
    insert(postgresql, *range(100, 145), at="now() - interval '5 s'")
    watermark = day.status.watermark
    day.poll()
    assert sorted(map(int, day.sent())) == [1, *range(100, 145)]
    assert day.status.watermark == watermark
    assert day.poll().late.late_rows == 45
    assert len(day.sent()) == 46


@pytest.mark.parametrize("policy", ["ignore", "warn", "resend"])
def test_a_transaction_that_changes_is_noticed(tracked, postgresql, policy):
    """Within `lookback` a delivered row that changes is counted; with `resend` it goes again, as a new event."""
    day = tracked(f", on_mutated: {policy}")
    day.poll()
    insert(postgresql, 1, 2)
    day.poll()
    postgresql.execute("UPDATE deposits SET deposit_amount = 7 WHERE transaction_id = 2")
    if day.loop._session.checks.mutations is not None:
        day.loop._session.checks.mutations.next_ms = 0
    status = day.poll()
    assert status.mutated == (0 if policy == "ignore" else 1)
    day.poll()
    assert sorted(day.sent()) == (["1", "2", "2"] if policy == "resend" else ["1", "2"])
    events = day.operator.accepted()
    assert len({event["eid"] for event in events}) == len(events)
    assert day.status.counts["read"] == sum(n for name, n in day.status.counts.items() if name != "read")


def test_events_of_unknown_players_wait_for_the_profile(tracked, postgresql):
    """An unknown player's events are parked in order, others go on; they arrive once the player is known."""
    day = tracked()
    day.operator.sandbox.set_faults(["unknown-users"])
    insert(postgresql, 1, 2)
    status = day.poll()
    assert day.sent() == []
    assert sum(status.parked.values()) == 2
    assert status.counts["parked"] == 2
    insert(postgresql, 3)
    assert sum(day.poll().parked.values()) == 3
    day.operator.sandbox.set_faults([])
    day.parts.store.database.connection.execute("UPDATE letter SET next_try_ms = 0")
    status = day.poll()
    assert day.sent() == ["1", "2", "3"]
    assert status.parked == {}
    assert status.counts["delivered"] == 3
    assert status.counts["parked"] == 0


def test_a_parked_event_is_given_up_in_the_end(tracked, postgresql):
    """After `park` the event is a dead letter with the reason; a row that is gone meanwhile is one too."""
    day = tracked(park="1s")
    day.operator.sandbox.set_faults(["unknown-users"])
    insert(postgresql, 1, 2)
    day.poll()
    postgresql.execute("DELETE FROM deposits WHERE transaction_id = 2")
    day.parts.store.database.connection.execute("UPDATE letter SET next_try_ms = 0, deadline_ms = 0")
    status = day.poll()
    assert status.dead == {10001: 1, GONE: 1}
    assert status.counts["dead_lettered"] == 2
    assert status.counts["parked"] == 0


def test_nothing_is_sent_that_could_not_be_remembered(tracked, postgresql, monkeypatch):
    """While the state cannot be written the view delivers nothing; it goes on by itself when the disk has room again."""
    day = tracked()
    insert(postgresql, 1)
    day.poll()
    connection = day.parts.store.database.connection
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    insert(postgresql, *range(2, 3000))
    status = day.poll()
    assert status.state == "degraded"
    assert "disk is full" in status.error
    known = len(day.sent())
    connection.execute("PRAGMA max_page_count = 1000000")
    assert day.poll().state == "live"
    assert len(day.sent()) == 2999
    assert known <= 2999


def test_what_nobody_foresaw_is_told_and_tried_again(tracked, postgresql, monkeypatch):
    """An exception of ours, or of a plug-in, degrades its view and names its type and place, never its words; then all goes on."""
    insert(postgresql, 1)
    day = tracked()
    with monkeypatch.context() as broken:
        broken.setattr(day.loop._sender, "queue", lambda *_, **__: [].pop())
        status = day.poll()
    assert status.state == "degraded"
    assert "internal error: IndexError" in status.error
    assert "empty list" not in status.error
    assert day.poll().state == "live"
    assert day.sent() == ["1"]
