"""What became of the rows that were dealt with last: a mistake in a view shows over several small pages as well as in a large one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from smartico_sync.core.reason_codes import UNKNOWN_USER, WAITS_BEHIND

if TYPE_CHECKING:
    from smartico_sync.core.records import Commit

__all__ = ["RECENT_ROWS", "PageOutcome", "RecentOutcomes", "outcome_of"]

RECENT_ROWS = 1_000  # rows that are remembered: ten times what `max_refused.count` asks for, and minutes of a live view


class PageOutcome(Struct, frozen=True):
    """Rows of one page: all, those that were given up, and those whose player nobody knows or that wait behind others of their player."""

    rows: int
    refused: int
    unknown: int


class RecentOutcomes(Struct, frozen=True):
    """The last pages, as many as hold RECENT_ROWS rows, the newest as a whole; and of all their rows what `PageOutcome` says of one's."""

    pages: tuple[PageOutcome, ...] = ()
    rows: int = 0
    refused: int = 0
    unknown: int = 0

    def joined(self, page: PageOutcome) -> RecentOutcomes:
        """The same with one more page; the same itself for one without rows, which says nothing."""
        if not page.rows:
            return self
        rows, refused, unknown = self.rows + page.rows, self.refused + page.refused, self.unknown + page.unknown
        dropped = 0
        for oldest in self.pages:
            if rows - oldest.rows < RECENT_ROWS:
                break
            dropped += 1
            rows, refused, unknown = rows - oldest.rows, refused - oldest.refused, unknown - oldest.unknown
        return RecentOutcomes((*self.pages[dropped:], page), rows, refused, unknown)

    def all_unknown(self, least: int) -> bool:
        """Whether there are enough rows to say that Smartico knows nobody of them."""
        return self.rows >= least and self.unknown == self.rows


def outcome_of(commit: Commit, rows: int) -> PageOutcome:
    """What a commit says of a page of so many rows."""
    # A row that waits behind others of its player was not sent: it says as little of anybody as they do.
    unknown = sum(each.code in (UNKNOWN_USER, WAITS_BEHIND) for each in commit.parked)
    return PageOutcome(rows, len(commit.dead_letters), unknown)
