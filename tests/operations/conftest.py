"""A rehearsal: an operator whose daemon runs."""

from __future__ import annotations

import pytest

from daemon.conftest import operator
from operations.rehearsal import Rehearsal

__all__ = ["operator", "rehearsal"]


@pytest.fixture
def rehearsal(operator):
    """A daemon under an operator's hand, ended with the test."""
    made = Rehearsal(operator)
    yield made
    made.end()
