"""The anchor: an erased row is no regression, a restored database is."""

from __future__ import annotations

import pytest

from smartico_sync.core.restore_detection import Facts, judge


@pytest.mark.parametrize(
    ("facts", "state"),
    [
        (Facts(16, 16, "at head or above"), "steady"),
        (Facts(0, 0, "none"), "steady"),
        (Facts(16, 15, "at head or above"), "steady"),
        (Facts(16, 15, "below watermark"), "steady"),  # the newest row was erased, on a quiet evening
        (Facts(16, 12, "at head or above"), "steady"),
        (Facts(16, 12, "below head"), "suspicious"),
        (Facts(16, 12, "below watermark"), "suspicious"),
        (Facts(16, 3, "at head or above"), "suspicious"),
        (Facts(16, 3, "below watermark"), "regressed"),
        (Facts(16, 0, "below watermark"), "regressed"),
        (Facts(16, 0, "at head or above"), "regressed"),
        (Facts(16, 0, "none"), "regressed"),
        (Facts(16, 12, "at head or above", 3), "steady"),  # not only the newest are gone
        (Facts(16, 14, "at head or above", 2), "suspicious"),
        (Facts(16, 10, "at head or above", 6), "regressed"),  # the last part was lost, and the source has moved on
        (Facts(16, 10, "below head", 6), "suspicious"),
        (Facts(1, 0, "none"), "suspicious"),
        (Facts(2, 0, "at head or above"), "suspicious"),
    ],
)
def test_the_judgement(facts, state):
    """One row gone is steady, some gone is suspicious, all gone or most gone with nothing newer is a regression."""
    standing = judge("deposits", facts)
    assert standing.state == state
    assert (standing.reason == "") == (state == "steady")


def test_it_says_what_was_seen_and_what_to_type():
    """A regression names the counts and the commands for this view."""
    standing = judge("deposits", Facts(16, 0, "below watermark"))
    assert "16 of the 16" in standing.reason
    assert "below the watermark" in standing.reason
    assert "smartico-sync watermark rewind deposits --to" in standing.hint
    assert "smartico-sync reconcile --view deposits" in standing.hint
    assert "emptied" in judge("deposits", Facts(16, 0, "none")).reason
    assert "smartico-sync reconcile" in judge("deposits", Facts(16, 12, "below head")).hint
