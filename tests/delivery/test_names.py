"""Every destination has a name of its own, whatever brands are called."""

from __future__ import annotations

from collections import Counter

import pytest
from pydantic import SecretStr

from smartico_sync.config.models import Brand, Smartico
from smartico_sync.delivery.router import Router
from smartico_sync.observe.metrics import exposition


@pytest.mark.parametrize("brands", [["smartico"], ["smartico", "smartico (brand)"], ["one", "two"]])
def test_no_series_is_there_twice(brands):
    """Prometheus refuses a whole scrape for one line that is there twice; a brand may have any name, also ours."""
    own = {name: Brand(token=SecretStr(f"t-{place}")) for place, name in enumerate(brands)}
    router = Router(Smartico(url="http://127.0.0.1:9/", token=SecretStr("t"), brands=own))
    try:
        names = [status.name for status in router.status()]
        lines = exposition((), router.status()).decode().splitlines()
    finally:
        router.close(1_000)
    assert len(names) == len(set(names)) == len(brands) + 1
    assert "smartico" in names
    series = Counter(line.rpartition(" ")[0] for line in lines if not line.startswith("#"))
    assert max(series.values()) == 1
