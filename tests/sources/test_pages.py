"""The pages about databases name what the code takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from smartico_sync.sources.bigquery import login as bigquery
from smartico_sync.sources.clickhouse import login as clickhouse
from smartico_sync.sources.mongodb import login as mongodb
from smartico_sync.sources.snowflake import login as snowflake

DATABASES = Path(__file__).parents[2] / "docs" / "databases"


@pytest.mark.parametrize(
    ("page", "known"),
    [
        ("bigquery", bigquery.KNOWN),
        ("clickhouse", clickhouse.KNOWN),
        ("mongodb", mongodb.KNOWN),
        ("snowflake", snowflake.KNOWN),
    ],
    ids=["bigquery", "clickhouse", "mongodb", "snowflake"],
)
def test_every_parameter_is_on_the_page(page, known):
    """What the URL and `options:` may hold is described on the page of the database."""
    text = (DATABASES / f"{page}.md").read_text()
    assert [name for name in known if f"`{name}`" not in text] == []
