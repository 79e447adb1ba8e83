"""What every test may use."""

from __future__ import annotations

import gc
import os
import re
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

import engines
from scratch import in_memory
from servers.bigquery import bigquery_dataset, bigquery_server
from servers.clickhouse import clickhouse_database, clickhouse_server, private_clickhouse
from servers.kafka import kafka_broker, kafka_mock, kafka_mock_groups, private_kafka_mock
from servers.mariadb import mariadb, mariadb_server, private_mariadb, replica
from servers.mongodb import mongodb_database, mongodb_server, private_mongodb
from servers.mssql import emulated_mssql, mssql, mssql_driver, mssql_server, mssql_url, secure_mssql
from servers.mysql import mysql, mysql56, mysql56_server, mysql_server
from servers.oracle import listener, oracle
from servers.pgbouncer import pooled
from servers.postgresql import postgresql, postgresql_server, private_postgresql, standby
from servers.proxy import Proxy
from servers.rabbitmq import NAME as RABBITMQ
from servers.rabbitmq import impatient_rabbitmq, private_rabbitmq, rabbitmq
from servers.redshift import redshift, redshift_server
from servers.snowflake import private_snowflake, snowflake_schema, snowflake_server
from servers.webhook import webhook
from smartico_sync.tracking import clocks

__all__ = [
    "bigquery_dataset", "bigquery_server", "clickhouse_database", "clickhouse_server", "emulated_mssql", "impatient_rabbitmq", "kafka_broker",
    "kafka_mock", "kafka_mock_groups", "listener",
    "mariadb", "mariadb_server", "mongodb_database", "mongodb_server", "mssql", "mssql_driver", "mssql_server",
    "mssql_url", "mysql", "mysql56", "mysql56_server", "mysql_server", "oracle", "pooled", "postgresql", "postgresql_server",
    "private_clickhouse", "private_kafka_mock", "private_mariadb", "private_mongodb", "private_postgresql",
    "private_rabbitmq", "private_snowflake", "proxied", "rabbitmq",
    "redshift", "redshift_server", "replica", "secure_mssql", "snowflake_schema", "snowflake_server", "standby",
    "webhook",
]  # fmt: skip

# The contract of brokers is tested on them; what stands in for a broker of one's own.
BROKERS = {
    "kafka_mock": "the mock cluster of its client",
    "kafka_mock_groups": "the same, which keeps the groups itself (KIP-848)",
    "kafka_broker": "tansu, where SYNC_TEST_KAFKA_URL names none",
}

settings.register_profile(
    "suite", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("suite")

in_memory()
gc.disable()  # while thousands of tests are collected, all of which stay


@pytest.fixture(autouse=True)
def fresh_clock(monkeypatch):
    """A test that sets a clock forward leaves no memory of it: the next one would wait for time that never passed."""
    monkeypatch.setattr(clocks, "clock", clocks.WallClock())


@pytest.fixture
def proxied():
    """Put a misbehaving network in front of a port: `proxy = proxied(port)`."""
    proxies = []

    def between(port: int) -> Proxy:
        proxies.append(Proxy(port))
        return proxies[-1]

    yield between
    for proxy in proxies:
        proxy.close()


def coverage(reporter):
    """The engines whose contract was tested in this run, and why others were not, by name."""
    covered, left_out = set(), {}
    for outcome in ("passed", "failed", "skipped"):
        for report in reporter.stats.get(outcome, []):
            found = re.search(r"test_contract\.py::.*\[(\w+)", report.nodeid)
            if found is None or found[1] not in (*engines.NAMES, *BROKERS):
                continue
            if outcome != "skipped":
                covered.add(found[1])
            elif isinstance(report.longrepr, tuple):
                left_out.setdefault(found[1], report.longrepr[2].removeprefix("Skipped: "))
    return covered, left_out


def pytest_collection_modifyitems(items):
    """Write on each test marked `stand_in` for which engine it proves no more than the stand-in, if one stands in."""
    for item in items:
        engine = getattr(item, "callspec", None) and item.callspec.params.get("engine")
        for name in {name for mark in item.iter_markers("stand_in") for name in mark.args}:
            if engine in (None, name) and engines.stand_in(name):
                item.user_properties.append(("stand_in", name))


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop():
    """What was collected and imported is there to the end: nobody needs to look through it again and again."""
    gc.freeze()
    gc.enable()


def of_stand_ins(reporter):
    """How many of the tests that ran prove a stand-in only, by engine."""
    ran = [report for outcome in ("passed", "failed") for report in reporter.stats.get(outcome, [])]
    return Counter(name for report in ran for what, name in report.user_properties if what == "stand_in")


def pytest_terminal_summary(terminalreporter):
    """Say which databases this run covered, which it left out and why, and how many tests prove only what stands in."""
    if proved := of_stand_ins(terminalreporter):
        by_engine = ", ".join(f"{count} {name}" for name, count in sorted(proved.items()))
        terminalreporter.write_line(f"{proved.total()} tests prove a stand-in only: {by_engine}")
    covered, left_out = coverage(terminalreporter)
    if not covered and not left_out:
        return
    instead = {name: BROKERS.get(name) or engines.stand_in(name) for name in sorted(covered)}
    named = [f"{name} ({what})" if what else name for name, what in instead.items()]
    terminalreporter.write_line(f"engines covered: {', '.join(named) or 'none'}")
    for name in sorted(set(engines.NAMES) - covered):
        terminalreporter.write_line(f"  not covered: {name}: {left_out.get(name, 'see make test-all')}")


def pytest_sessionfinish(session):
    """`SYNC_TEST_REQUIRE=postgresql,mariadb` fails a run that did not cover one of these; `pgbouncer` one that skips it."""
    required = {name for name in os.environ.get("SYNC_TEST_REQUIRE", "").split(",") if name} - {"pgbouncer"}
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not required or reporter is None or hasattr(session.config, "workerinput"):
        return
    missing = required - coverage(reporter)[0] - {RABBITMQ}  # whose tests fail by themselves where it is missing
    if missing:
        reporter.write_line(f"required, and not covered: {', '.join(sorted(missing))}", red=True)
        session.exitstatus = 1
