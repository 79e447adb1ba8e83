"""Facts of views, and moments to look at them."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from smartico_sync.observe.polls import Instant, Polls
from smartico_sync.observe.view_status import ViewFacts

EVERY_MS = 1_000
BEGAN = Instant(1_800_000_000_000, 5_000)


def at(ms, jumped=0):
    """The moment so many ms after the start, with the wall clock set forward or back by `jumped`."""
    return Instant(BEGAN.wall_ms + ms + jumped, BEGAN.steady_ms + ms)


def facts(polls=None, **more):
    """A view that is polled every second."""
    made = ViewFacts("deposits", "deposits", "db", "dt", EVERY_MS, polls or Polls.since_now(BEGAN))
    return replace(made, **more)


def ended(polls, rows, now):
    """What the last reading found is committed, and there was nothing behind it."""
    return polls.caught_up_at(polls.reading or now, rows, now)


# Everything that can happen to a view's polls, by name.
EVENTS = {
    "poll_began": lambda polls, now: polls.poll_began(now),
    "reading_began": lambda polls, now: polls.reading_began(now),
    "got_on": lambda polls, now: polls.got_on(now),
    "behind": lambda polls, now: polls.behind(polls.rows + 7, now),
    "caught_up": lambda polls, now: ended(polls, polls.rows + 7, now),
    "committed_late": lambda polls, now: polls.caught_up_at(polls.since, polls.rows + 7, now),
    "waits": lambda polls, now: polls.waits_for_api(None, now),
    "api_away": lambda polls, now: polls.waits_for_api(("the API is unavailable", "smartico-sync check"), now),
    "failed": lambda polls, now: polls.failed("degraded", "connection lost", "smartico-sync check", now),
}
jumps = st.integers(-100_000_000, 100_000_000)


@st.composite
def histories(draw):
    """What happened to a view, in any order at all, and when the last of it did: (polls, ms)."""
    polls, ms = Polls.since_now(BEGAN), 0
    for name, pause, jumped in draw(
        st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.integers(0, 100_000), jumps), max_size=12)
    ):
        ms += pause
        polls = EVENTS[name](polls, at(ms, jumped))
    return polls, ms
