"""Faults, parsed and decided."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.errors import ConfigError
from smartico_sync.sandbox.faults import NONE, Fault, decide, parse, refuses


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("latency=100ms", Fault("latency", "100ms", 0.1)),
        ("429", Fault("429")),
        ("429=2s:0.25", Fault("429", "2s", 2.0, 0.25)),
        ("503:0.05", Fault("503", share=0.05)),
        ("hold=30s", Fault("hold", "30s", 30.0)),
        ("hang-after=1m", Fault("hang-after", "1m", 60.0)),
        ("denied=200", Fault("denied", "200")),
        ("refuse=0.1", Fault("refuse", "0.1")),
        ("quote=0.1", Fault("quote", "0.1")),
        ("refuse-property=my_own", Fault("refuse-property", "my_own")),
        ("unknown-brand=Night Owl:0.5", Fault("unknown-brand", "Night Owl", share=0.5)),
    ],
)
def test_parse(text, fault):
    """A fault is read as KIND[=VALUE][:SHARE] and prints as it was written."""
    assert parse(text) == fault
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "429=soon",
        "503:0",
        "503:2",
        "503:x",
        "latency",
        "denied=500",
        "garbage=1",
        "refuse=2",
        "quote=0",
        "refuse-property",
        "=1",
    ],
)
def test_parse_refuses(text):
    """What is no fault is a configuration error that says what is expected."""
    with pytest.raises(ConfigError) as error:
        parse(text)
    assert error.value.hint


def test_nothing_happens_without_faults():
    """Without faults every request is taken as it is."""
    assert decide([], Random(0).random) == NONE


def test_latencies_add_up_and_the_first_answer_wins():
    """Latencies add up; of two faults that replace the answer the first wins, likewise of those that spoil it."""
    faults = [parse(text) for text in ("latency=100ms", "503", "latency=1s", "500", "reset-after", "slow-drip")]
    decision = decide(faults, Random(0).random)
    assert decision.latency_s == pytest.approx(1.1)
    assert (decision.before, decision.after) == (parse("503"), parse("reset-after"))


def test_the_same_seed_the_same_faults():
    """Faults are repeatable: the same seed draws the same sequence, with the share that was asked for."""
    faults = [parse("503:0.3"), parse("reset-after:0.3")]

    def sequence(seed):
        draw = Random(seed).random
        return [decide(faults, draw) for _ in range(2000)]

    assert sequence(5) == sequence(5) != sequence(6)
    assert 500 < sum(decision.before is not None for decision in sequence(5)) < 700


@given(st.text(max_size=40), st.floats(0.01, 1), st.integers(0, 2**40))
def test_a_refused_event_stays_refused(eid, share, seed):
    """The same eid is refused each time it comes, and a larger share refuses all that a smaller one does."""
    assert refuses(eid, share, seed) == refuses(eid, share, seed)
    assert refuses(eid, 1, seed)
    assert not refuses(eid, share / 2, seed) or refuses(eid, share, seed)
