"""Ids that are given out far below the highest one: they are found at any time, and told."""

from __future__ import annotations

import threading
import time

import pytest

from tracking.conftest import Tracked

NOW = threading.Event()


@pytest.fixture
def patient(tmp_path):
    """A view, polled by hand, that waits for ordinary missing ids for a moment only."""
    made = []

    def opened():
        made.append(Tracked(tmp_path, ", gaps_wait: 50ms"))
        return made[-1]

    yield opened
    for each in made:
        each.close()


def polls(view, seconds=0.0):
    """Poll, at least twice, for so many seconds."""
    end = time.monotonic() + seconds
    for _ in range(2):
        view.loop.poll(NOW, checks="now")
    while time.monotonic() < end:
        view.loop.poll(NOW, checks="now")
    return [int(key) for key in view.delivery.sent]


def warnings(view):
    (status,) = view.board.views()
    return " ".join(status.warnings)


def test_one_id_far_ahead_swallows_nothing(patient):
    """An id typed by hand is sent, and so is whatever the sequence gives out below it, also long after and after a restart."""
    view = patient()
    view.insert(*range(1, 30))
    assert polls(view) == [*range(1, 30)]
    view.insert(999_999_999)
    assert polls(view, 0.3) == [*range(1, 30), 999_999_999]
    view.insert(30, 31, 33)
    assert polls(view)[30:] == [30, 31, 33]
    view.insert(32)
    assert polls(view, 1.2)[33:] == [32]
    assert "range far below the highest" in warnings(view)
    view.close()
    again = patient()
    again.insert(34, 1_000_000_000)
    assert sorted(polls(again)) == [34, 1_000_000_000]
    again.insert(35)
    assert 35 in polls(again, 0.3)


def test_the_watermark_does_not_wait_for_another_range(patient):
    """What is remembered does not grow because a range far below is watched."""
    view = patient()
    view.insert(*range(1, 30))
    polls(view)
    view.insert(999_999_999)
    polls(view, 0.2)
    view.insert(1_000_000_000)
    polls(view, 0.2)
    assert view.store.view("deposits").watermark.cursor == "1000000000"


def test_a_sequence_that_begins_again_is_noticed(patient):
    """Old rows are purged and ids start at 1 again: the new ones are found below everything that is left, and told."""
    view = patient()
    view.insert(*range(500, 540))
    polls(view)
    view.insert(1, 2, 3)
    assert polls(view)[40:] == [1, 2, 3]
    view.insert(4)
    assert polls(view)[43:] == [4]
    assert "range far below the highest" in warnings(view)


@pytest.mark.slow
def test_ids_made_of_the_time_are_one_range(patient):
    """Ids of a generator that counts milliseconds leave wide holes everywhere; none of them is another range for good."""
    view = patient()
    view.insert(*(1_700_000_000_000_000 + 4_194_304 * number for number in range(0, 4_000, 7)))
    polls(view)
    assert view.loop._session.reader.late.watch.ranges == ()
