"""What people write first: a loop with psycopg, orjson and httpx, at four levels.

    as it is      the view's own names and values, whatever JSON makes of them
    same JSON     the ingest API's names and values; ids that the next change of a row may repeat
    encrypted     the same, e-mail and phone encrypted
    remembered    the same, with an id from a hash of the row as it was before encryption, and each row's hash kept in
                  SQLite, committed before it goes on

None of them retries, limits its rate, keeps a player's order, sees a row that commits late, or knows after a crash where it
was; the last one at least sends no row twice that it has written down.

Usage: python -m bench.plain casino|users DATABASE_URL API_URL [LEVEL]
"""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import orjson
import psycopg

from bench.data import CASINO, USERS

BATCH = 1000
LEVELS = ("as it is", "same JSON", "encrypted", "remembered")
PRIVATE = ("user_email", "user_phone")


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


def encryption() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """What encrypts in an event, in place, what is private, and returns it. Twice the same text gives two others."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - other levels do without

    cipher = AESGCM(bytes(32))

    def encrypt(event: dict[str, Any]) -> dict[str, Any]:
        payload = event["payload"]
        for name in PRIVATE:
            if name in payload:
                nonce = os.urandom(12)
                payload[name] = urlsafe_b64encode(nonce + cipher.encrypt(nonce, payload[name].encode(), None)).decode()
        return event

    return encrypt


class Memory:
    """The hash of each row that was sent, as it was before encryption: encrypted, no row is ever as it was."""

    def __init__(self, home: Path) -> None:
        self.encrypt = encryption()
        self.connection = sqlite3.connect(home / "state.db", isolation_level=None)
        self.connection.executescript(
            "PRAGMA journal_mode = WAL; CREATE TABLE sent (key TEXT PRIMARY KEY, hash BLOB) WITHOUT ROWID"
        )

    def new(self, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Those that say something new, under ids of their content, written down; what comes is encrypted only here."""
        marks = ",".join("?" * len(events))
        hashes = [blake2b(orjson.dumps(event), digest_size=16).digest() for event in events]
        keys = [event["eid"] for event in events]
        there = dict(self.connection.execute(f"SELECT key, hash FROM sent WHERE key IN ({marks})", keys))
        fresh = [
            (event, key, digest) for event, key, digest in zip(events, keys, hashes, strict=True)
            if there.get(key) != digest
        ]  # fmt: skip
        self.connection.execute("BEGIN")
        self.connection.executemany("INSERT OR REPLACE INTO sent VALUES (?, ?)", [pair[1:] for pair in fresh])
        self.connection.execute("COMMIT")
        return [self.encrypt({**event, "eid": str(UUID(bytes=digest))}) for event, _, digest in fresh]


def main(what: str, database: str, api: str, level: str = "same JSON") -> None:
    """Send the whole view."""
    make = made = {"casino": casino, "users": users}[what]
    view, order = {"casino": (CASINO, "id"), "users": (USERS, "dt_update")}[what]
    headers = {"Authorization": "bench", "Content-Type": "application/json"}
    if level == "encrypted":
        encrypt = encryption()
        make = lambda row: encrypt(made(row))  # noqa: E731
    with (
        tempfile.TemporaryDirectory(prefix="smartico-sync-plain-") as home,
        httpx.Client(headers=headers) as client,
        psycopg.connect(database) as connection,
        connection.cursor(name="plain") as cursor,
    ):
        memory = Memory(Path(home)) if level == "remembered" else None
        cursor.itersize = 10_000
        cursor.execute(f"SELECT * FROM {view} ORDER BY {order}")
        if level == "as it is":
            names: list[str] = []
            make = lambda row: as_it_is(names, row)  # noqa: E731

        def post(batch: list[dict[str, Any]]) -> None:
            if sent := memory.new(batch) if memory else batch:
                client.post(api, content=orjson.dumps(sent, default=str)).raise_for_status()

        batch: list[dict[str, Any]] = []
        for row in cursor:
            if level == "as it is" and not names:
                names = [column.name for column in cursor.description or ()]
            batch.append(make(row))
            if len(batch) == BATCH:
                post(batch)
                batch = []
        if batch:
            post(batch)


def as_it_is(names: list[str], row: tuple[Any, ...]) -> dict[str, Any]:
    """One row under its own names, as an event."""
    payload = dict(zip(names, row, strict=True))
    return {
        "eid": str(payload.get("id", payload["user_ext_id"])), "event_date": 1, "ext_brand_id": payload["ext_brand_id"],
        "user_ext_id": str(payload["user_ext_id"]), "event_type": "row", "payload": payload,
    }  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:])
