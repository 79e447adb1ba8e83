"""Any script of faults: in the end each event was taken exactly once or refused with a reason, in order, within the limits."""

from __future__ import annotations

import time
from collections import defaultdict
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from delivery.conftest import some_events
from smartico_sync.config.models import Smartico
from smartico_sync.core.events import POSITION
from smartico_sync.core.reason_codes import UNKNOWN_BRAND, WAITS_BEHIND
from smartico_sync.core.records import Holds
from smartico_sync.delivery.router import Router
from smartico_sync.errors import DeliveryHalted
from smartico_sync.sandbox.api import Sandbox

FAULTS = [
    "latency=20ms", "429:0.4", "429=1s:0.2", "500:0.4", "502:0.3", "503:0.5", "504:0.3", "denied:0.05", "denied=200:0.05",
    "garbage:0.4", "reset-before:0.4", "reset-after:0.4", "hang-after=400ms:0.1", "slow-drip=100ms:0.3", "refuse=0.1",
    "unknown-brand=b:0.3",
]  # fmt: skip
PLAYERS = 11


REFUSALS = ("denied", "unknown-brand")
MENDED_AFTER_S = (
    5.0  # a page of many requests hardly ever passes whole while some of them are refused: then somebody mends it
)


def delivered(ingest, events, mend):
    """Send until the API lets us and knows the brand, as a tracker does; the refusals for good, and how many were taken."""
    began, taken, refused = time.monotonic(), 0, []
    while True:
        try:
            receipt = ingest.send("deposits", events, holds=Holds()).result()
        except DeliveryHalted:
            waits = set(events.frame[POSITION])
        else:
            assert receipt.delivered + receipt.duplicates + len(receipt.refused) == len(events)
            assert all(refusal.reason and refusal.code for refusal in receipt.refused)
            waits = {refusal.row for refusal in receipt.refused if refusal.code in (UNKNOWN_BRAND, WAITS_BEHIND)}
            refused += [refusal for refusal in receipt.refused if refusal.row not in waits]
            taken += receipt.delivered + receipt.duplicates
        if not waits:
            return taken, refused
        events = events.take(events.frame[POSITION].is_in(list(waits)))
        if time.monotonic() > began + MENDED_AFTER_S:
            mend()
        for halt in ingest.default.dispatch.breaker.halts.values():
            halt.probe_at = 0


SCRIPTS = {
    "script": st.lists(st.lists(st.sampled_from(FAULTS), max_size=3), min_size=1, max_size=4),
    "dialect": st.sampled_from(["event_errors", "failed_events"]),
    "error_keys": st.sampled_from(["eid", "user_ext_id"]),
    "seed": st.integers(0, 1000),
}


@pytest.mark.parametrize("dialect", ["event_errors", "failed_events"])
def test_faults_in_turn_cost_no_event(dialect):
    """Nothing lost, nothing doubled, a player's order kept, no limit broken."""
    play([["429:0.4", "denied=200:0.05"], ["garbage:0.4"], ["reset-after:0.4"]], dialect, "eid", 7)


@pytest.mark.slow
def test_a_brand_that_is_known_again_goes_on_beside_events_that_are_refused():
    """Also where each request holds one, and the answer names a player of several events."""
    play(
        [["refuse=0.1", "unknown-brand=b:0.3"], ["denied=200:0.05", "refuse=0.1"]], "failed_events", "user_ext_id", 423
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
@settings(max_examples=18, suppress_health_check=list(HealthCheck))
@given(**SCRIPTS)
def test_whatever_the_api_answers_each_event_gets_one_verdict(script, dialect, error_keys, seed):
    """Faults of every kind, at any time, for as many scripts as a longer run has time for."""
    play(script, dialect, error_keys, seed)


def play(script, dialect, error_keys, seed):
    config = {"token": "any", "batch_events": 25, "timeout": 300, "requests_per_minute": 60_000}
    with Sandbox(dialect=dialect, error_keys=error_keys, seed=seed, max_in_flight=12) as sandbox:
        ingest = Router(Smartico.model_validate({"url": sandbox.url, **config}), pauses_s=(0.01, 0.02))
        total, refused = 0, set()
        for faults in [*script, []]:
            sandbox.set_faults(faults)
            harmless = [fault for fault in faults if not fault.startswith(REFUSALS)]
            for _ in range(2):
                mend = partial(sandbox.set_faults, harmless)
                took, refusals = delivered(ingest, some_events(90, players=PLAYERS, start=total), mend)
                assert took + len(refusals) == 90
                refused |= {refusal.eid for refusal in refusals}
                total += 90
        stats, events = sandbox.stats(), sandbox.events(100_000)
        ingest.close(1000)
    taken = [event["eid"] for event in events]
    assert len(taken) == len(set(taken)) == stats["accepted"]
    assert not refused & set(taken)
    assert stats["accepted"] + len(refused) == total
    assert stats["violations"] == {}
    order = defaultdict(list)
    for event in events:
        order[event["user_ext_id"]].append(int(event["payload"]["acc_last_transaction_id"]))
    assert all(numbers == sorted(numbers) for numbers in order.values())
