"""What an event is: rows that repeat a business id, rows that move, views that are renamed, states that are begun anew."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from contextlib import ExitStack, closing

import pytest

from daemon.test_tracking import DEPOSITS, TrackedView, insert
from waiting import until

BETS = (
    """CREATE TABLE bets (id serial, dt timestamptz DEFAULT clock_timestamp(), tx_type text DEFAULT 'BET',
        ext_brand_id text DEFAULT 'b', user_ext_id text DEFAULT 'u', bet_id text, bet_date timestamptz DEFAULT clock_timestamp(),
        bet_amount numeric DEFAULT 1, win_amount numeric, game_name text DEFAULT 'Blackjack')""",
    "CREATE INDEX ON bets (dt, bet_id)",
    """CREATE VIEW rounds AS
        SELECT dt, tx_type, ext_brand_id, user_ext_id, bet_id, bet_date, bet_amount, win_amount, game_name FROM bets""",
)
ROUNDS = (
    "  - {name: bets, source: db, relation: rounds, kind: casino_bets_and_wins, cursor: dt,"
    " type: {column: tx_type, bet: BET, win: WIN}%s}\n"
)


def play(database, *rounds, tx_type="BET", **columns):
    """Bets of these rounds, one after the other."""
    names = ", ".join(["bet_id", "tx_type", *columns])
    more = "".join(f", {value}" for value in columns.values())
    for name in rounds:
        database.execute(f"INSERT INTO bets ({names}) VALUES ('{name}', '{tx_type}'{more})")


def amounts(operator):
    return sorted(event["payload"].get("casino_last_bet_amount", 0) for event in operator.accepted())


def totals(operator, view):
    """The view's counts since the first start."""
    told = operator.sync("watermark", "show", view, "--json")
    assert told.returncode == 0, told.stderr
    return Counter(json.loads(told.stdout)[0]["counts"])


@pytest.fixture
def rounds(operator, postgresql):
    """Twelve bets in four rounds."""
    postgresql.execute(*BETS)
    for number in range(12):
        play(postgresql, f"R{number % 4}", bet_amount=number)
    return operator


def test_rows_that_share_a_key_stop_their_view_and_the_hint_mends_it(rounds, postgresql):
    """Two bets of one round would be one event: nothing is sent, the view says so, and what it says to write delivers all."""
    rounds.configure(postgresql.url, ROUNDS % "")
    done = rounds.sync("run", "--once")
    assert done.returncode == 2, done.stderr
    assert "the key is not unique: bet_id, tx_type" in done.stderr
    assert "R0/BET" in done.stderr
    assert rounds.accepted() == []
    checked = rounds.check()
    assert checked.returncode == 2
    assert "✗ view bets: 12 of the newest 12 rows: the key is not unique" in checked.stdout
    (key,) = set(re.findall(r"key: \[[^]]*\]", done.stderr))
    assert key in checked.stdout
    rounds.configure(postgresql.url, ROUNDS % f", {key}")
    assert rounds.sync("run", "--once").returncode == 0
    assert amounts(rounds) == list(range(12))
    assert rounds.check().returncode == 0


def test_an_incrementing_cursor_tells_rows_of_one_business_id_apart(rounds, postgresql):
    """Whatever the key, each row with an id of its own is an event of its own, after a rewind under the same id."""
    by_id = (ROUNDS % ", key: bet_id").replace("relation: rounds", "relation: bets").replace("cursor: dt", "cursor: id")
    rounds.configure(postgresql.url, by_id)
    assert rounds.sync("run", "--once").returncode == 0
    assert amounts(rounds) == list(range(12))
    assert rounds.check().returncode == 0
    assert rounds.sync("watermark", "rewind", "bets", "--to", "first").returncode == 0
    assert rounds.sync("run", "--once").returncode == 0
    assert len(rounds.accepted()) == 12
    assert totals(rounds, "bets")["duplicate_unknown"] == 0


