"""`smartico-sync sandbox` as an operator starts it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import httpx
import orjson
import pytest

RUN = [sys.executable, "-c", "from smartico_sync.cli import main; main()", "sandbox"]


def test_start_send_end(make, tmp_path):
    """It says where it listens and what to type, logs what it accepts, and ends cleanly on Ctrl-C."""
    log = tmp_path / "accepted.jsonl"
    process = subprocess.Popen(
        [*RUN, "--listen", "127.0.0.1:0", "--log", log], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        first = process.stdout.readline()
        base = re.search(r"http://\S+", first)[0]
        httpx.post(base + "/api/external/events/v2", json=[make(1)], headers={"Authorization": "x"}).raise_for_status()
        assert orjson.loads(log.read_bytes()) == make(1)
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
        process.wait()
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, err) == (0, "")
    assert "smartico: {url: " + base in out
    assert "1 events accepted" in out


@pytest.mark.parametrize("wrong", [["--fault", "sharknado"], ["--listen", "nowhere"], ["--fault", "503:9"]])
def test_mistakes_are_told(wrong):
    """A mistake ends with exit code 2, one line of what is wrong and one of what to type."""
    done = subprocess.run([*RUN, *wrong], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "next: " in done.stderr
    assert "Traceback" not in done.stderr
