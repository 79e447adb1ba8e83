"""How a command's modules are loaded: most of a start is importing."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import contextmanager
from importlib import import_module
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["loading", "without_collector"]

UNUSED = ("rich", "pygments")
NEVER = ("httpx._main",)  # its command line, which draws with rich; httpx itself may be imported much later
DEFERRED = ("asyncio", "importlib.metadata", "polars", "polars_hash")
# What libraries read when they are imported. pydantic would read what every installed package says of itself, to find plug-ins for
# it. polars' allocator has four arenas a core, and each keeps for ten seconds what was freed: one of them takes a tenth less
# memory, and a fifth fewer pages that the kernel must clear.
SETTINGS = {"PYDANTIC_DISABLE_PLUGINS": "__all__", "_RJEM_MALLOC_CONF": "narenas:1"}
_lock = RLock()


class Deferred(ModuleType):
    """Stands for a module that is imported once something of it is used."""

    def __getattr__(self, name: str) -> Any:
        with _lock:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
            with without_collector():
                module = import_module(self.__name__)
            self.__dict__.update(module.__dict__)  # so that this is not asked again
        return getattr(module, name)


@contextmanager
def loading() -> Iterator[None]:
    """Import what follows without the collector, without `UNUSED`, and without what is `DEFERRED` until it is used.

    structlog imports the former where it finds them, for tracebacks that nobody sees here, and httpx for a command line (`NEVER`): an
    eighth of a start. Whoever draws tables imports them later. Tables of rows (polars) are a fifth of a start, and most commands have
    none; asyncio is imported by libraries of which no coroutine is used here, importlib.metadata by pydantic for its plug-ins.
    """
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in NEVER:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type] # so `import` is told that there is none
    absent = [name for name in UNUSED if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type] # likewise
    for name in DEFERRED:
        if name not in sys.modules:
            sys.modules[name] = Deferred(name)
            parent, _, own = name.rpartition(".")
            if parent:
                setattr(import_module(parent), own, sys.modules[name])
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
