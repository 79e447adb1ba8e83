"""How long to wait after a failed try."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.core.backoff import Backoff


def test_pauses_grow_by_the_steps_and_the_last_repeats():
    """The first failure waits the first step; after the last step every pause is that one."""
    backoff = Backoff((1.0, 2.0, 4.0))
    assert [backoff.pause(tries) for tries in range(5)] == [1.0, 2.0, 4.0, 4.0, 4.0]
    assert backoff.longest == 4.0
    assert [backoff.pause_ms(tries) for tries in (0, 9)] == [1_000, 4_000]


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True), st.floats(0, 1))
def test_chance_only_lengthens_a_pause_and_by_its_share_at_most(tries, chance, jitter):
    """A pause is never shorter than its step, and longer by no more than the jitter."""
    steps = (0.5, 60.0)
    step, pause = Backoff(steps).pause(tries), Backoff(steps, jitter).pause(tries, chance)
    assert step <= pause <= step * (1 + jitter)
