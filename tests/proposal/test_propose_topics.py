"""A first configuration from topics: what each is taken for, by its name and a sample of its messages."""

from __future__ import annotations

import json

import pytest
import yaml

from smartico_sync.config.models import Configuration
from smartico_sync.core.messages.message import Message
from smartico_sync.proposal.document import Heading
from smartico_sync.proposal.topics import names_of, propose_topic
from smartico_sync.proposal.topics_document import topics_configuration

HEADING = Heading("https://apis6.smartico.ai/x", "kafkas://sync:${DB_PASSWORD}@b1", "bus")


def messages(*values):
    bodies = [value if isinstance(value, bytes | None) else json.dumps(value).encode() for value in values]
    return [Message("t/0", place, 1, None, body) for place, body in enumerate(bodies)]


def bet(number):
    said = {
        "betId": f"b{number}",
        "userId": number,
        "brandId": "b",
        "amount": 1.5,
        "timestamp": 1_769_860_800_000_000,
        "gameId": "g",
    }
    return {"eventId": f"e{number}", "eventType": "casino.bet.placed", "payload": said}


def written(*views, others=None):
    """The views of a configuration as the daemon reads it."""
    text = topics_configuration(HEADING, views, others or {})
    said = yaml.safe_load(text)
    said["smartico"]["token"], said["pii"]["key"] = "t", "a2V5"
    Configuration.model_validate(said)
    return said["views"], text


def test_an_envelope_around_bets_is_seen_through():
    """The object whose members are columns, what they are called, and what a number that is a moment counts."""
    found = propose_topic("casino.game.bet-placed.v1", messages(*map(bet, range(20))))
    (view,), _ = written(found)
    assert (view["kind"], view["root"], view["relation"]) == ("casino_bets", "payload", "casino.game.bet-placed.v1")
    assert view["fields"]["user_ext_id"] == "userId"
    assert view["fields"]["bet_id"] == "betId"
    assert view["fields"]["bet_date"] == {"path": "timestamp", "type": "epoch_us"}
    assert "key" not in view


def test_a_payment_topic_reads_only_what_counts():
    """By the values of its type and status, as they are written there."""
    rows = [
        {
            "id": n,
            "player_id": n,
            "brand": "b",
            "type": kind,
            "status": status,
            "amount": "5.00",
            "created_at": "2026-01-01T00:00:00Z",
        }
        for n, (kind, status) in enumerate(
            [("DEPOSIT", "COMPLETED"), ("WITHDRAWAL", "COMPLETED"), ("DEPOSIT", "FAILED")] * 5
        )
    ]
    found = propose_topic("payments", messages(*rows))
    (view,), _ = written(found)
    assert view["kind"] == "deposits"
    assert view["where"] == {"type": ["DEPOSIT"], "status": ["COMPLETED"]}


def test_a_debezium_topic_of_players_is_a_topic_of_profiles():
    """With the member that grows as its version, and only what was recognised: no passwords."""
    rows = [
        {"before": None, "op": "c", "ts_ms": 1, "after": {
            "id": n, "brand": "b", "email": "a@example.com", "password_hash": "x", "updated_at": "2026-01-01T00:00:00Z",
        }}
        for n in range(5)
    ]  # fmt: skip
    found = propose_topic("pg.public.players", messages(*rows, None))
    (view,), text = written(found)
    assert (view["kind"], view["format"], view["version"]) == ("users", "debezium", "updated_at")
    assert view["fields"]["user_ext_id"] == "id"
    assert "password_hash" not in view["fields"].values()
    assert "Not read: password_hash" in text


@pytest.mark.parametrize(
    ("topic", "bodies", "said"),
    [
        ("bets", [], "no message"),
        ("bets", [b"\x00avro", b"\x01"], "no JSON objects"),
        ("audit.log", [{"who": "x", "what": "y"}], "says of no kind"),
        ("bets", [{"n": 1}], "has no column for"),
    ],
)
def test_what_is_not_proposed_has_a_reason(topic, bodies, said):
    """Which the file keeps."""
    found = propose_topic(topic, messages(*bodies))
    assert said in found
    _, text = written(propose_topic("game.bets", messages(bet(1))), others={topic: found})
    assert f"{topic}: " in text


def test_two_topics_of_one_kind_are_two_views():
    """Each with a name of its own; without a brand the configuration asks for one."""
    some = [{**bet(n)["payload"], "brandId": None} for n in range(3)]
    for each in some:
        del each["brandId"]
    one, other = propose_topic("mt.bets", messages(*some)), propose_topic("se.bets", messages(*some))
    views, _ = written(one, other)
    assert len({view["name"] for view in views}) == 2
    assert {view["brand"] for view in views} == {"${EXT_BRAND_ID}"}


def test_a_topic_s_name_is_taken_apart():
    """What says how it is published says nothing of what it is."""
    assert next(names_of("casino.game.bet-placed.v1")) == "casino_game_bet"
    assert list(names_of("prod_walletDeposits"))[:2] == ["wallet_deposits", "deposits"]
