"""Which deliveries are acknowledged, whatever waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.sources.rabbitmq.acknowledgements import acks


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=12), max_size=8))
def test_all_but_what_is_held_is_acknowledged_once(pages):
    """As the broker counts it: an acknowledgement names a delivery that is open, and `through` takes all that are open before it."""
    total = sum(map(len, pages))
    still_open, held, first = set(range(1, total + 1)), set(), 1
    for page in pages:
        last = first + len(page) - 1
        mine = {first + at for at, waits in enumerate(page) if waits}
        for ack in acks(first, last, mine, earlier="some held" if held else "none held"):
            assert ack.tag in still_open
            gone = {tag for tag in still_open if tag <= ack.tag} if ack.how == "through" else {ack.tag}
            assert not gone & (held | mine)
            still_open -= gone
        held |= mine
        assert still_open == held | set(range(last + 1, total + 1))
        first = last + 1


@given(st.integers(1, 5000))
def test_without_anything_held_one_is_enough(count):
    """However many there are."""
    assert len(list(acks(1, count, set(), earlier="none held"))) == 1
