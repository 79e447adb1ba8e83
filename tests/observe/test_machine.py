"""What is known of the machine and of the source's server: clocks that differ, a disk that is full, a replica that stands still."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from observe.conftest import at, ended, facts
from smartico_sync.delivery.destination_status import DestinationStatus
from smartico_sync.observe import machine
from smartico_sync.observe.health import assess
from smartico_sync.observe.machine import of_disk, of_size
from smartico_sync.observe.polls import Polls
from smartico_sync.observe.view_status import ReplicaStatus, derived

GOOD = ended(Polls.since_now(at(0)).poll_began(at(10)).reading_began(at(10)), 100, at(20))
HOUR_MS = 3_600_000


def view(state="primary", lag_ms=0, ahead_ms=0, now_ms=2_000, **more):
    replica = ReplicaStatus(state, lag_ms, at(1_000).wall_ms + ahead_ms, "SELECT pg_wal_replay_resume()", at(1_000))
    return derived(facts(GOOD, replica=replica, **more), at(now_ms))


def api(ahead_ms):
    return DestinationStatus("smartico", "idle", "", None, 0, 0, 0, 1_000, clock_ahead_ms=ahead_ms)


@pytest.mark.parametrize(
    ("source_ms", "api_ms", "told"),
    [
        (0, 0, ""),
        (59_000, -59_000, ""),
        (HOUR_MS, HOUR_MS, "the clock of this machine is 1 h 00 min behind the API's and the database's"),
        (-HOUR_MS, -HOUR_MS, "the clock of this machine is 1 h 00 min ahead of the API's and the database's"),
        (HOUR_MS, 0, "the clock of source db is 1 h 00 min ahead of this machine's and the API's"),
        (HOUR_MS, None, "the clock of source db is 1 h 00 min ahead of this machine's"),
        (0, HOUR_MS, ""),
    ],
)
def test_of_clocks_that_differ_the_one_that_is_alone_is_wrong(source_ms, api_ms, told):
    """Ours, when the API and the database agree; of two nobody can tell, and an API's that is wrong harms nobody."""
    found = assess([view(ahead_ms=source_ms)], [api(api_ms)]).findings
    assert [each.message for each in found] == ([told] if told else [])
    assert all("set-ntp" in each.hint or "database's machine" in each.hint for each in found)


def test_a_clock_that_was_set_right_is_no_finding_any_more():
    """What the server said is carried on by the clock that never jumps: it need not be asked again."""
    told = derived(facts(GOOD, replica=ReplicaStatus("primary", 0, at(HOUR_MS).wall_ms, "", at(0))), at(1_000))
    assert told.clock_ahead_ms == HOUR_MS
    mended = derived(
        facts(GOOD, replica=ReplicaStatus("primary", 0, at(HOUR_MS).wall_ms, "", at(0))), at(1_000, jumped=HOUR_MS)
    )
    assert mended.clock_ahead_ms == 0


def test_a_replica_that_stands_still_is_a_lag_and_a_finding():
    """At once as a warning, critical beyond five minutes or `max_age`; the lag grows while nobody asks, and fires `max_age`."""
    (finding,) = assess([view("stopped", 7_000)], ()).findings
    assert (finding.severity, finding.code) == ("warning", "replica")
    assert finding.hint == "SELECT pg_wal_replay_resume()"
    assert finding.since_ms == at(1_000 - 7_000).wall_ms
    assert view("stopped", 7_000).lag_ms == 1_990 + 7_000 + 1_000
    later = assess([view("stopped", 7_000, now_ms=400_000)], ())
    assert (later.findings[0].severity, later.ready) == ("critical", "not delivering")
    aged = assess([view("stopped", 7_000, max_age_ms=5_000)], ())
    assert {each.code: each.hint for each in aged.findings} == dict.fromkeys(("replica", "age"), finding.hint)
    assert aged.ready == "not delivering"


def test_a_replica_that_falls_back_is_told_beyond_the_limit_only():
    """Twelve views of it are one finding; a primary, and a replica that keeps up, are none."""
    assert assess([view("replica", 200_000), view("primary"), view("unknown")], ()).findings == ()
    many = [replace(view("replica", 400_000), name=f"view{n}") for n in range(12)]
    (finding,) = assess(many, ()).findings
    assert finding.message == "source db: its replica is more than 5 min 00 s behind the primary"
    assert finding.subject == "view0, view1, view2 and 9 more"


def test_a_disk_that_is_nearly_full_is_told_before_it_is(monkeypatch, tmp_path):
    """A warning, then critical; nothing of one with room, nor of a folder that is not there."""
    assert of_disk(Path("/nowhere/at/all")) == []
    for free, severities in ((machine.LITTLE, []), (machine.LITTLE - 1, ["warning"]), (1_000_000, ["critical"])):
        asked = type("Room", (), {"f_bavail": free, "f_frsize": 1})
        monkeypatch.setattr(os, "statvfs", lambda _, asked=asked: asked)
        found = of_disk(tmp_path)
        assert [each.severity for each in found] == severities
        assert all("smartico-sync state compact" in each.hint for each in found)


def test_a_state_that_has_outgrown_its_disk_is_told(monkeypatch, tmp_path):
    """When no copy of it fits there any more; a small one is no news, nor is one that is not there."""
    state = tmp_path / "sync.db"
    assert of_size(state) == []
    with state.open("wb") as file:
        file.truncate(2 * machine.LITTLE)
    for free, count in ((3 * machine.LITTLE, 0), (machine.LITTLE, 1)):
        asked = type("Room", (), {"f_bavail": free, "f_frsize": 1})
        monkeypatch.setattr(os, "statvfs", lambda _, asked=asked: asked)
        found = of_size(state)
        assert len(found) == count
        assert all("1,000 MB" in each.message and "ledger_retention" in each.hint for each in found)
