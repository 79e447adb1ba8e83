"""How stand-ins are started and ended, and what README.md says of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from stand_ins import process
from stand_ins.process import HERE, StandIn


def test_one_tells_where_it_listens_and_ends_with_its_standard_input():
    """It serves from the moment its line is there; stop() leaves no process behind."""
    running = StandIn.start("redshift", 1)
    socket.create_connection(("127.0.0.1", running.told["port"])).close()
    running.stop()
    assert running.process.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.told["port"]))


def test_one_that_does_not_start_says_why():
    """What it wrote is in the failure."""
    with pytest.raises(RuntimeError, match="No such file or directory"):
        StandIn.start("redshift", 1, "/nowhere/certificate.pem", "/nowhere/key.pem")


def test_one_that_is_not_installed_skips_the_test(monkeypatch, tmp_path):
    """With the way to mend it."""
    monkeypatch.setattr(process, "ROOT", tmp_path)
    with pytest.raises(pytest.skip.Exception, match="the mssql stand-in is not installed: tests/servers/provision all"):
        StandIn.start("mssql")


def test_each_is_described():
    """README.md has a line for every folder."""
    text = (HERE / "README.md").read_text()
    folders = {path.name for path in HERE.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert folders == {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}


def test_each_says_how_heavy_it_is():
    """The first line of its requirements decides whether `make test` installs it."""
    for requirements in HERE.glob("*/requirements.txt"):
        assert requirements.read_text().startswith(("# light:", "# heavy:")), requirements


MARKED = """import pytest

@pytest.mark.stand_in("oracle", "mssql")
@pytest.mark.parametrize("engine", ["mssql", "sqlite"])
def test_plan(engine):
    pass

@pytest.mark.stand_in("oracle")
@pytest.mark.parametrize("number", [1, 2])
def test_dialect(number):
    pass

@pytest.mark.stand_in("oracle")
def test_skipped():
    pytest.skip("not here")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("real", "told"), [("", "3 tests prove a stand-in only: 1 mssql, 2 oracle"), ("ORACLE", "1 tests prove a stand-in only: 1 mssql")]
)  # fmt: skip
def test_a_run_counts_what_only_proves_a_stand_in(tmp_path, real, told):
    """By engine, those that ran; where a real server is named nothing stands in."""
    (tmp_path / "test_marked.py").write_text(MARKED)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SYNC_TEST_")}
    if real:
        environment[f"SYNC_TEST_{real}_URL"] = "oracle://u:p@h/s"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "conftest", "-c", process.ROOT / "pyproject.toml", tmp_path / "test_marked.py"],
        env={**environment, "PYTHONPATH": str(HERE.parent)}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told in done.stdout.splitlines(), done.stdout + done.stderr
