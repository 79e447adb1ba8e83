"""What a member of a cluster says of itself."""

from __future__ import annotations

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from smartico_sync.cli.status_text import cluster_lines
from smartico_sync.delivery.destination_status import DestinationStatus
from smartico_sync.delivery.rate_limit import BudgetStatus
from smartico_sync.observe.cluster_status import ClusterStatus, GroupStatus, MemberStatus, lane_lines, with_cluster
from smartico_sync.observe.finding import Finding
from smartico_sync.observe.health import assess
from smartico_sync.observe.journal import Journal
from smartico_sync.observe.metrics import exposition
from smartico_sync.observe.status_page import page
from smartico_sync.state.group import LaneHolder

LOST = Finding("critical", "state", "it cannot be reached", "look at the server", code="cluster")


def standing(role="stands by", held="yes", sees="yes", findings=()):
    groups = (GroupStatus("lions", ("deposits",), role, held, "two<", "2026-11-29 01:02:03+00:00", 8.0),)
    return ClusterStatus("one", sees, groups, (MemberStatus("one", ()), MemberStatus("two<", ("lions",))), findings)


@pytest.mark.parametrize(
    ("cluster", "ready"),
    [
        (standing(), "standing by"),
        (standing("works"), "delivering"),
        (standing(held="no"), "starting"),
        (standing(sees="no", findings=(LOST,)), "not delivering"),
    ],
)
def test_ready_is_who_holds_what_it_should_or_stands_by_and_sees_the_state(cluster, ready):
    """And whoever cannot see the state is not ready, whatever it held."""
    health = with_cluster(assess((), ()), cluster)
    assert (health.alive, health.ready) == ("alive", ready)
    assert health.findings == cluster.findings, "standing by is no trouble"


@pytest.mark.parametrize("cluster", [standing(), standing("works"), standing(held="no"), standing(sees="no")])
def test_a_member_tells_what_it_finds_as_any_daemon_does(cluster):
    """To the log, to webhooks and to `status`: what concerns its views, and what concerns the cluster."""
    note = Finding("warning", "state", "the disk is nearly full", code="disk")
    health = with_cluster(assess((), (), [note]), replace(cluster, findings=(LOST,)))
    journal = Journal()
    journal.watch(lambda: (health, ()))
    journal.look()
    assert [each.code for each in health.each] == ["cluster", "disk"]
    dated = journal.dated(health)
    assert [each.code for each in dated.findings] == ["cluster", "disk"]
    assert all(each.since_ms for each in dated.findings)


def test_the_page_says_who_works_with_what():
    """Also of a member that stands by, which has no view and no destination of its own; names are escaped."""
    health = with_cluster(assess((), ()), standing())
    shown = page((), health, (), "1", 0, cluster=standing())
    assert "Standing by" in shown
    assert "two&lt;" in shown
    assert "one: stands by" in shown


@pytest.mark.parametrize(("role", "value"), [("works", "1.0"), ("stands by", "0.0")])
def test_monitoring_knows_who_leads(role, value):
    """By group."""
    assert f'smartico_sync_leader{{group="lions"}} {value}'.encode() in exposition((), (), cluster=standing(role))


def sharing():
    lanes = tuple(LaneHolder("bets", f"a.bets/{n}", "one" if n < 2 else "two<" if n < 11 else "") for n in range(12))
    groups = (GroupStatus("topics of lions", ("bets",), "works", "yes", "one, two<", "", 8.0, lanes),)
    return ClusterStatus("one", "yes", groups, (MemberStatus("one", ("topics of lions",)),))


def test_who_reads_what_of_a_topic_that_members_share_is_told():
    """On the page, by status and to monitoring; a partition that nobody reads is told, too."""
    lines = ["bets: one reads a.bets/0,1; two< reads a.bets/2,3,4,5,6,7,8,9,10; nobody reads a.bets/11"]
    assert lane_lines((each.view, each.lane, each.member) for each in sharing().groups[0].lanes) == lines
    shown = page((), with_cluster(assess((), ()), sharing()), (), "1", 0, cluster=sharing())
    assert "two&lt; reads a.bets/2,3" in shown
    assert lines[0] in cluster_lines(to_builtins(sharing()))
    series = exposition((), (), cluster=sharing())
    assert b'smartico_sync_partitions_read{member="two<",view="bets"} 9.0' in series


def test_the_budget_that_members_share_is_told():
    """What was drawn of it, what was lost, and how long requests waited for it; where there is none, nothing."""
    without = DestinationStatus("smartico", "idle", "", None, 0, 0, 0, 1000)
    drawing = replace(without, budget=BudgetStatus(120, 3, 1.5, "the state cannot be reached"))
    series = exposition((), (drawing,))
    assert b'smartico_sync_budget_requests_total{became="lost",destination="smartico"} 3.0' in series
    assert b'smartico_sync_budget_wait_seconds_total{destination="smartico"} 1.5' in series
    assert b"smartico_sync_budget_requests_total{" not in exposition((), (without,))
    shown = page((), assess((), (drawing,)), (drawing,), "1", 0)
    assert "120 requests drawn" in shown
    assert "the state cannot be reached" in shown
