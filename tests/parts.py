"""Properties whose examples are dear: a part of these is tried by `make test`, the other parts by `make test-slow`."""

from __future__ import annotations

import pytest

__all__ = ["parts"]


def parts(count: int) -> pytest.MarkDecorator:
    """Divide the examples of a property, of which it takes `max_examples` a part; the test is told the `part`."""
    slow = [pytest.param(number, marks=pytest.mark.slow, id=f"part {number}") for number in range(2, count + 1)]
    return pytest.mark.parametrize("part", [pytest.param(1, id="part 1"), *slow])
