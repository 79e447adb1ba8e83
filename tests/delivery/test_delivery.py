"""Whatever the API answers, each event gets its verdict, and a player's events keep their order."""

from __future__ import annotations

from collections import defaultdict

import pytest

from delivery.conftest import some_events
from smartico_sync.config.models import Smartico
from smartico_sync.core.reasons import TOO_LARGE
from smartico_sync.delivery.ingest import Ingest
from smartico_sync.errors import DeliveryHalted


@pytest.mark.parametrize(
    "faults",
    [
        [],
        ["503:0.3"],
        ["429:0.3"],
        ["reset-before:0.3"],
        ["reset-after:0.3"],
        ["garbage:0.3"],
        ["500:0.2", "reset-after:0.2", "garbage:0.2"],
    ],
)
def test_every_event_arrives_once_whatever_the_api_does(sandbox, ingest, faults):
    """Faults delay; in the end the API has each event exactly once, and each player's in order."""
    sandbox.set_faults(faults)
    sends = [ingest.send("deposits", some_events(200, start=start)) for start in range(0, 1000, 200)]
    receipts = [send.result(60) for send in sends]
    assert sum(receipt.delivered + receipt.duplicates for receipt in receipts) == 1000
    assert not any(receipt.refused for receipt in receipts)
    stats = sandbox.stats()
    assert stats["accepted"] == 1000
    assert stats["violations"] == {}
    order = defaultdict(list)
    for event in sandbox.events(1000):
        order[event["user_ext_id"]].append(int(event["payload"]["acc_last_transaction_id"]))
    assert all(rows == sorted(rows) for rows in (list(rows) for rows in order.values())) or all(
        rows == sorted(rows, reverse=True) for rows in order.values()
    )


def test_refused_events_are_named_and_the_others_arrive(sandbox, ingest):
    """A refusal takes its own event out and nothing else."""
    sandbox.set_faults(["refuse=0.1"])
    receipt = ingest.send("deposits", some_events(300)).result(60)
    assert receipt.delivered + receipt.duplicates + len(receipt.refused) == 300
    assert sandbox.stats()["accepted"] == receipt.delivered


def test_a_wrong_token_halts_at_once_and_nothing_is_delivered(sandbox):
    """Access denied fails the send, with the next step; the message holds no token."""
    config = Smartico.model_validate({"url": sandbox.url, "token": "not-the-one"})
    delivery = Ingest(config)
    with pytest.raises(DeliveryHalted) as caught:
        delivery.send("deposits", some_events(10)).result(30)
    assert "not-the-one" not in caught.value.message + caught.value.hint
    assert delivery.status()[0].state == "halted"
    assert sandbox.stats()["accepted"] == 0
    delivery.close(1000)


def test_an_event_larger_than_a_body_is_refused_alone(sandbox):
    """The others go; the large one is named with our own code."""
    config = Smartico.model_validate({"url": sandbox.url, "token": "secret", "batch_bytes": 10_000})
    delivery = Ingest(config)
    events = some_events(20)
    large = events.frame.with_columns(
        acc_last_deposit_payment_method=events.frame["@row"].map_elements(
            lambda row: "x" * 20_000 if row == 3 else "card", return_dtype=str
        )
    )
    receipt = delivery.send("deposits", type(events)(large, events.raw)).result(30)
    assert [(refusal.row, refusal.code) for refusal in receipt.refused] == [(3, TOO_LARGE)]
    assert receipt.delivered == 19
    delivery.close(1000)
