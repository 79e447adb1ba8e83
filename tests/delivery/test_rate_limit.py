"""The limits of a token, whatever the clock does, whoever asks, and however often it begins anew."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.config.models import Smartico
from smartico_sync.delivery.rate_limit import MINUTE_S, RateLimit
from smartico_sync.delivery.router import Router

from .conftest import some_events


class Clock:
    """A steady clock that a test moves."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


def full(per_minute, slots):
    """A limit that nobody has used for a minute, and its clock."""
    clock = Clock()
    rate_limit = RateLimit(per_minute, slots, clock)
    clock.now += MINUTE_S
    return rate_limit, clock


@given(st.integers(1, 600), st.lists(st.floats(0, 3), min_size=1, max_size=300), st.randoms(), st.integers(0, 20))
def test_no_minute_holds_more_requests_than_allowed(per_minute, pauses, dice, restarts):
    """However the requests come, in no 60 seconds do more of them start than the limit says; also when the daemon starts again and
    again."""
    clock = Clock()
    rate_limit = RateLimit(per_minute, 1_000_000, clock)
    starts = []
    for pause in pauses:
        clock.now += pause
        if dice.randrange(100) < restarts:
            rate_limit = RateLimit(per_minute, 1_000_000, clock)
        for _ in range(dice.randrange(1, 40)):
            if rate_limit.enter("live") == 0.0:
                starts.append(clock.now)
    for start in starts:
        assert sum(start <= other < start + MINUTE_S for other in starts) <= max(1, per_minute)


def test_never_more_requests_at_once_than_slots():
    """A request waits for a free slot; a backfill leaves some to what is live."""
    rate_limit, _ = full(6_000, 12)
    assert [rate_limit.enter("backfill") for _ in range(9)] == [0.0] * 9
    assert rate_limit.enter("backfill") > 0
    assert [rate_limit.enter("live") for _ in range(3)] == [0.0] * 3
    assert rate_limit.enter("live") > 0
    rate_limit.leave()
    assert rate_limit.enter("live") == 0.0


def test_a_backfill_leaves_a_reserve_to_what_is_live():
    """When a backfill has taken all it may, live requests still start at once."""
    rate_limit, clock = full(600, 1_000)
    while rate_limit.enter("backfill") == 0.0:
        pass
    assert rate_limit.enter("live") == 0.0
    clock.now += 1
    assert rate_limit.enter("live") == 0.0


def test_a_wait_is_as_long_as_it_says():
    """Whoever waits as long as told is let in."""
    rate_limit, clock = full(60, 1_000)
    while (wait := rate_limit.enter("live")) == 0.0:
        pass
    clock.now += wait + 1e-6
    assert rate_limit.enter("live") == 0.0


def test_six_starts_in_a_minute_stay_below_the_limit():
    """A daemon that ends and begins every ten seconds and always has something to send; each begins within a blink."""
    clock = Clock()
    begun, requests = [], 0
    for second in range(0, 60, 10):
        clock.now = 1_000.0 + second
        rate_limit = RateLimit(6_000, 1_000_000, clock)
        begun.append(rate_limit.enter("live"))
        while clock.now < 1_000.0 + second + 10:
            clock.now += 0.001
            requests += rate_limit.enter("live") == 0.0
    assert 5_000 < requests <= 6_000
    assert max(begun) < 0.02


def test_who_starts_again_and_again_sends_no_more_than_who_goes_on(sandbox):
    """By the count of the API: each start of the delivery has an empty bucket, whatever the one before had left."""
    config = {"url": sandbox.url, "token": "secret", "batch_events": 50, "requests_per_minute": 600}
    began = time.monotonic()
    for number in range(4):
        delivery = Router(Smartico.model_validate(config))
        sent = [delivery.send("deposits", some_events(1, start=100 * number + each)) for each in range(60)]
        sent[0].result(60)
        delivery.close(0)
    assert 4 <= sandbox.stats()["requests"] <= 10 * (time.monotonic() - began) + 1


def test_half_the_slots_for_a_while():
    """Whoever used the token before may have requests under way: the other half is free once they must be over."""
    rate_limit, clock = full(6000, 12)
    rate_limit.halve_for(30)
    assert [rate_limit.enter("live") for _ in range(7)].count(0.0) == 6
    clock.now += 30
    assert [rate_limit.enter("live") for _ in range(7)].count(0.0) == 6
