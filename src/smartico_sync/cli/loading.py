"""How a command's modules are loaded: most of a start is importing."""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import contextmanager, nullcontext
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["loading", "without_collector"]

UNUSED = ("rich", "pygments")
NEVER = ("httpx._main",)  # its command line, which draws with rich; httpx itself may be imported much later
DEFERRED = ("asyncio", "polars", "polars_hash")
TAKING_SIGINT = ("polars",)  # once they are imported
# Of these libraries take functions when they are imported, and call them never.
DEFERRED_FUNCTIONS = ("importlib.metadata",)
# What libraries read when they are imported. pydantic would read what every installed package says of itself, to find plug-ins for
# it. polars' allocator has four arenas a core, and each keeps for ten seconds what was freed: one of them takes a tenth less
# memory, and a fifth fewer pages that the kernel must clear. polars works with a thread a core: to share a page of 20,000 rows
# out among them is a tenth of all CPU, and the threads of views and requests keep the cores busy anyhow.
SETTINGS = {"PYDANTIC_DISABLE_PLUGINS": "__all__", "_RJEM_MALLOC_CONF": "narenas:1", "POLARS_MAX_THREADS": "1"}
SIGACTION = 256  # bytes: what the C library keeps of a signal's handler takes 152 on Linux, and less elsewhere
_lock = Lock()


class Deferred(ModuleType):
    """Stands for a module that is imported once something of it is used, by whatever thread."""

    def __getattr__(self, name: str) -> Any:
        # Not locked while it is imported: a thread that waits here could hold what that import waits for.
        with _lock:
            first = sys.modules.get(self.__name__) is self
            if first:
                del sys.modules[self.__name__]
        with without_collector(), sigint_as_it_was() if first and self.__name__ in TAKING_SIGINT else nullcontext():
            module = import_module(self.__name__)
        self.__dict__.update(module.__dict__)  # so that this is not asked again
        return getattr(module, name)


class DeferredFunctions(Deferred):
    """Stands for a module whose functions may be taken from it: it is imported once one is called, or something else is used."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # `from … import` asks for it
            raise AttributeError(name)
        if name.startswith("_") or not name.islower():
            return super().__getattr__(name)

        def called(*arguments: Any, **named: Any) -> Any:
            return super(DeferredFunctions, self).__getattr__(name)(*arguments, **named)

        return called


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
    sys.modules.update({name: Deferred(name) for name in DEFERRED if name not in sys.modules})
    for name in DEFERRED_FUNCTIONS:
        if name not in sys.modules:
            sys.modules[name] = DeferredFunctions(name)
            parent, _, own = name.rpartition(".")
            setattr(import_module(parent), own, sys.modules[name])
    try:
        with without_collector():
            yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def sigint_as_it_was() -> Iterator[None]:
    """Whatever answers to SIGINT answers to it afterwards, and nothing else does.

    polars answers to it too once it is imported: its calls then fail in the midst, in any thread. What the process has set cannot be
    set again by Python but in its main thread, and polars may be imported in any.
    """
    from ctypes import CDLL, create_string_buffer  # noqa: PLC0415 - a hundredth of a start, and polars imports it as well

    process, before = CDLL(None), create_string_buffer(SIGACTION)
    process.sigaction(signal.SIGINT, None, before)
    try:
        yield
    finally:
        process.sigaction(signal.SIGINT, before, None)


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
