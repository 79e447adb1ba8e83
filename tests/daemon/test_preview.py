"""`smartico-sync preview` shows the body that the daemon sends, and says where each value of it comes from."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

import engines
from smartico_sync.cli.pretty_json import indented
from smartico_sync.pii.decryption import decrypt
from smartico_sync.pii.keys import parse_key

START = datetime(2026, 1, 1, 10, tzinfo=UTC)
PLAYERS = {
    "dt_update": "instant", "brand": "text", "player_id": "integer", "core_account_status": "text", "core_user_language": "text",
    "email": "text", "nick": "text", "core_affiliate_id": "text", "core_tags": "text", "user_country": "text",
}  # fmt: skip
PAYMENTS = {
    "transaction_id": "integer", "ext_brand_id": "text", "user_ext_id": "integer", "tx": "text", "requested_at": "instant",
    "completed_at": "instant", "amount": "decimal", "note": "text", "id": "integer",
}  # fmt: skip
VIEWS = """
  - name: users
    source: db
    relation: players
    kind: users
    cursor: dt_update
    skip_cjm: first_load
    on_invalid: omit
    columns: {player_id: user_ext_id, brand: ext_brand_id, email: user_email, nick: null}
  - name: payments
    source: db
    relation: payments
    kind: payments
    cursor: transaction_id
    type: {column: tx, deposit: D, withdrawal: W}
