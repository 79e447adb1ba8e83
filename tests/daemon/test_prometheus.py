"""A real Prometheus scrapes a daemon: every expression means something there, and alerts fire and are over."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
import yaml

from servers.postgresql import free_port
from servers.prometheus import RULES, prometheus
from waiting import until

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "config" / "smartico-sync.dashboard.json"
PAGE = ROOT / "docs" / "metrics.md"
NAME = re.compile(r"(?:smartico_sync|process)_[a-z_]+")
# These are of some views, some destinations or some daemons only.
SELDOM = re.compile(
    r"smartico_sync_(stream_|parked_rows|dead_letters|invalid_values|left_out|given_up_rows|put_off_rows|replica_lag|lateness|compared|finding_since|leader|members)"
)
TABLE = """
CREATE TABLE deposits (id INTEGER PRIMARY KEY, transaction_id TEXT, ext_brand_id TEXT DEFAULT 'b', user_ext_id TEXT DEFAULT 'u',
 transaction_date TIMESTAMP DEFAULT '2026-01-01 00:00:00', deposit_amount NUMERIC DEFAULT 1);
"""
VIEW = "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: id, every: 200ms}\n"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed"),
]


@pytest.fixture
def casino(operator):
    """A replica of which rows are sent, and the address where the daemon's metrics are."""
    replica = sqlite3.connect(operator.home / "replica.db", isolation_level=None)
    replica.executescript(TABLE)
    operator.configure(f"sqlite:///{operator.home}/replica.db", VIEW)
    target = f"127.0.0.1:{free_port()}"
    operator.config.write_text(operator.config.read_text().replace("listen: off", f"listen: {target}"))
    daemon = operator.start("run")
    until(lambda: operator.sync("status").returncode == 0, 0.5)
    yield replica, target
    daemon.terminate()
    daemon.wait()
    replica.close()


def on_the_dashboard():
    """What its panels ask."""
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def expressions():
    """Everything that rules, dashboard and page ask."""
    (group,) = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    yield from (rule["expr"] for rule in group["rules"])
    yield from on_the_dashboard()
    table = PAGE.read_text("utf-8").partition("## Set-up")[0]
    yield from (
        each.replace(r"\|", "|")
        for each in re.findall(r"`([^`]+)`", table)
        if NAME.search(each) and "/" not in each[:1]
    )


def test_alerts_fire_and_are_over(operator, casino):
    """The API takes nothing: the alert names the command. It takes events again: the alert is over by itself."""
    replica, target = casino
    with prometheus(operator.home, target) as there:
        until(lambda: there.ask("smartico_sync_ready == 1"), 0.5)
        for expression in expressions():
            there.ask(expression)
        asked = {name for expression in expressions() for name in NAME.findall(expression)}
        assert {name for name in asked - there.names() if not SELDOM.match(name)} == set()
        until(lambda: not there.firing(), 0.5)
        operator.sandbox.set_faults(["503"])
        replica.execute("INSERT INTO deposits (transaction_id) VALUES ('a')")
        until(lambda: "SmarticoSyncNotDelivering" in there.firing(), 0.5)
        assert there.firing()["SmarticoSyncNotDelivering"]["command"] == "smartico-sync status"
        assert operator.sync("status").returncode == 1
        operator.sandbox.set_faults([])
        until(lambda: "SmarticoSyncNotDelivering" not in there.firing(), 0.5)
        assert there.ask('smartico_sync_rows_total{outcome="delivered"}')[0]["value"][1] == "1"
        assert there.ask('smartico_sync_requests_total{decision="retry"} > 0')
        for expression in on_the_dashboard():  # no panel is empty
            until(lambda asked=expression: SELDOM.search(asked) or there.ask(asked), 0.5)