def test_a_row_of_a_key_that_was_sent_stops_the_view_and_what_was_sent_stays(operator, postgresql):
    """A second row with a key that was delivered a page, or a poll, before is never taken for a duplicate."""
    postgresql.execute(*BETS)
    play(postgresql, "A", "B", "C")
    operator.configure(postgresql.url, ROUNDS % ", late_commit: lookback")
    assert operator.sync("run", "--once").returncode == 0
    play(postgresql, "D", "A")
    done = operator.sync("run", "--once")
    assert done.returncode == 2
    assert "the key is not unique: bet_id, tx_type A/BET" in done.stderr
    assert len(operator.accepted()) == 3
    (key,) = set(re.findall(r"key: \[[^]]*\]", done.stderr))
    (since,) = set(re.findall(r"--from '([^']*)'", done.stderr))
    operator.configure(postgresql.url, (ROUNDS % f", {key}, start_from: now").replace("name: bets", "name: plays"))
    assert operator.sync("run", "--once").returncode == 0
    assert len(operator.accepted()) == 3
    # What the watermark has not passed yet cannot be called history.
    until(
        lambda: (
            operator.sync("run", "--once").returncode
            or operator.sync("backfill", "plays", "--from", since).returncode == 0
        )
    )
    assert {event["payload"]["casino_last_bet_id"] for event in operator.accepted()} == {"A", "B", "C", "D"}
    assert len(operator.accepted()) == 5, "nothing that was delivered under the former key"


@pytest.mark.slow
def test_the_hint_mends_a_key_that_a_late_row_repeats(operator, postgresql):
    """The row stands below what was delivered, as does another late one: both arrive under the new key, and nothing twice."""
    postgresql.execute(*BETS)
    for name, minutes in (("A", 50), ("B", 40), ("C", 30), ("D", 20)):
        play(postgresql, name, dt=f"now() - interval '{minutes} minutes'")
    operator.configure(postgresql.url, ROUNDS % ", late_commit: lookback, lookback: 2h")
    assert operator.sync("run", "--once").returncode == 0
    play(postgresql, "A", bet_amount=77, dt="now() - interval '35 minutes'")
    play(postgresql, "E", dt="now() - interval '37 minutes'")
    done = operator.sync("run", "--once")
    assert done.returncode == 2, done.stderr
    (key,) = set(re.findall(r"key: \[[^]]*\]", done.stderr))
    (since,) = set(re.findall(r"--from '([^']*)'", done.stderr))
    operator.configure(
        postgresql.url,
        (ROUNDS % f", late_commit: lookback, lookback: 1s, {key}, start_from: now").replace(
            "name: bets", "name: plays"
        ),
    )
    assert operator.sync("run", "--once").returncode == 0
    filled = operator.sync("backfill", "plays", "--from", since)
    assert filled.returncode == 0, filled.stderr
    bets = Counter(event["payload"]["casino_last_bet_id"] for event in operator.accepted())
    assert bets == {"A": 2, "B": 1, "C": 1, "D": 1, "E": 1}
    assert 77 in amounts(operator)


def test_a_row_that_made_the_key_repeat_may_go(operator, postgresql):
    """A view that stopped goes on by itself when the row is no more."""
    postgresql.execute(*BETS)
    play(postgresql, "A", "B")
    operator.configure(postgresql.url, ROUNDS % ", late_commit: lookback")
    assert operator.sync("run", "--once").returncode == 0
    play(postgresql, "C", "A")
    assert operator.sync("run", "--once").returncode == 2
    postgresql.execute("DELETE FROM bets WHERE id = (SELECT max(id) FROM bets)")
    assert operator.sync("run", "--once").returncode == 0
    assert len(operator.accepted()) == 3


def test_a_row_of_a_key_that_was_sent_long_ago_is_told_too(operator, postgresql):
    """Beyond all windows it is the API that knows the id: the source is asked, has both rows, and the view says so."""
    postgresql.execute(*BETS)
    play(postgresql, "A", dt="now() - interval '9 days'")
    play(postgresql, "B", dt="now() - interval '8 days'")
    operator.configure(postgresql.url, ROUNDS % ", late_commit: lookback, lookback: 1s")
    assert operator.sync("run", "--once").returncode == 0
    play(postgresql, "A", dt="now() - interval '7 days'")
    done = operator.sync("run", "--once")
    assert done.returncode == 2, done.stderr
    assert "the key is not unique: bet_id, tx_type A/BET" in done.stderr
    assert "`key: [bet_id, dt]`, which tells them apart" in done.stderr, "also from the row that it did not read now"


