"""A command imports what it needs: most of a start is importing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys

import pytest

from smartico_sync.daemon.control import Control

PROGRAM = """
import atexit, sys
atexit.register(lambda: open("modules", "w").write("\\n".join(sys.modules)))
from smartico_sync.cli import main
main()
"""
DRAWING = {"rich", "pygments", "prompt_toolkit"}
ENGINES = {
    "bigquery", "clickhouse", "kafka", "mongodb", "mssql", "mysql", "oracle", "postgresql", "rabbitmq", "redshift",
    "snowflake",
}  # fmt: skip
DRIVERS = {"psycopg", "pymysql", "pyodbc", "oracledb", "clickhouse_connect", "snowflake", "google", "pymongo", "pyarrow",
           "redshift_connector", "confluent_kafka", "pika", "msgspec", "numpy", "pandas"}  # fmt: skip
WORKING = {"polars", "sqlalchemy", "httpx", "urllib3", "cryptography", "apscheduler", "prometheus_client", "structlog",
           "sqlite3", "asyncio"}  # fmt: skip
VIEW = "  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: id, every: 1s}\n"


@pytest.fixture
def imported(operator):
    """What a command imports, by its top names; and the modules of ours by their whole names."""
    database = sqlite3.connect(operator.home / "casino.db")
    database.execute(
        "CREATE TABLE deposits (id INTEGER PRIMARY KEY, ext_brand_id TEXT, user_ext_id TEXT, transaction_id TEXT, "
        "transaction_date TIMESTAMP, deposit_amount REAL)"
    )
    database.execute("INSERT INTO deposits VALUES (1, 'b', 'u', 't', '2026-01-01 10:00:00', 7.5)")
    database.commit()
    database.close()
    operator.configure("sqlite:///casino.db", VIEW)

    def of(*arguments):
        environment = {**os.environ, "SYNC_CONFIG": str(operator.config)}
        command = [sys.executable, "-c", PROGRAM, *arguments]
        done = subprocess.run(
            command, cwd=operator.home, env=environment, capture_output=True, text=True, check=False, timeout=90
        )
        names = (operator.home / "modules").read_text().split()
        return done, {name.partition(".")[0] for name in names}, {name for name in names if "smartico_sync" in name}

    return of


def test_help_imports_no_configuration(imported):
    """`smartico-sync --help` needs click and a list of names."""
    done, modules, ours = imported("--help")
    assert done.returncode == 0
    assert not modules & (DRAWING | DRIVERS | WORKING | {"pydantic", "yaml", "orjson"})
    assert ours <= {
        "smartico_sync", "smartico_sync.errors", "smartico_sync.core", "smartico_sync.core.printable",
        "smartico_sync.cli", "smartico_sync.cli.loading", "smartico_sync.cli.output",
    }  # fmt: skip


def test_status_asks_the_daemon_without_what_the_daemon_works_with(imported, operator):
    """Where the daemon answers, `smartico-sync status` reads the configuration and the answer."""
    (operator.home / "state").mkdir()
    told = {"ready": "delivering", "views": [], "findings": []}
    control = Control(operator.home / "state" / "sync.db", operations=None, look=lambda: told)
    try:
        done, modules, ours = imported("status")
    finally:
        control.close()
    assert (done.returncode, done.stdout) == (0, "delivering\n")
    assert not modules & (DRAWING | DRIVERS | WORKING)
    place = {"smartico_sync.state.place", "smartico_sync.state.key_file"}  # where the daemon is asked
    assert not {name for name in ours - place if name.startswith(("smartico_sync.tracking", "smartico_sync.state."))}


def test_run_on_sqlite_imports_no_other_engine_and_draws_nothing(imported, operator):
    """`smartico-sync run` away from a terminal needs no rich, no other engine, no broker, and no metrics before somebody scrapes."""
    done, modules, ours = imported("run", "--once")
    assert (done.returncode, len(operator.accepted())) == (0, 1)
    assert not modules & (DRAWING | DRIVERS | {"prometheus_client"})
    assert not {name for name in ours if name.split(".")[2:3] and name.split(".")[2] in ENGINES}
    assert not {
        name for name in ours if name.startswith(("smartico_sync.tracking.stream", "smartico_sync.core.messages"))
    }
