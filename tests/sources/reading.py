"""What the tests of several engines do with a source."""

from __future__ import annotations

__all__ = ["page"]


def page(source, relation, after=None, limit=100):
    """Describe a view, and read one page of it."""
    with source.reading(source.describe(relation)) as reading:
        return reading.page(after, limit)
