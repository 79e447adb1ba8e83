"""A rehearsal: an operator whose daemon runs."""

from __future__ import annotations

import shutil
import socket
from contextlib import nullcontext

import pytest

from daemon.conftest import operator
from operations.rehearsal import Rehearsal
from servers.prometheus import prometheus

__all__ = ["operator", "rehearsal"]


@pytest.fixture
def rehearsal(operator, webhook):
    """A daemon under an operator's hand, with a Prometheus where there is one, ended with the test."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{probe.getsockname()[1]}"
    there = prometheus(operator.home, listen) if shutil.which("prometheus") else nullcontext()
    with there as monitoring:
        made = Rehearsal(operator, listen, webhook, monitoring)
        with made.http:
            yield made
        made.end()
