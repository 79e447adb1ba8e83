"""The limits of a token, whatever the clock does and whoever asks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.delivery.account import MINUTE_S, Account


class Clock:
    """A steady clock that a test moves."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@given(st.integers(1, 600), st.lists(st.floats(0, 3), min_size=1, max_size=300), st.randoms())
def test_no_minute_holds_more_requests_than_allowed(per_minute, pauses, dice):
    """However the requests come, in no 60 seconds do more of them start than the limit says."""
    clock = Clock()
    account = Account(per_minute, 1_000_000, clock)
    starts = []
    for pause in pauses:
        clock.now += pause
        for _ in range(dice.randrange(1, 40)):
            if account.enter("live") == 0.0:
                starts.append(clock.now)
    for start in starts:
        assert sum(start <= other < start + MINUTE_S for other in starts) <= max(1, per_minute)


def test_never_more_requests_at_once_than_slots():
    """A request waits for a free slot; a backfill leaves some to what is live."""
    account = Account(6_000, 12, Clock())
    assert [account.enter("backfill") for _ in range(9)] == [0.0] * 9
    assert account.enter("backfill") > 0
    assert [account.enter("live") for _ in range(3)] == [0.0] * 3
    assert account.enter("live") > 0
    account.leave()
    assert account.enter("live") == 0.0


def test_a_backfill_leaves_a_reserve_to_what_is_live():
    """When a backfill has taken all it may, live requests still start at once."""
    clock = Clock()
    account = Account(600, 1_000, clock)
    while account.enter("backfill") == 0.0:
        pass
    assert account.enter("live") == 0.0
    clock.now += 1
    assert account.enter("live") == 0.0


def test_a_wait_is_as_long_as_it_says():
    """Whoever waits as long as told is let in."""
    clock = Clock()
    account = Account(60, 1_000, clock)
    while (wait := account.enter("live")) == 0.0:
        pass
    clock.now += wait + 1e-6
    assert account.enter("live") == 0.0
