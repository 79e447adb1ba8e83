"""Rows that are wide, or become so: no answer of the source brings more of them than fits, and every row is delivered."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest

from smartico_sync.core.position import Position
from smartico_sync.core.reason_codes import UNACKNOWLEDGED
from smartico_sync.errors import RowsTooWide
from smartico_sync.sources.kit import intake
from smartico_sync.sources.protocol import HANDFUL
from smartico_sync.sources.sqlite.reading import SqliteReading
from smartico_sync.tracking import late_scan, memory_budget, mutation_scan, page_reader, page_size, row_width
from smartico_sync.tracking.backfill import Backfills
from smartico_sync.tracking.memory_budget import MemoryBudget
from smartico_sync.tracking.page_size import PageSize
from smartico_sync.tracking.redelivery import requested
from smartico_sync.tracking.row_width import RowWidth, portions, until_it_fits
from tracking.conftest import Tracked
from waiting import until

MOST, PAGE, PART = 200_000, 100_000, 25_000
WIDE = 2_000  # bytes of a row: 50 make a page, and 100 are more than is read at once
SHORT = 20


class Wide(Tracked):
    """A view whose rows hold a text, and how large each answer of its source was."""

    def __init__(self, home, cursor="transaction_id"):
        super().__init__(home, ", unmapped: send, on_mutated: ignore, page_rows: 5000")
        self.replica.execute("ALTER TABLE deposits ADD note TEXT")
        config = home / "views.yaml"
        text = config.read_text().replace("cursor: transaction_id", f"cursor: {cursor}, key: transaction_id")
        config.write_text(text)
        self.source.close()
        self.store.close()
        self.open(home)
        self.answers: list[int] = []

    def fill(self, numbers, size, at="2026-01-01 00:00:00"):
        rows = [(number, at, f"{number:09}" + "x" * size) for number in numbers]
        self.replica.execute("BEGIN")
        self.replica.executemany("INSERT INTO deposits (transaction_id, transaction_date, note) VALUES (?, ?, ?)", rows)
        self.replica.execute("COMMIT")

    def deliver_as_before_a_restart(self, count):
        """So many wide rows were delivered, and nobody knows any more how wide they are."""
        self.fill(range(1, count + 1), WIDE)
        self.thread.start()
        self.poll_until(count)
        self.answers.clear()
        self.loop.equipment.memory.width("deposits").bytes = 0.0

    def poll_until(self, count):
        """Poll until so many rows were delivered, each once."""

        def delivered():
            self.loop.mailbox.ask_to_poll()
            return len(self.delivery.sent) >= count

        until(delivered)
        assert len(self.delivery.sent) == len(set(self.delivery.sent)) == count
        assert self.loop.standing.error is None


@pytest.fixture
def bounds(monkeypatch):
    """Bytes of tests, not of a daemon."""
    monkeypatch.setattr(intake, "MOST_BYTES", MOST)
    for module in (page_size, memory_budget, late_scan, mutation_scan, page_reader):
        monkeypatch.setattr(module, "PAGE_BYTES", PAGE)
    monkeypatch.setattr(row_width, "PART_BYTES", PART)


@pytest.fixture
def wide(bounds, tmp_path, monkeypatch):
    """Open a view by its cursor; what its source answers is weighed."""
    opened = []
    frame = SqliteReading.frame

    def weighed(self, statement, values):
        rows = frame(self, statement, values)
        if statement.columns:
            opened[-1].answers.append(rows.estimated_size())
        return rows

    monkeypatch.setattr(SqliteReading, "frame", weighed)

    def make(cursor="transaction_id"):
        opened.append(Wide(tmp_path, cursor))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def fits(answers):
    """None was larger than what is read at once."""
    return max(answers) < MOST


def test_a_first_page_of_wide_rows(wide):
    """Nobody knows yet how wide they are: the answer is given up while it is read, and read again."""
    view = wide()
    view.fill(range(1, 301), WIDE)
    view.thread.start()
    view.poll_until(300)
    assert fits(view.answers)


def test_wide_rows_behind_short_ones(wide):
    """The last page says nothing of the next one."""
    view = wide()
    view.fill(range(1, 3001), SHORT)
    view.fill(range(3001, 3301), WIDE)
    view.thread.start()
    view.poll_until(3300)
    assert fits(view.answers)


def test_wide_rows_dated_ahead(wide):
    """They are sent at once, and looked up by position as many at a time as fit."""
    view = wide("transaction_date")
    view.fill(range(1, 3), WIDE)
    view.fill(range(3, 303), WIDE, at="2099-01-01 00:00:00")
    view.thread.start()
    view.poll_until(302)
    assert fits(view.answers)


def test_wide_rows_that_come_late(wide):
    """A bulk load below the head."""
    view = wide()
    view.fill([1, 1000], SHORT)
    view.thread.start()
    view.poll_until(2)
    view.fill(range(2, 302), WIDE)
    view.poll_until(302)
    assert fits(view.answers)


def test_wide_rows_of_a_backfill(wide):
    """A page of history holds as many as fit, whatever the rate."""
    view = wide()
    view.deliver_as_before_a_restart(300)
    view.store.add_backfill("deposits", low="1", high="300", rate=100_000, profiles="changed", total=0, at_ms=0)
    backfills, stopping = Backfills([view.loop], view.store), threading.Event()
    worker = threading.Thread(target=backfills.work, args=(stopping,))
    worker.start()
    until(lambda: len(view.delivery.sent) >= 600)
    stopping.set()
    backfills.wake()
    worker.join()
    assert sorted(view.delivery.sent[300:], key=int) == [str(number) for number in range(1, 301)]
    assert fits(view.answers)
    assert all(not each.reason for each in view.store.backfills())


def test_wide_rows_that_are_tried_again(wide):
    """What waits for another try is read again as many at a time as fit, and weighs what it weighs."""
    view = wide()
    view.deliver_as_before_a_restart(300)
    view.delivery.sent.clear()
    positions = [Position(str(number), (str(number),)) for number in range(1, 301)]
    view.store.enqueue("deposits", requested("deposits", positions, UNACKNOWLEDGED, "for a test"))
    view.poll_until(300)
    assert fits(view.answers)


def test_one_row_larger_than_all_that_is_read_at_once(wide):
    """It is read alone, or with a few others, and nothing stands still."""
    view = wide()
    view.fill(range(1, 41), SHORT)
    view.fill([41], 3 * MOST)
    view.fill(range(42, 82), SHORT)
    view.thread.start()
    view.poll_until(81)


def test_pages_follow_the_widest_rows_of_late():
    """They are remembered while short ones come, and forgotten in time."""
    width = RowWidth()
    size = PageSize(20_000, width)
    width.too_wide(RowsTooWide("view deposits", 1200, 24_000_000, 20_000))
    assert size.limit("behind", 5_000_000) == 245
    size.rows = 20_000
    assert size.limit("behind", 5_000_000) == 250
    width.too_wide(RowsTooWide("view deposits", 3, 60_000_000, 20_000_000))
    assert size.limit("behind", 5_000_000) == 1


def test_portions_follow_the_width():
    """Each is as large as what was learned by the one before allows; of unknown width by the handful where nobody learns."""
    width = RowWidth()
    sizes = []
    for some in portions(range(1300), width):
        sizes.append(len(some))
        width.bytes = row_width.PART_BYTES / 100
    assert sizes == [1000, 100, 100, 100]
    assert {len(some) for some in portions(range(64), None)} == {HANDFUL}


def test_what_is_too_wide_is_asked_for_in_smaller_parts():
    """Each try asks for half, until it fits."""
    width, asked = RowWidth(), []

    def ask():
        asked.append(width.fitting(1000, 12_000_000))
        if asked[-1] > 16:
            raise RowsTooWide("view deposits", asked[-1], 25_000_000, 25_000_000 / asked[-1])
        return "read"

    assert until_it_fits(width, ask) == "read"
    assert all(2 * after <= before for before, after in pairwise(asked))


def test_names_of_properties_weigh_the_same_in_wide_rows():
    """Short rows become many times their bytes; wide ones of the same view do not."""
    memory = MemoryBudget()
    memory.width("deposits").bytes = 35
    memory.became("deposits", 35_000, 840_000, 1_000)
    assert memory.expected("deposits", 35_000) == pytest.approx(840_000)
    memory.width("deposits").bytes = 20_000
    assert memory.expected("deposits", 20_000) < 5 * 20_000
