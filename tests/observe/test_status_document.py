"""The page about status.json names what is in it."""

from __future__ import annotations

import re
from pathlib import Path

from observe.conftest import at, ended, facts
from smartico_sync.delivery.destination_status import DestinationStatus
from smartico_sync.observe.finding import Finding
from smartico_sync.observe.health import assess
from smartico_sync.observe.polls import Polls
from smartico_sync.observe.status_document import status_document
from smartico_sync.observe.view_status import (
    BackfillStatus,
    LaneStatus,
    LateStatus,
    SentProperty,
    StreamStatus,
    derived,
)

PAGE = Path(__file__).parents[2] / "docs" / "status.md"
GOOD = ended(Polls.since_now(at(0)).poll_began(at(10)).reading_began(at(10)), 100, at(20))


def sections():
    """Each section of the page, by its heading, and the names in it."""
    parts = re.split(r"^## (.*)$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return {
        title: set(re.findall(r"`([a-z_]+)(?:\[\])?`", text))
        for title, text in zip(parts[1::2], parts[2::2], strict=True)
    }


def test_every_field_is_on_the_page():
    """Whoever adds a field, or renames one, says so where its readers look."""
    views = (derived(facts(GOOD), at(2_000)),)
    there = (DestinationStatus("default", "delivering", "", None, 0, 0, 0, 1_000),)
    document = status_document(views, there, assess(views, there), started_ms=0, now_ms=2_000)
    told = sections()
    parts = {name for kind in (LateStatus, BackfillStatus, LaneStatus, SentProperty) for name in kind.__struct_fields__}
    parts |= set(StreamStatus.__struct_fields__)
    assert set(document) - told["The document"] == set()
    assert set(Finding.__struct_fields__) - told["A finding"] == set()
    assert (set(document["views"][0]) | parts) - told["A view"] == set()
    assert set(document["destinations"][0]) - told["A destination"] == set()
