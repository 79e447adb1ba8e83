"""What the image asks of itself works where its environment is that of the company's network."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from observe.conftest import at, facts
from smartico_sync.observe.endpoint import Endpoint
from smartico_sync.observe.status_board import StatusBoard

DOCKERFILE = Path(__file__).parents[2] / "docker" / "Dockerfile"


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"])
def test_the_health_check_asks_no_proxy(variable):
    """The environment's proxy is for the ingest API; whether the daemon lives is asked directly."""
    found = re.search(r"HEALTHCHECK .*\\\n\s*CMD (\[.*\])", DOCKERFILE.read_text())
    command = json.loads(found[1])
    assert command[0] == "python"
    board = StatusBoard(lambda: at(0))
    board.put(facts())
    endpoint = Endpoint("127.0.0.1:0", board, tuple)
    try:
        environ = {**os.environ, variable: "http://127.0.0.1:1", "HEALTH_URL": f"{endpoint.url}/healthz"}
        assert subprocess.run([sys.executable, *command[1:]], env=environ, check=False).returncode == 0
    finally:
        endpoint.close()
    environ["HEALTH_URL"] = "http://127.0.0.1:1/healthz"
    assert subprocess.run([sys.executable, *command[1:]], env=environ, check=False, capture_output=True).returncode
