"""The example of docker/: its database on a real PostgreSQL, its configuration, its reader."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from servers.postgresql import binaries

DOCKER = Path(__file__).parents[2] / "docker"
SYNC = [sys.executable, "-c", "from smartico_sync.cli import main; main()"]


@pytest.fixture
def example(private_postgresql):
    """A server with the example in it, as the container's entry point would load it."""
    server = private_postgresql
    server.admin("CREATE DATABASE casino")
    for script in sorted((DOCKER / "postgres").glob("*.sql")):
        psql = [str(binaries() / "psql"), "-Xq", "-v", "ON_ERROR_STOP=1", "-f", str(script), server.admin_url("casino")]
        done = subprocess.run(
            psql, env=os.environ | {"READER_PASSWORD": "reader"}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    return server


def test_the_reader_may_read_the_views_and_nothing_else(example):
    """The role of the daemon sees its three views, and neither the tables behind them nor any way to write."""
    example.admin("CALL backoffice.play(10)", database="casino")
    place = f"postgresql://smartico_reader:reader@127.0.0.1:{example.port}/casino"
    with psycopg.connect(place, autocommit=True) as reader:
        for view in ("user_profile", "deposits", "casino_transactions"):
            assert reader.execute(f"SELECT count(*) FROM crm.{view}").fetchone()[0] > 600
        reader.execute("SET default_transaction_read_only = off")
        for forbidden in (
            "SELECT * FROM backoffice.players",
            "CALL backoffice.play(1)",
            "CREATE TABLE public.mine (id int)",
            "CREATE TEMP TABLE mine (id int)",
            "DELETE FROM crm.deposits",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                reader.execute(forbidden)


@pytest.mark.slow
def test_the_example_arrives_at_the_sandbox(example, running, tmp_path):
    """The compose file's configuration delivers every row of the example, once, without a violation."""
    caller = running(token="right")
    text = (DOCKER / "views.yaml").read_text()
    text = text.replace("@postgres:5432", f"@127.0.0.1:{example.port}").replace("0.0.0.0:8080", "off")
    text = text.replace("/var/lib/smartico-sync", str(tmp_path))
    (tmp_path / "views.yaml").write_text(text)
    environment = os.environ | {
        "SMARTICO_URL": caller.sandbox.url,
        "SMARTICO_TOKEN": "right",
        "SYNC_PII_KEY": "ZGVtby1rZXktbm90LWEtc2VjcmV0LTMyLWJ5dGVzISE=",
        "DB_PASSWORD": "reader",
    }
    for _ in range(2):
        done = subprocess.run(
            [*SYNC, "run", "--once", "-c", tmp_path / "views.yaml"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    views = ("user_profile", "deposits", "casino_transactions")
    rows = sum(example.admin(f"SELECT count(*) FROM crm.{view}", database="casino")[0][0] for view in views)
    stats = caller.stats
    assert (stats["accepted"], stats["duplicates"], stats["refused"], stats["violations"]) == (rows, 0, {}, {})
