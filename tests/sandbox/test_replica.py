"""The demo's replica and its live casino."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import yaml

from smartico_sync.config.models import Configuration
from smartico_sync.demo.casino import LiveCasino
from smartico_sync.demo.replica import VIEWS, create, expected, views_yaml
from waiting import until

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STEP = timedelta(milliseconds=100)


@pytest.fixture
def path(tmp_path):
    create(tmp_path / "replica.db", now=NOW, seed=3, players=40)
    return tmp_path / "replica.db"


def rows(path, query):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(query).fetchall()


def content(path):
    return {view: rows(path, f"SELECT * FROM {view}") for view in VIEWS}


def test_create_is_repeatable_and_past(path, tmp_path):
    """The same seed and moment make the same rows, in several brands, all of them before that moment."""
    create(tmp_path / "again.db", now=NOW, seed=3, players=40)
    assert content(path) == content(tmp_path / "again.db")
    assert all(content(path).values())
    assert len(rows(path, "SELECT DISTINCT ext_brand_id FROM crm_users")) == 2
    for view, cursor in (
        ("crm_users", "dt_update"),
        ("crm_deposits", "dt_finalized"),
        ("crm_casino_transactions", "bet_date"),
    ):
        assert rows(path, f"SELECT max({cursor}) FROM {view}")[0][0] < "2026-03-01 12:00"
    with pytest.raises(sqlite3.OperationalError):
        create(path, now=NOW)


def test_expected_of_a_new_replica(path):
    """What a first load must send is every row of every view."""
    counts = expected(path)
    assert counts["update_profile"] == len(content(path)["crm_users"]) + len(content(path)["crm_user_consents"]) == 80
    assert counts["acc_deposit_approved"] == len(content(path)["crm_deposits"])
    assert counts["acc_withdrawal_approved"] == len(content(path)["crm_withdrawals"])
    assert counts["casino_bet"] + counts["casino_win"] == len(content(path)["crm_casino_transactions"])


def test_expected_is_what_a_poller_sees(path):
    """Polling and comparing profiles after every step sees exactly the changes that the replica counted."""
    casino = LiveCasino(path, seed=5)
    seen = {view: {row[1]: row[3:] for row in content(path)[view]} for view in ("crm_users", "crm_user_consents")}
    events, moment = 80, NOW
    for _ in range(150):
        moment += STEP
        assert casino.step(moment, 8) >= 8
        for view, known in seen.items():
            for row in rows(path, f"SELECT * FROM {view}"):
                events += known.get(row[1]) != row[3:]
                known[row[1]] = row[3:]
    assert casino.expected()["update_profile"] == events > 120
    casino.stop()


def test_cursors_grow_in_the_order_of_commits(path):
    """No row ever appears at or below the highest cursor seen before it, even when the clock stands still or jumps back."""
    casino = LiveCasino(path, seed=5)
    for moment in (NOW, NOW, NOW - timedelta(hours=1), NOW + STEP):
        heads = {view: rows(path, f"SELECT max({cursor}) FROM {view}")[0][0] for view, cursor in CURSORS.items()}
        before = {
            view: len(rows(path, f"SELECT 1 FROM {view} WHERE {cursor} <= '{heads[view]}'"))
            for view, cursor in CURSORS.items()
        }
        casino.step(moment, 200)
        for view, cursor in CURSORS.items():
            assert len(rows(path, f"SELECT 1 FROM {view} WHERE {cursor} <= '{heads[view]}'")) <= before[view]
    casino.stop()


CURSORS = {
    "crm_users": "dt_update",
    "crm_user_consents": "dt_update",
    "crm_deposits": "dt_finalized",
    "crm_withdrawals": "dt_finalized",
}


def test_a_profile_changes_again_only_after_all_others(path):
    """Between two changes of one profile lies one of every other player, so that polls do not miss one of them."""
    casino = LiveCasino(path, seed=5)
    casino.step(NOW, 1500)
    casino.stop()
    for view in ("crm_users", "crm_user_consents"):
        changes = rows(path, f"SELECT player FROM profile_changes WHERE view = '{view}' ORDER BY id")
        order = [row[0] for row in changes[40:]]  # the first ones are the players of the first load
        last: dict[int, int] = {}
        for place, player in enumerate(order):
            assert place - last.get(player, -100) >= 40
            last[player] = place


def test_live_for_a_moment(path):
    """Started, the casino changes rows by itself; stopped, the counts stand still."""
    before = sum(expected(path).values())
    with LiveCasino(path, rows_per_second=500) as casino:
        until(lambda: sum(casino.expected().values()) >= before + 50)
    after = casino.expected()
    assert sum(after.values()) >= before + 50
    casino.stop()
    assert casino.expected() == after


def test_views_yaml_is_a_configuration(tmp_path):
    """The demo's configuration is valid and names the five views, whatever the path looks like."""
    odd = tmp_path / "a b@c?#.db"
    text = views_yaml(odd, "http://127.0.0.1:9/x", tmp_path / 'st"ate.db', "127.0.0.1:0", "a2V5")
    configuration = Configuration.model_validate(yaml.safe_load(text))
    assert [view.relation for view in configuration.views] == [
        "crm_users",
        "crm_user_consents",
        "crm_deposits",
        "crm_withdrawals",
        "crm_casino_transactions",
    ]
    assert configuration.state == str(tmp_path / 'st"ate.db')
    assert "@" not in configuration.sources["casino"].url.get_secret_value()
