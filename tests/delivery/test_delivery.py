"""Whatever the API answers, each event gets its verdict, and a player's events keep their order."""

from __future__ import annotations

import os
import time
from collections import defaultdict

import polars as pl
import pytest
from msgspec.structs import replace

from delivery.conftest import some_events
from smartico_sync.config.models import Smartico
from smartico_sync.core.reason_codes import TOO_LARGE, UNKNOWN_BRAND, UNKNOWN_USER, WAITS_BEHIND
from smartico_sync.core.records import Holds
from smartico_sync.delivery.router import Router
from smartico_sync.errors import DeliveryHalted
from smartico_sync.sandbox.api import Sandbox
from smartico_sync.sandbox.faults import refuses


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


@pytest.mark.parametrize("faults", [["reset-after:0.5"], ["garbage:0.5"], ["refuse=0.3"]])
def test_duplicates_that_a_try_before_explains_are_no_surprise(sandbox, ingest, faults):
    """Of the duplicates those are named that went to the API for the first time, and no others."""
    sandbox.set_faults(faults)
    first = ingest.send("deposits", some_events(300)).result(60)
    assert first.known_before == ()
    sandbox.set_faults([])
    refused = {refusal.row for refusal in first.refused}
    again = ingest.send("deposits", some_events(310)).result(60)
    assert sorted(again.known_before) == [row for row in range(300) if row not in refused]
    assert again.duplicates == len(again.known_before)


def test_a_duplicate_that_names_only_a_player_of_several_events_accuses_none(sandbox, ingest):
    """Which of the player's events the API had already is not known: all are delivered, and none is a surprise."""
    sandbox.ingest.error_keys = "user_ext_id"
    ingest.send("deposits", some_events(20)).result(60)
    again = ingest.send("deposits", some_events(40)).result(60)
    assert again.delivered + again.duplicates == 40
    assert again.known_before == ()
    assert sandbox.stats()["accepted"] == 40


@pytest.mark.parametrize("keys", ["eid", "user_ext_id"])
@pytest.mark.parametrize("dialect", ["event_errors", "failed_events"])
def test_refused_events_are_named_and_the_others_arrive(sandbox, ingest, dialect, keys):
    """A refusal takes its own event out and nothing else, also when the API names only the player, who has others."""
    sandbox.ingest.dialect, sandbox.ingest.error_keys = dialect, keys
    sandbox.set_faults(["refuse=0.1"])
    events = some_events(300)
    receipt = ingest.send("deposits", events).result(60)
    guilty = {eid for eid in events.frame["@eid"] if refuses(eid, 0.1, sandbox.ingest.seed)}
    assert guilty
    assert {refusal.eid for refusal in receipt.refused} == guilty
    assert receipt.delivered + receipt.duplicates == sandbox.stats()["accepted"] == 300 - len(guilty)


def test_a_wrong_token_halts_at_once_and_nothing_is_delivered(sandbox):
    """Access denied fails the send, with the next step; the message holds no token."""
    config = Smartico.model_validate({"url": sandbox.url, "token": "not-the-one"})
    delivery = Router(config)
    with pytest.raises(DeliveryHalted) as caught:
        delivery.send("deposits", some_events(10)).result(30)
    assert "not-the-one" not in caught.value.message + caught.value.hint
    assert delivery.status()[0].state == "halted"
    assert sandbox.stats()["accepted"] == 0
    delivery.close(1000)


def test_requests_are_full_where_a_backlog_lasts(ingest, sandbox):
    """What is new goes in several requests, so that one player holds up few others; of a backlog in two, which an API that is slow
    with one player tells apart from one that is down."""
    ingest.send("deposits", some_events(80, players=1000)).result(30)
    spread = sandbox.stats()["requests"]
    assert spread >= 3
    ingest.send("deposits", some_events(80, players=1000, start=500), requests="full").result(30)
    assert sandbox.stats()["requests"] == spread + 2


def test_an_event_larger_than_a_body_is_refused_alone(sandbox):
    """The others go; the large one is named with our own code."""
    config = Smartico.model_validate({"url": sandbox.url, "token": "secret", "batch_bytes": 10_000})
    delivery = Router(config)
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


def with_brands(events, names):
    brands = [names[row % len(names)] for row in range(len(events))]
    return type(events)(events.frame.with_columns(pl.Series("@brand", brands)), events.raw)


def test_an_unknown_brand_stops_itself_and_nothing_else(sandbox, ingest):
    """Its events are refused with 125, at once or by the API; all others go on; it goes by itself once it is registered."""
    sandbox.set_faults(["unknown-brand=nobody"])
    for _ in range(2):  # of the second send nothing of the brand even leaves
        mixed = ingest.send("mixed", with_brands(some_events(40), ["b", "nobody"])).result(30)
        assert [refusal.code for refusal in mixed.refused] == [UNKNOWN_BRAND] * 20
        assert all(refusal.row % 2 and "nobody" in refusal.reason for refusal in mixed.refused)
        assert mixed.delivered + mixed.duplicates == 20
        assert sandbox.stats()["refused"]["125"] == 20
    assert ingest.send("fine", some_events(40, start=100)).result(30).delivered == 40
    (status,) = ingest.status()
    assert status.state == "halted"
    assert "nobody" in status.halts[0][0]
    sandbox.set_faults([])
    ingest.default.dispatch.breaker.halts["nobody"].probe_at = 0
    receipt = ingest.send("mixed", with_brands(some_events(40), ["b", "nobody"])).result(30)
    assert receipt.delivered + receipt.duplicates == 40
    assert ingest.status()[0].state == "idle"


