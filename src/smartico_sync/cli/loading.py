"""How a command's modules are loaded: most of a start is importing."""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["loading", "without_collector"]

UNUSED = ("rich", "pygments")


@contextmanager
def loading() -> Iterator[None]:
    """Import what follows without the collector, and without `UNUSED`.

    structlog and httpx import these where they find them, for tracebacks and a command line that nobody sees here: an eighth
    of a start. Whoever draws tables imports them later.
    """
    absent = [name for name in UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type] # so `import` is told that there is none
    try:
        with without_collector():
            yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def without_collector() -> Iterator[None]:
    """Make what lives as long as the process: it is not searched for garbage, now and, where all went well, later."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()
