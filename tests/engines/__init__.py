"""The databases that every contract is tested on: one module each, which says how to have one and what it calls things.

A module is called like the engine; another server of the same engine has its version behind that (`mysql56`).

A module defines `WEIGHT` (`light`: `make test` runs it; `heavy`: `make test-all` and CI do), `STAND_IN` (what is used where
SYNC_TEST_<ENGINE>_URL names no server; empty: the real thing),
`serve(request) -> Iterator[Engine]`, a generator that gives an empty database and takes it away again, or skips with the
reason and the way to mend it, and `bare(url, query) -> int`, which fetches a whole query by the bare driver's fastest
documented path and returns the number of rows: what the source's speed is measured against.
"""

from __future__ import annotations

import os
import pkgutil
from importlib import import_module

import pytest

__all__ = ["NAMES", "parameters", "serve", "stand_in"]

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "engine"))


def parameters() -> list:
    """Every engine as a pytest parameter; heavy ones are marked slow."""
    heavy = {name for name in NAMES if import_module(f"engines.{name}").WEIGHT == "heavy"}
    return [pytest.param(name, marks=[pytest.mark.slow] if name in heavy else []) for name in NAMES]


def stand_in(name: str) -> str:
    """What stands in for the engine in this run; empty when it is the real thing."""
    real = os.environ.get(f"SYNC_TEST_{name.upper()}_URL")
    return "" if real else import_module(f"engines.{name}").STAND_IN


def serve(name: str, request: pytest.FixtureRequest):
    """The engine of that name; use with `yield from`."""
    yield from import_module(f"engines.{name}").serve(request)
