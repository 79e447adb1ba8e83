"""Delivered rows that change are told, whether the source sums rows up or not."""

from __future__ import annotations

import hashlib

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.core.position import Position
from smartico_sync.sources.protocol import Digest
from smartico_sync.tracking.mutation_scan import MutationScan
from smartico_sync.tracking.source_checks import ENOUGH_TO_SUM_UP


class Mapping:
    """All that the scan asks of a mapping."""

    def __init__(self):
        self.properties = ()
        self.relation = type("Relation", (), {"columns": ()})


class Table:
    """Rows by their id: one value that is sent, and one that is not. `digests`: whether it sums rows up."""

    def __init__(self, digests):
        self.rows: dict[int, tuple[int, int]] = {}
        self.digests = digests
        self.pages_read = 0

    def chosen(self, after, high):
        low = 0 if after is None else int(after.cursor)
        return [(number, *self.rows[number]) for number in sorted(self.rows) if low < number <= int(high)]

    def frame(self, rows):
        names = {"@cursor": pl.String, "@key.0": pl.String, "sent": pl.Int64, "other": pl.Int64}
        return pl.DataFrame([(f"{row[0]}", f"{row[0]}", *row[1:]) for row in rows], schema=names, orient="row")

    def digest(self, of, after, high):
        assert of == "rows"
        if not self.digests:
            return None
        prints = [int.from_bytes(hashlib.sha256(repr(row).encode()).digest()[:8]) for row in self.chosen(after, high)]
        return Digest(len(prints), str(sum(prints)) if prints else "")

    def page(self, after, limit, through):
        self.pages_read += 1
        return self.frame(self.chosen(after, through)[:limit])


class Scanned:
    """A table and its scan, with every slice due at once."""

    def __init__(self, digests):
        self.table = Table(digests)
        self.scan = MutationScan(Mapping(), 10**9)
        self.scan.columns = ["sent"]
        self.last = None

    def deliver(self, numbers):
        self.table.rows.update({number: (number, 0) for number in numbers})
        high = Position(str(max(numbers)))
        page = self.table.frame(self.table.chosen(self.last, high.cursor))
        self.scan.remember(self.last, high, page, self.table.digest("rows", self.last, high.cursor))
        self.last = high

    def looked(self):
        """The ids that one look tells to have changed."""
        if not self.scan.pages:
            return None
        found = self.scan.changed(self.table)
        return None if found is None else found.get_column("@cursor").to_list()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["deliver", "deliver", "change", "change", "other", "delete", "late", "look", "look"]),
        st.integers(0, 400),
    ),
    max_size=25,
)


@given(STEPS)
def test_the_same_changes_are_told_with_digests_and_without(steps):
    """Each look tells the same rows, whatever was changed, changed back, deleted or added in between."""
    both = [Scanned(digests=True), Scanned(digests=False)]
    for what, number in [*steps, *(("look", 0),) * 4]:
        told = []
        for each in both:
            begin = 0 if each.last is None else int(each.last.cursor)
            rows = each.table.rows
            there = sorted(rows)[number % len(rows)] if rows else None
            match what:
                case "deliver":  # even ids, so that odd ones are left for late rows
                    each.deliver(range(begin + 2, begin + 2 * (number % 7 * 60 + 1) + 1, 2))
                case "change" if there is not None:
                    rows[there] = (rows[there][0] ^ 1, rows[there][1])
                case "other" if there is not None:
                    rows[there] = (rows[there][0], rows[there][1] + 1)
                case "delete" if there is not None:
                    del rows[there]
                case "late" if begin:
                    rows.setdefault(number % begin | 1, (number, 0))
                case "look":
                    told.append(each.looked())
                case _:
                    pass
        assert what != "look" or told[0] == told[1]


@pytest.mark.parametrize("pages", [1, 3])
def test_a_slice_whose_pages_were_summed_up_is_not_read_to_be_found_unchanged(pages):
    scanned = Scanned(digests=True)
    for page in range(pages):
        scanned.deliver(range(page * 200 + 1, page * 200 + ENOUGH_TO_SUM_UP + 1))
    assert (scanned.looked(), scanned.table.pages_read) == (None, 0)
    scanned.table.rows[7] = (8, 0)
    assert (scanned.looked(), scanned.table.pages_read) == (["7"], 1)
    scanned.table.rows[7] = (7, 0)
    assert scanned.looked() == ["7"]
