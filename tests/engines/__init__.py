"""The databases that every contract is tested on: one module each, which says how to have one and what it calls things.

A module defines `WEIGHT` (`light`: `make test` runs it; `heavy`: `make test-all` and CI do),
`serve(request) -> Iterator[Engine]`, a generator that gives an empty database and takes it away again, or skips with the
reason and the way to mend it, and `bare(url, query) -> int`, which fetches a whole query by the bare driver's fastest
documented path and returns the number of rows: what the source's speed is measured against.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

import pytest

__all__ = ["NAMES", "parameters", "serve"]

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "engine"))


def parameters() -> list:
    """Every engine as a pytest parameter; heavy ones are marked slow."""
    heavy = {name for name in NAMES if import_module(f"engines.{name}").WEIGHT == "heavy"}
    return [pytest.param(name, marks=[pytest.mark.slow] if name in heavy else []) for name in NAMES]


def serve(name: str, request: pytest.FixtureRequest):
    """The engine of that name; use with `yield from`."""
    yield from import_module(f"engines.{name}").serve(request)
