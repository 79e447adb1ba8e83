"""What is remembered of the last rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.core.recent_outcomes import RECENT_ROWS, PageOutcome, RecentOutcomes

PAGES = st.lists(
    st.integers(1, 3 * RECENT_ROWS).flatmap(
        lambda rows: st.builds(PageOutcome, st.just(rows), st.integers(0, rows), st.integers(0, rows))
    ),
    max_size=40,
)


@given(PAGES)
def test_the_newest_pages_are_kept_as_long_as_they_are_needed(pages):
    """The newest as a whole, and no more pages than hold RECENT_ROWS rows; none in between is left out."""
    recent = RecentOutcomes()
    for page in pages:
        recent = recent.joined(page)
    kept = recent.pages
    assert list(kept) == pages[len(pages) - len(kept) :]
    assert sum(page.rows for page in kept[1:]) < RECENT_ROWS
    assert recent.rows >= min(RECENT_ROWS, sum(page.rows for page in pages))
    assert recent.refused <= recent.rows
    counted = (sum(page.rows for page in kept), sum(page.refused for page in kept), sum(page.unknown for page in kept))
    assert (recent.rows, recent.refused, recent.unknown) == counted


def test_what_has_no_rows_is_not_remembered():
    """A rescan that found nothing is committed many times a minute, for as long as nothing comes."""
    recent = RecentOutcomes().joined(PageOutcome(2, 1, 0))
    assert recent.joined(PageOutcome(0, 0, 0)) is recent
