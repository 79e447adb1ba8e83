"""What people write first: a loop with psycopg, orjson and httpx, without ids, state, diff, encryption or retries.

Usage: python -m bench.plain casino|users DATABASE_URL API_URL
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import psycopg

from bench.data import CASINO, USERS

BATCH = 1000


def milliseconds(moment: Any) -> int:
    """Epoch milliseconds of a timestamp with zone."""
    return int(moment.timestamp() * 1000)


def casino(row: tuple[Any, ...]) -> dict[str, Any]:
    """One bet or win."""
    (id_, brand, user, kind, bet, date, amount, real, bonus, win, win_real, name, game, category, provider) = row
    payload = {
        "casino_last_bet_id": bet,
        "casino_last_bet_dt": milliseconds(date),
        "casino_last_bet_amount": float(amount),
        "casino_last_bet_amount_real": float(real),
        "casino_last_bet_amount_bonus": float(bonus),
        "casino_last_bet_game_name": game or name,
        "casino_last_bet_game_type": category,
        "casino_last_bet_game_provider": provider,
    }
    if win is not None:
        payload["casino_last_win_amount"] = float(win)
        payload["casino_last_win_amount_real"] = float(win_real)
    return {
        "eid": f"{kind}-{id_}",
        "event_date": milliseconds(date),
        "ext_brand_id": brand,
        "user_ext_id": str(user),
        "event_type": "casino_win" if kind == "WIN" else "casino_bet",
        "payload": payload,
    }


def users(row: tuple[Any, ...]) -> dict[str, Any]:
    """One profile."""
    names = (
        "core_account_status", "core_registration_date", "core_user_language", "core_wallet_currency", "core_username",
        "user_birthdate", "user_country", "user_email", "user_first_name", "user_last_name", "user_phone",
        "core_is_email_disabled_by_platform",
    )  # fmt: skip
    brand, user, update, *values = row
    payload = dict(zip(names, values, strict=True))
    payload["core_registration_date"] = milliseconds(payload["core_registration_date"])
    payload["user_birthdate"] = payload["user_birthdate"].toordinal() * 86_400_000 - 62_135_683_200_000
    return {
        "eid": f"{user}-{milliseconds(update)}",
        "event_date": milliseconds(update),
        "ext_brand_id": brand,
        "user_ext_id": str(user),
        "event_type": "update_profile",
        "payload": {name: value for name, value in payload.items() if value is not None},
    }


def main(what: str, database: str, api: str) -> None:
    """Send the whole view."""
    make: Callable[[tuple[Any, ...]], dict[str, Any]] = {"casino": casino, "users": users}[what]
    view, order = {"casino": (CASINO, "id"), "users": (USERS, "dt_update")}[what]
    headers = {"Authorization": "bench", "Content-Type": "application/json"}
    with (
        httpx.Client(headers=headers) as client,
        psycopg.connect(database) as connection,
        connection.cursor(name="plain") as cursor,
    ):
        cursor.itersize = 10_000
        cursor.execute(f"SELECT * FROM {view} ORDER BY {order}")
        batch = []
        for row in cursor:
            batch.append(make(row))
            if len(batch) == BATCH:
                client.post(api, content=orjson.dumps(batch)).raise_for_status()
                batch = []
        if batch:
            client.post(api, content=orjson.dumps(batch)).raise_for_status()


if __name__ == "__main__":
    main(*sys.argv[1:])
