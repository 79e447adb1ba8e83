"""How each source's connection is protected is on the page and in its data."""

from __future__ import annotations

import httpx
import orjson

from smartico_sync.observe.endpoint import Endpoint
from smartico_sync.observe.status_board import StatusBoard


def test_the_page_says_how_each_source_is_connected():
    """In the clear is marked; a file has no connection and is left out."""
    sources = {"casino": "encrypted and verified", "old": "in the clear", "file": ""}
    endpoint = Endpoint("127.0.0.1:0", StatusBoard(), lambda: ())
    endpoint.sources = sources
    try:
        shown = httpx.get(endpoint.url, trust_env=False).text
        told = orjson.loads(httpx.get(f"{endpoint.url}/status.json", trust_env=False).content)
    finally:
        endpoint.close()
    assert "encrypted and verified" in shown
    assert '<span class="warn">in the clear</span>' in shown
    assert told["sources"] == [
        {"name": "casino", "connection": "encrypted and verified"},
        {"name": "old", "connection": "in the clear"},
    ]