def test_an_unknown_alias_is_told_where_it_stands(sandbox, router):
    """The key to correct is the one that views.yaml has, under the name that the views have."""
    sandbox.set_faults(["unknown-brand=Reef"])
    delivery = router(sandbox.url, brands={"17": {"alias": "Reef"}})
    delivery.send("mixed", with_brands(some_events(4), ["17"])).result(30)
    ((told, hint),) = delivery.status()[0].halts
    assert "the brand Reef" in told
    assert "correct `smartico.brands.17.alias` in views.yaml" in hint


def test_nothing_overtakes_what_has_to_wait(sandbox, ingest):
    """What is queued behind a refused event of an unknown player is held back, in this send and in those after it."""
    sandbox.set_faults(["unknown-users", "latency=50ms"])
    first, second, third = Holds(), Holds(), Holds()
    second, third = replace(second, earlier=(first.own,)), replace(third, earlier=(first.own, second.own))
    receipts = [ingest.send("view", some_events(200, players=2), holds=first)]
    sends = [(200, second), (260, third), (290, Holds())]
    receipts += [ingest.send("view", some_events(30, players=2, start=start), holds=each) for start, each in sends]
    before, after, knowing = receipts[0].result(30), [each.result(30) for each in receipts[1:3]], receipts[3].result(30)
    assert {refusal.code for refusal in before.refused} == {UNKNOWN_USER, WAITS_BEHIND}
    assert len(before.refused) == 200
    assert first.own == {0, 1}
    for receipt in after:
        assert [refusal.code for refusal in receipt.refused] == [WAITS_BEHIND] * 30
    assert {refusal.code for refusal in knowing.refused} == {UNKNOWN_USER}  # made by somebody who knows of the others
    assert sandbox.stats()["received"] < 200


def test_brands_have_their_own_url_token_and_name(sandbox):
    """Events go where their brand is at home, under the name it has there; destinations of one token share its limits."""
    with Sandbox(token="other") as second:
        brands = {"Own": {"url": second.url, "token": "other", "alias": "own-there"}, "Near": {"url": sandbox.url}}
        config = Smartico.model_validate({"url": sandbox.url, "token": "secret", "brands": brands})
        delivery = Router(config)
        receipt = delivery.send("deposits", with_brands(some_events(60), ["b", "Own", "Near"])).result(30)
        assert receipt.delivered == 60
        assert {event["ext_brand_id"] for event in second.events()} == {"own-there"}
        assert {event["ext_brand_id"] for event in sandbox.events()} == {"b", "Near"}
        assert delivery.brands["Near"].dispatch.rate_limit is delivery.default.dispatch.rate_limit
        assert delivery.brands["Own"].dispatch.rate_limit is not delivery.default.dispatch.rate_limit
        assert {status.name: status.events["delivered"] for status in delivery.status()} == {
            "smartico": 20, "Own": 20, "Near": 20,
        }  # fmt: skip
        delivery.close(1000)


def test_a_token_file_is_read_again_when_it_changes(sandbox, tmp_path):
    """A token that was replaced in its file is used from the next request on."""
    file = tmp_path / "token"
    file.write_text("wrong\n")
    delivery = Router(Smartico.model_validate({"url": sandbox.url, "token_file": str(file)}))
    with pytest.raises(DeliveryHalted):
        delivery.send("deposits", some_events(10)).result(30)
    file.write_text("secret\n")
    os.utime(file, (0, 1))
    delivery.default.dispatch.breaker.halts[""].probe_at = 0
    assert delivery.send("deposits", some_events(10)).result(30).delivered == 10
    delivery.close(1000)


def test_batches_shrink_when_nobody_answers_in_time_and_grow_again(sandbox):
    """An API that is too slow for large requests gets smaller ones; nothing is doubled or lost by it."""
    config = Smartico.model_validate({"url": sandbox.url, "token": "secret", "batch_events": 400, "timeout": 200})
    delivery = Router(config, pauses_s=(0.01,))
    sandbox.set_faults(["hang-after=1s"])
    send = delivery.send("deposits", some_events(400))
    time.sleep(1.2)
    sandbox.set_faults([])
    receipt = send.result(30)
    assert receipt.delivered + receipt.duplicates == 400
    assert sandbox.stats()["accepted"] == 400
    assert delivery.status()[0].batch_events < 400
    for start in range(1000, 5000, 50):
        delivery.send("deposits", some_events(50, start=start)).result(30)
    assert delivery.status()[0].batch_events == 400
    delivery.close(1000)


def test_a_backfill_gives_way_to_what_is_live(sandbox):
    """A live event that comes behind a long backfill is delivered long before the backfill's end."""
    config = Smartico.model_validate({"url": sandbox.url, "token": "secret", "batch_events": 10, "max_in_flight": 2})
    sandbox.set_faults(["latency=20ms"])
    delivery = Router(config)
    old = delivery.send("casino", some_events(1000, players=1000), priority="backfill")
    delivery.send("deposits", some_events(10, players=1000, start=5000)).result(30)
    assert not old.done()
    assert old.result(30).delivered == 1000
    delivery.close(1000)