def test_a_row_that_stands_there_twice_is_sent_once(operator, postgresql):
    """What is the same in all columns is a copy: sent once, counted as a duplicate, and nothing is missing afterwards."""
    postgresql.execute(*BETS)
    moment = "timestamptz '2026-01-01 10:00:00.1'"
    play(postgresql, "A", "A", "B", dt=moment, bet_date=moment)
    operator.configure(postgresql.url, ROUNDS % "")
    assert operator.sync("run", "--once").returncode == 0
    assert len(operator.accepted()) == 2
    counts = totals(operator, "bets")
    assert (counts["read"], counts["delivered"], counts["duplicate"], counts["duplicate_unknown"]) == (3, 2, 1, 0)
    assert operator.check().returncode == 0


@pytest.mark.parametrize("lookback", ["10m", "1s"])
@pytest.mark.parametrize(("policy", "sent"), [("warn", 1), ("resend", 2)])
def test_a_row_that_moved_is_no_second_row(operator, postgresql, lookback, policy, sent):
    """A corrected row under an `updated_at` cursor is the same row at a new place: by policy told, or sent as a new event."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, 1, at="now() - interval '1 hour'")
    insert(postgresql, 2, at="now() - interval '50 minutes'")
    view = (
        "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: dt_finalized, late_commit: lookback, "
        f"lookback: {lookback}, on_mutated: {policy}}}\n"
    )
    operator.configure(postgresql.url, view)
    with ExitStack() as stack:
        day = TrackedView(operator, stack)
        day.poll()
        postgresql.execute("UPDATE deposits SET deposit_amount = 77, dt_finalized = now() WHERE transaction_id = 1")
        insert(postgresql, 3)
        for _ in range(3):
            status = day.poll()
        assert status.state == "live", status.error
        assert status.mutated == 1
        assert status.unknown_duplicates == 0
        counts = Counter(status.counts)
    assert Counter(day.sent()) == {"1": sent, "2": 1, "3": 1}
    assert [event["payload"]["acc_last_deposit_amount"] for event in operator.accepted()].count(77) == sent - 1
    stages = ("unchanged", "duplicate", "delivered", "dead_lettered", "parked")
    assert counts["read"] == sum(counts[stage] for stage in stages)
    assert operator.sync("reconcile").returncode == 0


SETTLED = (
    """CREATE TABLE settled (ext_brand_id text DEFAULT 'b', user_ext_id text DEFAULT 'u', bet_id text,
        bet_date timestamptz DEFAULT '2026-01-01', settlement_date timestamptz, bet_amount numeric DEFAULT 10,
        win_amount_real numeric)""",
    "CREATE INDEX ON settled (settlement_date, bet_id)",
    """INSERT INTO settled (bet_id, settlement_date, win_amount_real) VALUES
        ('S1', '2026-01-05 10:00', 0), ('S2', '2026-01-05 11:00', 5), ('S1', '2026-01-06 10:00', 500)""",
)


def test_a_bet_that_is_settled_again_is_another_event(operator, postgresql):
    """A slip without an id of each settlement is told apart by the moment it was settled."""
    postgresql.execute(*SETTLED)
    view = "  - {name: settled, source: db, relation: settled, kind: sport_bets_settled, cursor: settlement_date}\n"
    operator.configure(postgresql.url, view)
    for _ in range(2):
        assert operator.sync("run", "--once").returncode == 0
    assert sorted(event["payload"]["sport_last_bet_win_amount_real"] for event in operator.accepted()) == [0, 5, 500]
    assert operator.sync("reconcile").returncode == 0
    assert totals(operator, "settled")["delivered"] == 3


@pytest.mark.slow
def test_rows_dated_ahead_are_sent_once_however_often_the_daemon_starts(operator, postgresql):
    """What was sent before its time is remembered in the state until the time has come."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, 1)
    insert(postgresql, 2, 3, at="now() + interval '10 years'")
    operator.configure(
        postgresql.url, "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: dt_finalized}\n"
    )
    for number in range(4, 8):
        assert operator.sync("run", "--once").returncode == 0
        insert(postgresql, number)
    sent = [event["payload"]["acc_last_transaction_id"] for event in operator.accepted()]
    assert sorted(sent) == ["1", "2", "3", "4", "5", "6"]
    assert totals(operator, "deposits")["duplicate"] == 0
    postgresql.execute("UPDATE deposits SET dt_finalized = now() WHERE transaction_id IN (2, 3)")
    assert operator.sync("run", "--once").returncode == 0
    assert totals(operator, "deposits")["duplicate"] == 2


