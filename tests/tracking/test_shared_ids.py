"""Several rows of one id, such as a bet and its win: the second is found though its id is not missing."""

from __future__ import annotations

import threading

import pytest

from tracking.conftest import Tracked
from waiting import until

BET, WIN = "BET", "WIN"


class Casino(Tracked):
    """Bets and wins in one table, whose ids a bet shares with its win; polled by hand."""

    def __init__(self, home, more=""):
        super().__init__(home)
        self.replica.execute(
            "CREATE TABLE IF NOT EXISTS casino (id INTEGER, what TEXT, ext_brand_id TEXT DEFAULT 'b', user_ext_id INTEGER DEFAULT 1,"
            " bet_date TEXT DEFAULT '2026-01-01 00:00:00', bet_amount NUMERIC DEFAULT 1, win_amount NUMERIC DEFAULT 1,"
            " game_name TEXT DEFAULT 'g', PRIMARY KEY (id, what))"
        )
        config = home / "views.yaml"
        deposits = next(line for line in config.read_text().splitlines() if "name: deposits" in line)
        casino = (
            "  - {name: deposits, source: db, relation: casino, kind: casino_bets_and_wins, cursor: id, "
            f"type: {{column: what, bet: BET, win: WIN}}{more}}}"
        )
        self.store.close()
        self.source.close()
        config.write_text(config.read_text().replace(deposits, casino))
        self.open(home)

    def put(self, *rows):
        self.replica.executemany("INSERT INTO casino (id, what) VALUES (?, ?)", rows)


@pytest.mark.parametrize(
    ("more", "found"), [("", True), (", late_commit: lookback", True), (", late_commit: gaps", False)]
)
def test_a_win_under_the_id_of_its_bet_is_found(tmp_path, more, found):
    """By default, and where a lookback is asked for; whoever asks for gaps is told what they do not find."""
    view = Casino(tmp_path, more)
    view.put((1, BET), (1, WIN), (2, BET), (3, BET))
    poll(view)
    view.put((2, WIN))
    poll(view)
    if found:  # keys are scanned again now and then, as their cost allows
        until(lambda: poll(view) or "2,WIN" in view.delivery.sent[4:])
    (status,) = view.board.views()
    assert ("2,WIN" in view.delivery.sent[4:]) == found
    assert ("several rows have one id" in status.late_commit) == (more != ", late_commit: lookback")
    view.close()


def poll(view):
    for _ in range(2):
        view.loop.poll(threading.Event(), checks="now")
