"""What monitoring is built of: the series, the page about them, the alerts and the dashboard name the same things."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from observe.conftest import at, ended, facts
from smartico_sync.delivery.destination_status import DestinationStatus
from smartico_sync.observe.cluster_status import ClusterStatus, GroupStatus, MemberStatus
from smartico_sync.observe.finding import Code
from smartico_sync.observe.health import assess
from smartico_sync.observe.metrics import exposition
from smartico_sync.observe.polls import Polls
from smartico_sync.observe.view_status import LaneStatus, StreamStatus, derived

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "config" / "smartico-sync.alerts.yaml"
DASHBOARD = ROOT / "config" / "smartico-sync.dashboard.json"
PAGE = ROOT / "docs" / "metrics.md"
NAME = re.compile(r"smartico_sync_[a-z_]+|process_[a-z]+_[a-z_]+")
BEGAN = Polls.since_now(at(0))
GOOD = ended(BEGAN.poll_began(at(10)).reading_began(at(10)), 100, at(20))
CLUSTER = ClusterStatus(
    "one",
    "yes",
    (GroupStatus("default", ("deposits",), "works", "yes", "one", "", 9.0),),
    (MemberStatus("one", ("default",)),),
)
PAGE_BEGIN, PAGE_END = "<!-- series -->\n", "<!-- /series -->"


def scraped(polls=GOOD, **more):
    """The exposition of one view and one destination, by family."""
    views = (derived(facts(polls, **more), at(2_000)),)
    there = (DestinationStatus("default", "delivering", "", None, 0, 0, 0, 1_000),)
    sizes = {"bytes": 8_500_000, "free_bytes": 100}
    text = exposition(views, there, 0, assess(views, there), CLUSTER, sizes).decode()
    return text, {family.name: family for family in text_string_to_metric_families(text)}


def everything():
    """The families of a view of messages too."""
    _, families = scraped(stream=StreamStatus(lanes=(LaneStatus("bets-0", 7, 900),)))
    return families


def names():
    """Every series, as a query writes it."""
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
    return {f"{name}{ending}" for name, family in everything().items() for ending in endings.get(family.type, ("",))}


def rules():
    (group,) = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return group["rules"]


def test_alerts_dashboard_and_page_name_series_that_exist():
    """A series that is renamed breaks no alert in silence."""
    known = names()
    for file in (ALERTS, DASHBOARD, PAGE):
        assert {name for name in NAME.findall(file.read_text("utf-8")) if not name.endswith("_")} - known == set(), (
            file.name
        )


def test_the_page_has_every_series_and_every_alert():
    """With its type and meaning, as the exposition has them."""
    rows = [
        f"| `{name.removeprefix('smartico_sync_')}{'_total' if family.type == 'counter' else ''}` | {family.type} | {family.documentation} |"
        for name, family in sorted(everything().items())
        if name.startswith("smartico_sync_")
    ]
    page = PAGE.read_text("utf-8")
    assert page.partition(PAGE_BEGIN)[2].partition(PAGE_END)[0].splitlines()[2:] == rows
    assert [rule["alert"] for rule in rules() if f"`{rule['alert']}`" not in page] == []


def test_every_alert_says_what_to_run():
    """A summary and a command; nobody is called without a next step."""
    for rule in rules():
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["command"]
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_no_finding_is_without_an_alert():
    """Whoever has nothing but Prometheus is told of every kind of finding, by an alert of its own or by the one for all others."""
    (others,) = [rule["expr"] for rule in rules() if rule["alert"] == "SmarticoSyncFinding"]
    covered = set(re.search('"(.*)"', others)[1].split("|"))
    own = {"age", "api_halted", "api_unavailable", "clock", "dead_letters", "invalid", "missing", "refused", "replica", "standstill", "start",
           "trouble", "unknown_duplicates", "waiting"}  # fmt: skip
    assert covered | own == set(get_args(Code)) - {"", "advice"}


def test_the_dashboard_is_whole():
    """Every panel has a title and a question, and none lies over another."""
    taken = set()
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        assert panel["title"]
        assert all(target["expr"] for target in panel["targets"])
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken
        taken |= cells


def test_what_never_was_has_no_moment():
    """A view that was never compared and never caught up says nothing of 1970; it is there from the start all the same."""
    _, families = scraped(BEGAN)
    assert families["smartico_sync_compared_timestamp_seconds"].samples == []
    assert families["smartico_sync_caught_up_timestamp_seconds"].samples == []
    assert [sample.value for sample in families["smartico_sync_recent_refused_ratio"].samples] == [0.0]
    assert families["smartico_sync_view_info"].samples[0].labels == {
        "view": "deposits",
        "source": "db",
        "kind": "deposits",
    }


def test_what_counts_is_there_from_the_start():
    """With 0, so that the first of it is an increase; nothing is known of a replica where there is none."""
    _, families = scraped(BEGAN)
    for name, label, known in (
        ("rows", "outcome", {"read", "delivered", "duplicate", "unchanged", "skipped", "dropped"}),
        ("events", "verdict", {"delivered", "duplicate", "refused"}),
        ("requests", "decision", {"done", "retry", "unknown", "halt", "brand", "bisect"}),
    ):
        samples = [each for each in families[f"smartico_sync_{name}"].samples if each.name.endswith("_total")]
        assert {each.labels[label]: each.value for each in samples} == dict.fromkeys(known, 0.0)
    assert families["smartico_sync_request_duration_seconds"].samples[-1].value == 0.0
    assert families["smartico_sync_replica_lag_seconds"].samples == []


def test_answers_are_counted_by_how_long_they_took():
    """A histogram: each bucket holds those before it, and its sum is the time that was waited."""
    views = (derived(facts(GOOD), at(2_000)),)
    there = DestinationStatus(
        "default", "delivering", "", None, 0, 0, 0, 1_000, seconds=4.5, durations=(3, 0, 0, 2, 0, 0, 1, 0, 0, 0, 0)
    )
    lines = exposition(views, (there,)).decode().splitlines()
    named = "smartico_sync_request_duration_seconds"
    assert f'{named}_bucket{{destination="default",le="0.1"}} 3.0' in lines
    assert f'{named}_bucket{{destination="default",le="0.25"}} 5.0' in lines
    assert f'{named}_bucket{{destination="default",le="+Inf"}} 6.0' in lines
    assert f'{named}_count{{destination="default"}} 6.0' in lines
    assert f'{named}_sum{{destination="default"}} 4.5' in lines


def test_the_size_of_the_state_and_a_replicas_age_are_series():
    """In bytes and in seconds."""
    text, _ = scraped(server_role="physical standby", skew_ms=-850)
    assert "smartico_sync_state_bytes 8.5e+06" in text
    assert "smartico_sync_state_free_bytes 100.0" in text
    assert 'smartico_sync_replica_lag_seconds{view="deposits"} 0.85' in text


def test_health_and_states_are_series():
    """Whether it delivers, how many findings, how the destination stands, which version."""
    _, families = scraped(parked={10001: 522}, parked_since_ms=at(0).wall_ms)
    assert families["smartico_sync_ready"].samples[0].value == 0.0
    assert families["smartico_sync_alive"].samples[0].value == 1.0
    assert {each.labels["severity"]: each.value for each in families["smartico_sync_findings"].samples} == {
        "critical": 1,
        "warning": 0,
        "advice": 0,
    }
    states = {each.labels["state"]: each.value for each in families["smartico_sync_destination_state"].samples}
    assert states == {"idle": 0, "delivering": 1, "backing_off": 0, "halted": 0}
    states = {each.labels["state"]: each.value for each in families["smartico_sync_view_state"].samples}
    assert states == {"starting": 0, "live": 1, "behind": 0, "degraded": 0, "halted": 0, "regressed": 0}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_takes_metrics_and_alerts():
    """Prometheus' own tool finds nothing wrong."""
    subprocess.run(["promtool", "check", "rules", str(ALERTS)], check=True, capture_output=True)
    subprocess.run(["promtool", "check", "metrics"], input=scraped()[0].encode(), check=True, capture_output=True)
