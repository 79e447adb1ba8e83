"""What a source vouches for is not looked at, and comes out as if it had been."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from smartico_sync.core.conversion import conversion
from smartico_sync.core.relation import Column

LOOKED_AT = Column("amount", "numeric", "decimal")
VOUCHED = replace(LOOKED_AT, prints="JSON numbers")
PRINTED = st.none() | st.decimals(allow_nan=False, allow_infinity=False).map(lambda number: f"{number:f}")


@pytest.mark.parametrize("target", ["number", "integer"])
@settings(max_examples=25)
@given(texts=st.lists(PRINTED, min_size=1, max_size=30))
def test_a_decimal_that_is_vouched_for_becomes_what_one_that_is_looked_at_does(target, texts):
    frame = pl.DataFrame({"amount": pl.Series(texts, dtype=pl.String)})
    looked, vouched = (conversion(each, target, pl.String()) for each in (LOOKED_AT, VOUCHED))
    assert looked.form == vouched.form
    for part in ("expr", "again", "given"):
        told = [frame.select(getattr(each, part).alias("made")).to_series() for each in (looked, vouched)]
        assert told[0].equals(told[1], check_dtypes=True, null_equal=True), part
