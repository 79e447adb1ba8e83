"""Request bodies as gzip, for `smartico.gzip`."""

from __future__ import annotations

import gzip
from functools import cache, partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["compressed"]

# Events repeat themselves: zlib's fastest level already makes a sixth of them, and ISA-L's second as little in a quarter of
# the time.
ZLIB_LEVEL, ISAL_LEVEL = 1, 2


def compressed(body: bytes) -> bytes:
    """The body as one member of gzip."""
    return compressor()(body)


@cache
def compressor() -> Callable[[bytes], bytes]:
    """By ISA-L where the extra `isal` is installed, else by Python's own zlib."""
    try:
        from isal import igzip  # noqa: PLC0415 - an extra, and loaded only where bodies are compressed
    except ImportError:
        return partial(gzip.compress, compresslevel=ZLIB_LEVEL)
    return partial(igzip.compress, compresslevel=ISAL_LEVEL)
