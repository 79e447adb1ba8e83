"""The limits of a token, whatever the clock does and whoever asks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.delivery.rate_limit import MINUTE_S, RateLimit


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
    rate_limit = RateLimit(per_minute, 1_000_000, clock)
    starts = []
    for pause in pauses:
        clock.now += pause
        for _ in range(dice.randrange(1, 40)):
            if rate_limit.enter("live") == 0.0:
                starts.append(clock.now)
    for start in starts:
        assert sum(start <= other < start + MINUTE_S for other in starts) <= max(1, per_minute)


def test_never_more_requests_at_once_than_slots():
    """A request waits for a free slot; a backfill leaves some to what is live."""
    rate_limit = RateLimit(6_000, 12, Clock())
    assert [rate_limit.enter("backfill") for _ in range(9)] == [0.0] * 9
    assert rate_limit.enter("backfill") > 0
    assert [rate_limit.enter("live") for _ in range(3)] == [0.0] * 3
    assert rate_limit.enter("live") > 0
    rate_limit.leave()
    assert rate_limit.enter("live") == 0.0


def test_a_backfill_leaves_a_reserve_to_what_is_live():
    """When a backfill has taken all it may, live requests still start at once."""
    clock = Clock()
    rate_limit = RateLimit(600, 1_000, clock)
    while rate_limit.enter("backfill") == 0.0:
        pass
    assert rate_limit.enter("live") == 0.0
    clock.now += 1
    assert rate_limit.enter("live") == 0.0


def test_a_wait_is_as_long_as_it_says():
    """Whoever waits as long as told is let in."""
    clock = Clock()
    rate_limit = RateLimit(60, 1_000, clock)
    while (wait := rate_limit.enter("live")) == 0.0:
        pass
    clock.now += wait + 1e-6
    assert rate_limit.enter("live") == 0.0
