"""A page that ends where the database takes two rows for equal."""

from __future__ import annotations

import polars as pl
import pytest

from smartico_sync.core.relation import Relation
from smartico_sync.sources.kit import whole_ties

BETS = Relation("bets", "at", ("id",), relation="bets")


def rows(*ids, unreadable=None):
    frame = pl.DataFrame({"at": [1] * len(ids), "id": ids, "@cursor": ["1"] * len(ids), "@key.0": ids})
    return frame if unreadable is None else frame.with_columns(pl.lit(unreadable).alias("@unreadable"))


@pytest.mark.parametrize("where", ["in the page", "in the tie", "nowhere"])
def test_a_value_that_cannot_be_read_breaks_no_page(where):
    """The column that names what could not be read is there only where something could not: in the page, or in the tie."""
    found = rows("a", "b", "B", unreadable="at" if where == "in the page" else None)
    tied = rows("b", "B", unreadable="at" if where == "in the tie" else None)
    page = whole_ties.complete(found, 2, BETS, lambda *_: tied, lambda *_: True)
    assert page["id"].to_list() == ["a", "B", "b"]
    assert ("@unreadable" in page.columns) == (where != "nowhere")


def test_keys_alone_stay_keys_alone():
    """A page of positions takes no columns from the rows that are asked for."""
    found = rows("a", "b", "B").select("@cursor", "@key.0")
    page = whole_ties.complete(found, 2, BETS, lambda *_: rows("b", "B", unreadable="at"), lambda *_: True)
    assert page.columns == ["@cursor", "@key.0"]