DEPOSITS_VIEW = "  - {name: %s, source: db, relation: deposits, kind: deposits, cursor: dt_finalized%s}\n"


@pytest.fixture
def renamed(operator, postgresql):
    """A view of delivered deposits, and a way to configure it under another name."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, 1, 2, 3, at="now() - interval '1 hour'")

    def run(name="deposits", more=""):
        operator.configure(postgresql.url, DEPOSITS_VIEW % (name, more))
        return operator.sync("run", "--once")

    assert run().returncode == 0
    return run


def test_a_renamed_view_does_not_send_its_history_again(renamed, operator, postgresql):
    """Under a new name the rows that were delivered are refused with the ways to go on, and adopted with what is known of them."""
    done = renamed("payments")
    assert done.returncode == 2, done.stderr
    assert "this state has sent the rows of deposits for view deposits" in done.stderr
    for choice in (
        "smartico-sync watermark adopt payments --from deposits",
        "start_from: now",
        "on_known_relation: send",
    ):
        assert choice in done.stderr
    adopted = operator.sync("watermark", "adopt", "payments", "--from", "deposits")
    assert adopted.returncode == 0, adopted.stderr
    insert(postgresql, 4)
    assert operator.sync("run", "--once").returncode == 0
    assert len(operator.accepted()) == 4
    assert operator.sync("watermark", "rewind", "payments", "--to", "first").returncode == 0
    assert operator.sync("run", "--once").returncode == 0
    assert len(operator.accepted()) == 4
    again = operator.sync("watermark", "adopt", "payments", "--from", "deposits")
    assert again.returncode == 2


def test_a_renamed_view_may_say_its_identity(renamed, operator, postgresql):
    """With `identity:` and the old name the view goes on by itself, also after a further rename."""
    insert(postgresql, 4)
    assert renamed("payments", ", identity: deposits").returncode == 0
    insert(postgresql, 5)
    assert renamed("money_in", ", identity: deposits").returncode == 0
    assert len(operator.accepted()) == 5
    assert renamed("money_in").returncode == 0
    other = renamed("money_in", ", identity: another")
    assert other.returncode == 2
    assert "tracked under the identity deposits" in other.stderr


def test_a_name_that_was_given_away_is_not_another_view(renamed):
    """Ids of a new view under the first name of a renamed one would be the same ids."""
    assert renamed("payments", ", identity: deposits").returncode == 0
    done = renamed("deposits", ", start_from: now")
    assert done.returncode == 2
    assert "the identity deposits is that of view payments" in done.stderr


@pytest.mark.parametrize(
    "what",
    [
        "relation: public.deposits", "relation: same_rows", "query: SELECT * FROM deposits",
        "relation: same_rows, cursor: transaction_id, columns: {transaction_id: acc_last_transaction_id}",
    ],
)  # fmt: skip
def test_rows_that_were_delivered_are_known_by_whatever_name(renamed, operator, postgresql, what):
    """Another spelling of the relation, a view of it, a query or another order is refused too: by the run, and by `check` before it."""
    postgresql.execute("CREATE VIEW same_rows AS SELECT * FROM deposits")
    lines = (DEPOSITS_VIEW % ("payments", "")).replace("relation: deposits", what)
    lines = lines.replace("cursor: dt_finalized", "") if "cursor:" in what else lines
    operator.configure(postgresql.url, lines)
    check, done = operator.sync("check"), operator.sync("run", "--once")
    assert check.returncode == done.returncode == 2, check.stdout + done.stderr
    for told in (" ".join(check.stdout.split()), done.stderr):
        assert "this state has sent the rows of" in told
        assert "smartico-sync watermark adopt payments --from deposits" in told
    assert len(operator.accepted()) == 3


@pytest.mark.parametrize(("more", "sent"), [(", start_from: now", 3), (", on_known_relation: send", 6)])
def test_a_known_relation_is_sent_when_the_configuration_says_so(renamed, operator, more, sent):
    """What comes from now on, or all of it again."""
    assert renamed("payments", more).returncode == 0
    assert len(operator.accepted()) == sent


def test_a_view_that_is_renamed_beside_the_daemon_goes_on_by_itself(renamed, operator, postgresql):
    """The daemon refuses the new name, is told to adopt, and delivers without a restart."""
    operator.configure(postgresql.url, DEPOSITS_VIEW % ("payments", ", every: 200ms"))
    insert(postgresql, 4)
    daemon = operator.start("run")
    try:
        until((operator.home / "state/sync.db.sock").exists)
        adopted = operator.sync("watermark", "adopt", "payments", "--from", "deposits")
        assert adopted.returncode == 0, adopted.stderr
        until(lambda: len(operator.accepted()) == 4)
    finally:
        daemon.terminate()
        assert daemon.wait(20) == 0


def test_duplicates_of_events_that_this_state_never_sent_are_counted_apart(renamed, operator):
    """After `smartico-sync state new` the API has all of them already, and the daemon says that it does not know why."""
    assert operator.sync("state", "new", "--yes").returncode == 0
    done = renamed()
    assert done.returncode == 0
    assert "view.unknown_duplicates" in done.stderr
    assert "begun anew" in done.stderr
    assert (totals(operator, "deposits")["duplicate"], totals(operator, "deposits")["duplicate_unknown"]) == (3, 3)


def test_duplicates_after_a_rewind_are_expected(renamed, operator):
    """What this state sent is no surprise, also where its ledger was told to forget it."""
    assert operator.sync("watermark", "rewind", "deposits", "--to", "first").returncode == 0
    done = renamed()
    assert "unknown_duplicates" not in done.stderr
    assert (totals(operator, "deposits")["duplicate"], totals(operator, "deposits")["duplicate_unknown"]) == (3, 0)


def test_a_state_of_0_1_0_is_refused_and_begun_anew_without_history(renamed, operator, postgresql):
    """Its ids are others: the daemon says what to type, and what that does is send what comes from now on."""
    state = operator.home / "state" / "sync.db"
    with closing(sqlite3.connect(state, isolation_level=None)) as old:
        old.execute("PRAGMA user_version = 3")
    done = renamed()
    assert done.returncode == 5
    assert "0.1.0" in done.stderr
    assert "smartico-sync state new --start-from now" in done.stderr
    begun = operator.sync("state", "new", "--start-from", "now", "--yes")
    assert begun.returncode == 0, begun.stderr
    assert "view deposits will begin at: now" in begun.stdout
    assert len(list(state.parent.glob("sync.db.replaced-*"))) >= 2
    assert renamed().returncode == 0
    insert(postgresql, 4)
    assert renamed().returncode == 0
    assert [event["payload"]["acc_last_transaction_id"] for event in operator.accepted()] == ["1", "2", "3", "4"]


def test_refused_rows_of_a_keyless_view_are_each_a_dead_letter(operator, postgresql):
    """Rows that share a cursor value are told apart by what they hold: none overwrites another, and each is tried again."""
    postgresql.execute(
        "CREATE TABLE logins (dt timestamptz DEFAULT '2026-01-01', ext_brand_id text DEFAULT 'b', user_ext_id text, device text)",
        "INSERT INTO logins (user_ext_id, device) SELECT 'u' || g % 2, 'd' || g FROM generate_series(1, 7) g",
    )
    operator.configure(
        postgresql.url,
        "  - {name: logins, source: db, relation: logins, kind: custom, event_type: login, cursor: dt}\n",
    )
    operator.sandbox.set_faults(["refuse=1"])
    assert operator.sync("run", "--once").returncode == 6
    listed = operator.sync("dead-letters", "list", "--json")
    assert len(json.loads(listed.stdout)) == 7
    operator.sandbox.set_faults([])
    assert operator.sync("dead-letters", "retry", "--view", "logins").returncode == 0
    assert operator.sync("run", "--once").returncode == 0
    assert sorted(event["payload"]["device"] for event in operator.accepted()) == [
        f"d{number}" for number in range(1, 8)
    ]
