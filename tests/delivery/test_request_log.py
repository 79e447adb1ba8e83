"""What an operator sees of requests: the last ones of each view, how long they took, and when one that failed goes again."""

from __future__ import annotations

import time

import pytest
from structlog.testing import capture_logs

from delivery.conftest import some_events
from smartico_sync.delivery.circuit_breaker import EVERYTHING
from smartico_sync.delivery.request_log import BUCKETS_S, KEPT
from smartico_sync.errors import DeliveryHalted
from waiting import until


def only(ingest):
    (status,) = ingest.status()
    return status


def test_the_last_requests_of_each_view_are_remembered(ingest):
    """The newest first, so many of each, with how large they were and how they ended."""
    for number in range(KEPT + 3):
        ingest.send("deposits", some_events(4, start=100 * number)).result()
    ingest.send("users", some_events(2, start=9_000), priority="backfill").result()
    until(lambda: sum(only(ingest).durations) == KEPT + 4)
    recent = only(ingest).recent
    assert len(recent["deposits"]) == KEPT
    (first,) = recent["users"]
    assert (first.events, first.status, first.decision, first.priority) == (2, 200, "done", "backfill")
    assert first.size > 100
    assert [each.at_ms for each in recent["deposits"]] == sorted(
        (each.at_ms for each in recent["deposits"]), reverse=True
    )


def test_every_request_is_in_one_bucket(ingest):
    """As many as there were, and a slow one among the slow ones."""
    made = ingest.send("deposits", some_events(60)).result().requests
    assert made >= 2
    until(lambda: sum(only(ingest).durations) == sum(only(ingest).requests.values()) == made)
    assert len(only(ingest).durations) == len(BUCKETS_S) + 1


def test_a_request_that_failed_says_when_it_goes_again(sandbox, router):
    """While the API asks to wait the circuit is open, until a moment that is told; afterwards nothing waits."""
    ingest = router(sandbox.url)
    sandbox.set_faults(["429=30s"])
    ingest.send("deposits", some_events(3))
    until(lambda: only(ingest).circuit == "open")
    assert only(ingest).next_try_ms > time.time() * 1000
    (failed,) = only(ingest).recent["deposits"]
    assert (failed.status, failed.decision) == (429, "retry")


def test_nothing_that_went_well_goes_again(ingest):
    """There is no next try where none failed."""
    ingest.send("deposits", some_events(3)).result()
    assert (only(ingest).circuit, only(ingest).next_try_ms) == ("closed", 0)


@pytest.mark.parametrize("fault", ["unknown-brand=b", "denied"])
def test_a_halt_says_when_the_next_may_find_out(sandbox, ingest, fault):
    """Of a brand by its name, of everything without one."""
    sandbox.set_faults([fault])
    ingest.send("deposits", some_events(3))
    until(lambda: only(ingest).halted)
    (halt,) = only(ingest).halted
    assert halt.brand == ("b" if "brand" in fault else "")
    assert halt.next_try_ms > time.time() * 1000
    assert (halt.message, only(ingest).halts[0][0]) == (only(ingest).halts[0][0], halt.message)


def test_a_token_that_is_refused_is_one_line_of_the_log_while_it_stands(sandbox, ingest):
    """However many requests were on their way, and however often one finds out; a second line once it was taken in between."""
    with capture_logs() as logged:
        for _ in range(2):
            sandbox.set_faults(["denied"])
            receipts = [ingest.send(f"view{number}", some_events(3, start=number * 10)) for number in range(4)]
            for receipt in receipts:
                with pytest.raises(DeliveryHalted):
                    receipt.result(30)
            ingest.default.dispatch.breaker.halts[EVERYTHING].probe_at = 0
            with pytest.raises(DeliveryHalted):
                ingest.send("finds out", some_events(3)).result(30)
            sandbox.set_faults([])
            ingest.default.dispatch.breaker.halts[EVERYTHING].probe_at = 0
            ingest.send("mended", some_events(3)).result(30)
    assert [line["event"] for line in logged if line["event"] == "delivery.halted"] == ["delivery.halted"] * 2
