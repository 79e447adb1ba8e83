"""Request bodies as gzip, whoever compresses."""

from __future__ import annotations

import gzip
import sys

import pytest

from smartico_sync.delivery import compression


@pytest.mark.parametrize("by", ["isal", "zlib"])
@pytest.mark.parametrize("body", [b"[]", b'[{"eid":"1"}]' * 10_000, bytes(range(256)) * 50])
def test_a_body_is_what_it_was(body, by, monkeypatch):
    """By ISA-L, and by Python itself where that is not installed."""
    monkeypatch.setitem(sys.modules, "isal", None) if by == "zlib" else pytest.importorskip("isal")
    compress = compression.compressor.__wrapped__()
    assert compress.func.__module__ == {"isal": "isal.igzip", "zlib": "gzip"}[by]
    assert gzip.decompress(compress(body)) == body
