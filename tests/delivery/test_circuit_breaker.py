"""The circuit breaker, in whatever order and at whatever time things happen to it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from smartico_sync.delivery.circuit_breaker import (
    BACKOFF,
    EVERYTHING,
    LONGEST_WAIT_S,
    PROBE_BACKOFF,
    UNAVAILABLE_AFTER,
    CircuitBreaker,
)  # fmt: skip

PAUSES_S = (1.0, 2.0, 4.0)
LONGEST_S = PAUSES_S[-1] * (1 + BACKOFF.jitter)


def broken(now=0.0):
    """A breaker after just enough failures."""
    breaker = CircuitBreaker(PAUSES_S, dice=lambda: 0.0)
    for _ in range(UNAVAILABLE_AFTER):
        breaker.failed(now, attempts=0, in_flight=1)
    return breaker


def test_single_failures_hold_up_nobody_else():
    """Until there are several in a row, other requests start at once."""
    breaker = CircuitBreaker(PAUSES_S, dice=lambda: 0.0)
    for attempt in range(UNAVAILABLE_AFTER - 1):
        assert breaker.failed(10.0, attempts=attempt, in_flight=3) == PAUSES_S[min(attempt, 2)]
        assert (breaker.state(10.0), breaker.wait_s(10.0, 3)) == ("closed", 0.0)


def test_a_request_holds_its_players_no_longer_for_an_api_that_answers_others():
    """Failures of one request among answers are chance, or its own: its pauses stop growing at 8 s; alone they grow to 32."""
    breaker, alone = (CircuitBreaker(dice=lambda: 0.0) for _ in range(2))
    pauses = []
    for attempts in range(8):
        breaker.answered()
        pauses.append(breaker.failed(0.0, attempts=attempts, in_flight=3))
    assert pauses == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0]
    lone = [alone.failed(0.0, attempts=attempts, in_flight=0) for attempts in range(7)]
    assert lone == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0]


def test_requests_that_fail_again_while_others_are_answered_hold_up_nobody_else():
    """However many they are: it is theirs. Two that are no such ones, and fail among them, tell that the API is down."""
    breaker = CircuitBreaker(dice=lambda: 0.0)
    for number in range(20):
        breaker.failed(0.0, attempts=2, in_flight=3, request=number, others="answered")
        assert (breaker.state(0.0), breaker.wait_s(0.0, 3)) == ("closed", 0.0)
    for number in (20, 21):
        breaker.failed(0.0, attempts=0, in_flight=3, request=number)
    assert breaker.state(0.0) == "open"


def test_the_first_try_of_an_api_that_is_down_comes_soon_however_often_a_request_has_failed():
    """Pauses of all grow with the tries that found it down, not with what each request had come to before."""
    breaker = CircuitBreaker(dice=lambda: 0.0)
    for number in range(12):
        breaker.failed(0.0, attempts=6, in_flight=12 - number, request=number)
    assert breaker.wait_s(0.0, 0) == 1.0
    breaker.failed(1.0, attempts=6, in_flight=0, request=12)
    assert breaker.wait_s(1.0, 0) == 2.0


def test_one_request_that_fails_again_and_again_holds_up_nobody_else():
    """It backs off as far as any: but that the API is down only another one can tell, which starts at once, and fails as well then."""
    breaker = CircuitBreaker(dice=lambda: 0.0)
    for attempts, pause in enumerate((1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 32.0)):
        assert breaker.failed(0.0, attempts=attempts, in_flight=0, request=7) == pause
        assert (breaker.state(0.0), breaker.wait_s(0.0, 1)) == ("closed", 0.0)
    assert breaker.failed(0.0, attempts=0, in_flight=0, request=8) > 0
    assert breaker.state(0.0) == "open"
    breaker.answered()
    breaker.failed(0.0, attempts=7, in_flight=0, request=7)
    assert (breaker.state(0.0), breaker.unavailable, breaker.lasting) == ("closed", False, False)


def test_several_in_a_row_open_it_and_one_at_a_time_finds_out():
    """Open nobody goes; half-open one goes and the others wait for its answer, which closes the breaker or opens it for longer."""
    breaker = broken()
    assert (breaker.state(0.5), breaker.wait_s(0.5, 0)) == ("open", 0.5)
    assert (breaker.state(1.0), breaker.wait_s(1.0, 0), breaker.wait_s(1.0, 1)) == ("half-open", 0.0, math.inf)
    assert breaker.failed(1.0, attempts=0, in_flight=0) == 2.0
    assert breaker.wait_s(2.0, 0) == 1.0
    breaker.answered()
    assert (breaker.state(2.0), breaker.wait_s(2.0, 12)) == ("closed", 0.0)


@pytest.mark.parametrize(("asked", "waited"), [(7.0, 7.0), (0.1, 1.0), (1e9, LONGEST_WAIT_S)])
def test_what_the_api_asks_for_all_wait(asked, waited):
    """Retry-After holds up everybody after a single failure, within reason, and an answer to another request does not end it."""
    breaker = CircuitBreaker(PAUSES_S, dice=lambda: 0.0)
    assert breaker.failed(100.0, attempts=0, in_flight=5, retry_after_s=asked) == waited
    for _ in range(2):
        assert breaker.wait_s(100.0, 5) == pytest.approx(min(asked, LONGEST_WAIT_S))
        breaker.answered()
    assert breaker.state(100.0 + waited) == "closed"


def test_a_refusal_is_tried_again_at_growing_pauses_by_one_send_at_a_time():
    """Sends fail at once, but for one after each pause."""
    breaker, now = CircuitBreaker(), 0.0
    for pause in (*PROBE_BACKOFF.steps_s, PROBE_BACKOFF.longest):
        error = breaker.halt(now, EVERYTHING, "the token", "mend it")
        assert (error.message, error.hint) == ("the token", "mend it")
        assert breaker.against(now + pause - 0.001, {"any"}) is not None
        now += pause
        assert breaker.against(now, {"any"}) is None
        assert breaker.against(now, {"any"}) is not None, "a second one waits for what the first brings"
    breaker.accepted({"any"})
    assert breaker.against(now, {"any"}) is None
    assert breaker.told() == ()


def test_a_refused_brand_stops_nobody_else_and_takes_nobodys_turn():
    """Other brands go; a send that a brand holds up does not use up the turn of another."""
    breaker = CircuitBreaker()
    breaker.halt(0.0, EVERYTHING, "the token", "")
    breaker.halt(4.0, "b", "the brand", "")
    assert breaker.against(5.0, {"b"}).message == "the brand"
    assert breaker.against(5.0, {"a"}) is None
    breaker.accepted({"a"})
    assert breaker.told() == (("the brand", ""),)


@given(st.integers(0, 50), st.integers(0, 50), st.floats(0, 1))
def test_a_pause_is_never_longer_than_the_longest(attempts, failures, dice):
    """However often it failed."""
    breaker = CircuitBreaker(PAUSES_S, dice=lambda: dice)
    for _ in range(failures):
        breaker.failed(0.0, attempts=0, in_flight=0)
    assert PAUSES_S[0] <= breaker.failed(0.0, attempts=attempts, in_flight=0) <= LONGEST_S


class Traffic(RuleBasedStateMachine):
    """Requests start when the breaker lets them, and end well or badly; time passes."""

    @initialize(dice=st.floats(0, 1))
    def begin(self, dice):
        self.breaker = CircuitBreaker(PAUSES_S, dice=lambda: dice)
        self.now, self.in_flight, self.in_a_row, self.asked_until = 1_000.0, 0, 0, 0.0

    @rule(seconds=st.floats(0.001, 10))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def a_request_starts(self):
        if self.breaker.wait_s(self.now, self.in_flight) == 0.0:
            self.in_flight += 1

    @precondition(lambda self: self.in_flight)
    @rule(attempts=st.integers(0, 9), asked=st.sampled_from([0.0, 0.0, 0.0, 2.5, 1e12]))
    def one_fails(self, attempts, asked):
        self.in_flight -= 1
        pause = self.breaker.failed(self.now, attempts=attempts, in_flight=self.in_flight, retry_after_s=asked)
        self.in_a_row += 1
        if asked:
            self.asked_until = max(self.asked_until, self.now + min(asked, LONGEST_WAIT_S))
        assert PAUSES_S[0] <= pause <= max(LONGEST_S, LONGEST_WAIT_S)

    @precondition(lambda self: self.in_flight)
    @rule()
    def one_is_answered(self):
        self.in_flight -= 1
        self.in_a_row = 0
        self.breaker.answered()
        assert self.breaker.wait_s(self.now, self.in_flight) == max(0.0, self.asked_until - self.now)

    @invariant()
    def nobody_waits_without_a_reason_or_for_ever(self):
        wait = self.breaker.wait_s(self.now, self.in_flight)
        asked = max(0.0, self.asked_until - self.now)
        assert self.breaker.unavailable == (self.in_a_row >= UNAVAILABLE_AFTER)
        if not self.breaker.unavailable:
            assert wait == asked
        if wait == math.inf:
            assert self.in_flight, "nobody is left who could find out"
        else:
            assert wait <= max(asked, LONGEST_S)
        assert wait >= asked

    @invariant()
    def while_unavailable_one_at_a_time_starts(self):
        if self.breaker.state(self.now) == "half-open" and self.in_flight:
            assert self.breaker.wait_s(self.now, self.in_flight) == math.inf


TestTraffic = Traffic.TestCase
