"""A command imports what it needs: most of a start is importing."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from smartico_sync.daemon.control import Control
from smartico_sync.state.place import FilePlace

PROGRAM = """
import atexit, sys
atexit.register(
    lambda: open("modules", "w").write(
        "\\n".join(name for name, module in sys.modules.items() if module and type(module).__name__ != "Deferred")
    )
)
from smartico_sync.cli import main
main()
"""
DRAWING = {"rich", "pygments", "prompt_toolkit"}
ENGINES = {
    "bigquery", "clickhouse", "kafka", "mongodb", "mssql", "mysql", "oracle", "postgresql", "rabbitmq", "redshift",
    "snowflake",
}  # fmt: skip
DRIVERS = {"psycopg", "pymysql", "pyodbc", "oracledb", "clickhouse_connect", "snowflake", "google", "pymongo", "pyarrow",
           "redshift_connector", "confluent_kafka", "pika", "numpy", "pandas"}  # fmt: skip
WORKING = {"polars", "sqlalchemy", "httpx", "urllib3", "cryptography", "apscheduler", "prometheus_client", "structlog",
           "sqlite3", "asyncio"}  # fmt: skip
STATE = {"sqlite3", "cryptography", "structlog"}  # what opens and reads it
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
    place = {
        "smartico_sync.state.place",
        "smartico_sync.state.key_file",
        "smartico_sync.state.group",
    }  # where the daemon is asked
    assert not {name for name in ours - place if name.startswith(("smartico_sync.tracking", "smartico_sync.state."))}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "needless"),
    [
        ("--version", WORKING | {"pydantic", "yaml", "orjson"}),
        ("completion bash", WORKING | {"pydantic", "yaml"}),
        ("keys new", WORKING | {"pydantic", "yaml"}),
        ("kinds deposits", WORKING),
        ("config schema", WORKING),
        ("status", WORKING - STATE),
        ("watermark show", WORKING - STATE),
        ("dead-letters list", WORKING - STATE),
        ("state backup copy.db", WORKING - STATE),
    ],
)
def test_a_command_without_tables_imports_no_library_for_them(imported, operator, command, needless):
    """Nor what asks databases, and what sends. The state is there, and no daemon."""
    FilePlace(operator.home / "state" / "sync.db").open().close()
    done, modules, _ = imported(*command.split())
    assert "error: " not in done.stderr
    assert not modules & (DRAWING | DRIVERS | needless)


def test_run_on_sqlite_imports_no_other_engine_and_draws_nothing(imported, operator):
    """`smartico-sync run` away from a terminal needs no rich, no other engine, no broker, and no metrics before somebody scrapes."""
    done, modules, ours = imported("run", "--once")
    assert (done.returncode, len(operator.accepted())) == (0, 1)
    assert not modules & (DRAWING | DRIVERS | {"prometheus_client"})
    assert not {name for name in ours if name.split(".")[2:3] and name.split(".")[2] in ENGINES}
    assert not {
        name for name in ours if name.startswith(("smartico_sync.tracking.stream", "smartico_sync.core.messages"))
    }


@pytest.mark.slow
def test_tables_wait_until_a_database_has_answered(imported, operator):
    """A database is asked before polars is imported, a fifth of a start: where none answers it never is."""
    operator.configure("sqlite:///absent.db", VIEW)
    done, modules, _ = imported("run", "--once")
    assert done.returncode == 3
    assert not modules & {"polars", "asyncio"}


@pytest.mark.slow
def test_a_second_run_writes_no_sql_and_without_rows_sends_nothing(imported, operator):
    """What the run before wrote is in a file beside the state; without that file it is written again."""
    assert imported("run", "--once")[1] >= {"sqlalchemy", "httpx", "urllib3"}
    assert imported("run", "--once")[0].returncode == 0  # it polls behind a row, which the first one did not
    done, modules, _ = imported("run", "--once")
    assert (done.returncode, len(operator.accepted())) == (0, 1)
    assert not modules & {"sqlalchemy", "httpx", "urllib3"}
    (operator.home / "state" / "sync.db.statements").unlink()
    done, modules, _ = imported("run", "--once")
    assert (done.returncode, "sqlalchemy" in modules, len(operator.accepted())) == (0, True, 1)


WITHOUT_EXTRAS = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in %r:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import click
from smartico_sync.cli import app, main
def loaded(group, context):
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            loaded(command, context)
loaded(app, click.Context(app))
main()
"""


def optional():
    """The top names of what only an extra installs: all that extras ask for, less what everybody gets."""
    owners = metadata.packages_distributions()
    plain, extras = set(), set()
    for text in metadata.requires("smartico-sync"):
        wanted = Requirement(text)
        (extras if wanted.marker and "extra" in str(wanted.marker) else plain).add(canonicalize_name(wanted.name))
    found = {
        name
        for name, of in owners.items()
        if {canonicalize_name(each) for each in of} & (extras - plain - {"smartico-sync"})
    }
    return found | {"numpy", "pandas", "pyarrow", "bson", "grpc", "requests"}


@pytest.mark.parametrize("arguments", [("check",), ("run", "--once")])
def test_every_command_works_where_no_extra_is_installed(imported, operator, arguments):
    """What `pip install smartico-sync` brings is enough for every command to begin, and for SQLite altogether."""
    assert {"psycopg", "pika"} <= optional()
    command = [sys.executable, "-c", WITHOUT_EXTRAS % optional(), *arguments, "--config", str(operator.config)]
    done = subprocess.run(command, cwd=operator.home, capture_output=True, text=True, check=False, timeout=90)
    assert "internal error" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
