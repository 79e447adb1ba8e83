"""The same casino in every database: what reaches the API is the same."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

import engines
from smartico_sync.pii.decryption import decrypt
from smartico_sync.pii.keys import parse_key

NOON = datetime(2026, 1, 1, 12, 0, 0, 123_000)  # noqa: DTZ001 - as columns without a zone hold it
USERS = {
    "ext_brand_id": "text", "user_ext_id": "integer", "dt_update": "timestamp", "core_username": "text",
    "core_registration_date": "timestamp", "core_wallet_currency": "text", "user_email": "text", "user_birthdate": "date",
    "core_is_email_disabled_by_platform": "boolean",
}  # fmt: skip
DEPOSITS = {
    "transaction_id": "integer", "ext_brand_id": "text", "user_ext_id": "integer", "dt_finalized": "timestamp",
    "transaction_date": "timestamp", "deposit_amount": "decimal",
}  # fmt: skip
BETS = {
    "id": "integer", "ext_brand_id": "text", "user_ext_id": "integer", "bet_id": "text", "bet_date": "timestamp",
    "bet_amount": "decimal", "game_id": "text",
}  # fmt: skip
PEOPLE, ROWS = 20, 50
NAMED = {"acc_deposit_approved": "acc_last_transaction_id", "casino_bet": "casino_last_bet_id"}
MECHANISMS = {"users": "lookback", "deposits": "lookback", "bets": "gaps"}  # where there is no fence
VIEWS = """
  - {name: users, source: db, relation: users, kind: users, cursor: dt_update}
  - {name: deposits, source: db, relation: deposits, kind: deposits, cursor: dt_finalized, key: transaction_id}
  - {name: bets, source: db, relation: bets, kind: casino_bets, cursor: id, key: bet_id}
"""


def at(number):
    """A moment of its own for each row."""
    return NOON.replace(minute=number % 60, microsecond=1000 * (number % 1000))


def filled(engine):
    """Players, deposits and bets, with what a casino has in them: umlauts, cents, NULLs."""
    engine.table(
        "users",
        USERS,
        [
            (
                "b",
                g,
                at(g),
                f"Jürgen {g}" if g % 3 else None,
                NOON,
                "EUR",
                f"player{g}@example.com",
                date(1980, 2, g),
                g % 2 == 0,
            )
            for g in range(1, PEOPLE + 1)
        ],
    )
    engine.table(
        "deposits", DEPOSITS, [(g, "b", g % PEOPLE + 1, at(g), NOON, Decimal(g) / 100) for g in range(1, ROWS + 1)]
    )
    engine.table(
        "bets",
        BETS,
        [(g, "b", g % PEOPLE + 1, f"r{g}", at(g), Decimal(g) / 8, "Book of “Ra”") for g in range(1, ROWS + 1)],
    )


def told(operator):
    """What the API took, by event type and what the operator knows it by; e-mail addresses deciphered."""
    events = {}
    for event in operator.accepted():
        kind, payload = event["event_type"], event["payload"]
        if "user_email" in payload:
            player = (event["ext_brand_id"], event["user_ext_id"])
            payload["user_email"] = decrypt(payload["user_email"], "user_email", {"1": parse_key(operator.key)}, player)
        known = event["user_ext_id"] if kind == "update_profile" else payload[NAMED[kind]]
        events[kind, known] = (event["user_ext_id"], event["event_date"], payload)
    return events


def epoch(moment):
    """A naive UTC moment in epoch milliseconds."""
    return int(moment.replace(tzinfo=UTC).timestamp() * 1000)


def expected():
    """What Smartico is to learn."""
    noon = epoch(NOON)
    events = {}
    for g in range(1, PEOPLE + 1):
        payload = {
            "core_registration_date": noon, "core_wallet_currency": "EUR", "user_email": f"player{g}@example.com",
            "user_birthdate": epoch(NOON.replace(year=1980, month=2, day=g, hour=0, microsecond=0)), "core_is_email_disabled_by_platform": g % 2 == 0,
        }  # fmt: skip
        events["update_profile", str(g)] = (
            str(g),
            epoch(at(g)),
            payload | ({"core_username": f"Jürgen {g}"} if g % 3 else {}),
        )
    for g in range(1, ROWS + 1):
        player = str(g % PEOPLE + 1)
        deposit = {"acc_last_transaction_id": str(g), "acc_last_deposit_amount": g / 100, "acc_last_deposit_date": noon}
        bet = {"casino_last_bet_id": f"r{g}", "casino_last_bet_dt": epoch(at(g)), "casino_last_bet_amount": g / 8}
        game = {"casino_last_bet_game_name": "Book of “Ra”"}
        events["acc_deposit_approved", str(g)] = (player, noon, deposit)
        events["casino_bet", f"r{g}"] = (player, epoch(at(g)), bet | game)
    return events


@pytest.fixture(params=engines.parameters())
def engine(request):
    """One engine, with an empty database."""
    yield from engines.serve(request.param, request)


def test_every_database_delivers_the_same(engine, operator):
    """`smartico-sync check` says how late rows are found in each view; `smartico-sync run --once` moves users, deposits and bets; each property of
    each event is what any other database gives, ids included."""
    filled(engine)
    operator.configure(engine.url, VIEWS.replace("}\n", f"{engine.left_out}}}\n"))
    checked = operator.check()
    assert checked.returncode == 0, checked.stdout + checked.stderr
    for view, mechanism in MECHANISMS.items():
        natural = "fence + lookback" if engine.name == "postgresql" else mechanism
        assert f"view {view}: late commits: {natural}, " in checked.stdout
    assert "nothing was sent" in checked.stdout
    assert operator.accepted() == []
    done = operator.sync("run", "--once")
    assert done.returncode == 0, operator.sync("dead-letters", "list").stdout
    events = told(operator)
    assert events == expected()
    eids = {event["eid"] for event in operator.accepted()}
    assert len(eids) == len(events)
    assert operator.sync("run", "--once").returncode == 0
    assert len(operator.accepted()) == len(events)


@pytest.mark.slow
def test_every_database_begins_at_the_present_and_sends_what_appears_below(engine, operator):
    """What is there at a start at `now` is not sent; a late time, one like the newest, and a missing id that appear later are."""
    moment = datetime.now(UTC).replace(tzinfo=None, microsecond=0) - timedelta(seconds=90)

    def rows(table, *numbers):
        cells = {
            "deposits": lambda g: (g, "b", 1, moment + timedelta(seconds=g), NOON, Decimal(g)),
            "bets": lambda g: (g, "b", 1, f"r{g}", NOON, Decimal(g), "Book"),
        }
        return [cells[table](g) for g in numbers]

    engine.table("deposits", DEPOSITS, [*rows("deposits", *range(1, 20), *range(21, 40)), *rows("deposits", 41)])
    engine.table("bets", BETS, rows("bets", *range(1, 20), *range(21, 40)))
    views = "".join(f"  {line.strip()}\n" for line in VIEWS.splitlines() if "users" not in line and line.strip())
    operator.configure(engine.url, views.replace("}\n", f", start_from: now{engine.left_out}}}\n"))
    assert operator.sync("run", "--once").returncode == 0
    assert operator.accepted() == []
    tied = (40, "b", 1, moment + timedelta(seconds=41), NOON, Decimal(40))
    engine.insert("deposits", [*rows("deposits", 20, 42), tied])
    engine.insert("bets", rows("bets", 20, 40))
    for _ in range(2):
        done = operator.sync("run", "--once")
        assert done.returncode == 0, done.stderr
    assert sorted(name for _, name in told(operator)) == ["20", "40", "42", "r20", "r40"]