"""


@pytest.fixture(params=["postgresql", "mariadb", "sqlite"])
def engine(request):
    yield from engines.serve(request.param, request)


@pytest.fixture
def lite(request):
    yield from engines.serve("sqlite", request)


@pytest.fixture
def shop(engine, operator):
    """An operator with players and payments, whose brand has an alias."""
    return stocked(engine, operator)


def stocked(engine, operator):
    engine.table("players", PLAYERS, [
        (START + timedelta(seconds=n), "B", n, "Active" if n == 1 else "WEIRD", "en", f"p{n}@secret.example", "nick", "john", "x", None)
        for n in (1, 2)
    ])  # fmt: skip
    engine.table("payments", PAYMENTS, [
        (1, "B", 1, "D", START, START + timedelta(hours=1), Decimal("1234567890123.45"), "n", 5),
        (2, "B", 2, "W", START, START + timedelta(hours=2), Decimal("5.50"), None, 6),
    ])  # fmt: skip
    operator.configure(engine.url, VIEWS, brands="{B: {alias: Bee}}")
    return operator


def shown(operator, view, *more):
    done = operator.sync("preview", view, *more)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def opened(operator, events):
    for event in events:
        if "user_email" in event["payload"]:
            event["payload"]["user_email"] = decrypt(
                event["payload"]["user_email"],
                "user_email",
                {"1": parse_key(operator.key)},
                (event["ext_brand_id"], event["user_ext_id"]),
            )
    return events


def test_the_body_is_what_the_daemon_sends(shop):
    """Alias, event ids, `skip_cjm`, protection: all that arrives was shown before, and after that what would go now."""
    text, _ = shown(shop, "payments")
    before = json.loads(text, parse_float=Decimal)
    profiles = opened(shop, json.loads(shown(shop, "users")[0]))
    assert shop.accepted() == []
    assert shop.sync("run", "--once").returncode == 0
    sent = shop.accepted()
    payments = [event for event in sent if event["event_type"] != "update_profile"]
    assert [event["eid"] for event in before] == [event["eid"] for event in payments]
    assert [event["payload"]["acc_last_transaction_id"] for event in before] == ["1", "2"]
    with shop.log.open() as lines:
        logged = [json.loads(line, parse_float=Decimal) for line in lines]
    assert {json.dumps(each, default=str, sort_keys=True) for each in before} <= {
        json.dumps({name: each[name] for name in before[0]}, default=str, sort_keys=True) for each in logged
    }
    arrived = opened(shop, [event for event in sent if event["event_type"] == "update_profile"])
    for event, wanted in zip(profiles, arrived, strict=True):
        assert event["payload"] == wanted["payload"]
        assert event["ext_brand_id"] == "Bee"
        assert event["payload"]["skip_cjm"] is True
    # The state is there now: ids are those that were sent, and the first load is over.
    again = json.loads(shown(shop, "users")[0])
    assert [event["eid"] for event in again] == [event["eid"] for event in arrived]
    assert all("skip_cjm" not in event["payload"] for event in again)


def test_every_view_is_shown_the_same_way(shop):
    """Over several lines, whatever it holds, and each number as it is sent."""
    for view in ("users", "payments"):
        text, _ = shown(shop, view)
        assert text.startswith('[\n  {\n    "eid": "')
        assert text.rstrip().endswith("\n  }\n]")
    assert '"acc_last_deposit_amount": 1234567890123.45' in text


def test_explain_says_where_each_value_comes_from(lite, operator):
    """Column, constant, default, computed, protected; and of each column that is not sent, why."""
    stocked(lite, operator)
    text, _ = shown(operator, "users", "--explain")
    told = " ".join(text.split())
    for words in (
        "ext_brand_id column brand, called by `smartico.brands.B.alias`",
        "user_ext_id column player_id",
        "event_type default: of the kind users",
        "event_date column dt_update, the cursor",
        "eid computed: from the name users",
        "user_email column email, protected by aes-256-gcm",
        "core_account_status column core_account_status, written as the catalogue has it",
        "core_account_status left out: core_account_status breaks a rule of the catalogue, and `on_invalid:` leaves it out",
        "core_affiliate_str computed: from column core_affiliate_id, whose text is no value of its own property",
        "core_affiliate_id left out: its text goes to core_affiliate_str",
        "skip_cjm constant: `skip_cjm: first_load`",
        "nick left out: `columns:` leaves it out",
        "core_tags left out: Smartico computes it itself",
        "user_country left out: NULL",
    ):
        assert words in told, words
    told = " ".join(shown(operator, "payments", "--explain")[0].split())
    for words in (
        "event_type column tx, `type:` says that the row is deposit",
        "acc_last_transaction_id column transaction_id",
        "acc_last_deposit_amount column amount",
        "acc_last_withdrawal_date computed: the event's date",
        "note left out: it means nothing to the kind",
        "id left out: column transaction_id goes before it",
    ):
        assert words in told, words
    explained = json.loads(shown(operator, "payments", "--explain", "--json")[0])
    assert explained["body"] == json.loads(shown(operator, "payments")[0])
    first = {part["name"]: part for part in explained["explained"][0]["payload"]}
    assert first["acc_last_deposit_amount"] == {
        "name": "acc_last_deposit_amount",
        "origin": "column",
        "how": "column amount",
    }


def test_a_dropped_value_says_so(lite, operator):
    """With `pii: {mode: drop}` the address is not in the body, and the explanation says why."""
    stocked(lite, operator)
    operator.config.write_text(operator.config.read_text().replace(f"  key: {operator.key}", "  mode: drop"))
    text, _ = shown(operator, "users", "--explain")
    assert "user_email" not in text.partition("\n\n")[0]
    assert "email left out: personal data, and `pii:` drops it" in " ".join(text.split())


def test_rows_that_share_an_id_are_told(lite, operator):
    """Which rows, and the key that would tell them apart."""
    lite.table(
        "payments", PAYMENTS, [(7, "B", n, "D", START, START + timedelta(seconds=n), 5, None, n) for n in (1, 2)]
    )
    view = "  - {name: payments, source: db, relation: payments, kind: payments, cursor: completed_at, type: {column: tx, deposit: D}}\n"
    operator.configure(lite.url, view)
    _, err = shown(operator, "payments")
    told = " ".join(err.split())
    assert "rows 1, 2 have one event id" in told
    assert "write `key: [" in told


def test_ids_that_are_not_final_are_told(lite, operator):
    """Event ids of profiles are made with the state's secret: before there is one they are examples, and the preview says so."""
    stocked(lite, operator)
    assert "the eids are examples" in " ".join(shown(operator, "users")[1].split())
    assert "examples" not in shown(operator, "payments")[1]
    assert operator.sync("run", "--once").returncode == 0
    assert "examples" not in shown(operator, "users")[1]


@pytest.mark.parametrize(
    "body",
    [
        '[{"a":1.10,"b":[],"c":{},"d":"x, {y}: [\\"z\\\\"}]',
        "[]",
        '[{"a":[1,2,[3]],"n":null,"t":true,"u":"\\u00e9"}]',
    ],
)
def test_lines_change_nothing(body):
    """The same JSON, to the last digit and escape."""
    text = indented(body)
    assert json.loads(text) == json.loads(body)
    assert text.count("1.10") == body.count("1.10")
    assert all(piece in text for piece in ("[]", "{}") if piece in body)
