"""A property that the API does not know costs its event nothing but itself, where the configuration says so."""

from __future__ import annotations

import polars as pl
import pytest
from msgspec.structs import replace

from delivery.conftest import some_events
from servers.plain import answer
from smartico_sync.core.answer_errors import named_properties
from smartico_sync.core.events import POSITION, TYPE


def with_tiers(count, players=7, optional=("tier", "level"), start=0):
    """Events of which every third has a tier and every fifth a level."""
    events = some_events(count, players, start)
    frame = events.frame.with_columns(
        pl.when(pl.col(POSITION) % 3 == 0).then(pl.lit("gold")).alias("tier"),
        pl.when(pl.col(POSITION) % 5 == 0).then(pl.lit("high")).alias("level"),
    )
    return replace(events, frame=frame, optional=frozenset(optional))


DIALECTS = pytest.mark.parametrize("dialect", ["event_errors", "failed_events"])
KEYS = pytest.mark.parametrize("error_keys", ["eid", "user_ext_id"])


@DIALECTS
@KEYS
def test_the_event_goes_again_without_it(sandbox, ingest, dialect, error_keys):
    """Once, with all else, in its player's order; one property after the other, and each is counted."""
    sandbox.ingest.dialect, sandbox.ingest.error_keys = dialect, error_keys
    sandbox.set_faults(["refuse-property=tier", "refuse-property=level"])
    receipt = ingest.send("deposits", with_tiers(90)).result(60)
    arrived = receipt.delivered + receipt.duplicates  # who is named by the player goes again with all the player's
    assert (arrived, receipt.refused, receipt.left_out) == (90, (), {"tier": 30, "level": 18})
    taken = sandbox.events(1000)
    assert len(taken) == 90
    assert not any({"tier", "level"} & event["payload"].keys() for event in taken)
    assert all({"acc_last_deposit_amount", "acc_last_transaction_id"} <= event["payload"].keys() for event in taken)
    assert sandbox.stats()["violations"] == {}


@DIALECTS
def test_what_is_needed_is_never_left_out(sandbox, ingest, dialect):
    """Its event is refused, as it is where nothing was said."""
    sandbox.ingest.dialect = dialect
    sandbox.set_faults(["refuse-property=tier"])
    receipt = ingest.send("deposits", with_tiers(30, optional=("level",))).result(60)
    assert (receipt.delivered, len(receipt.refused), receipt.left_out) == (20, 10, {})


def test_an_answer_that_names_no_event_is_halved_first(plain_server, router):
    """In the end the guilty one is alone, and its property is known."""
    refused = b'{"err_code": 2, "err_msg": "Unknown property \\"tier\\""}'

    def serve(peer):
        while (body := peer.read()) is not None:
            peer.write(answer(refused, "400 Bad Request") if b'"tier"' in body else answer())

    receipt = router(plain_server(serve).url).send("deposits", with_tiers(10)).result(60)
    assert (receipt.delivered, receipt.refused, receipt.left_out) == (10, (), {"tier": 4})


def test_a_profile_never_comes_after_a_newer_one(sandbox, ingest):
    """Refused beside an accepted newer state of its player, it stays refused."""
    sandbox.set_faults(["refuse-property=tier"])
    events = with_tiers(2, players=1)
    events = replace(events, frame=events.frame.with_columns(pl.lit("update_profile").alias(TYPE)))
    receipt = ingest.send("users", events).result(60)
    assert (receipt.delivered, [refusal.row for refusal in receipt.refused]) == (1, [0])


@pytest.mark.parametrize(
    ("message", "names"),
    [
        ("Property tier faled to parse value null, error: x", ("tier",)),
        ("Unknown property 'loyalty.level'", ("loyalty.level",)),
        ('Unrecognized field "tier" (class Event)', ("tier",)),
        ("Property +core_external_markers is unknown", ("+core_external_markers",)),
        ("Property [tier] is not registered", ("tier",)),
        ("Something went wrong", ()),
    ],
)
def test_names_in_the_words_of_an_api(message, names):
    """However it is put; what is no property of the event does not count."""
    assert named_properties(message)[: len(names)] == names
