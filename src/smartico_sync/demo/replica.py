"""The demo's replica: a SQLite file with the views that an operator would make, and a ledger of what really changed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import quote

from smartico_sync.catalogue.engines import EMBEDDED
from smartico_sync.demo.players import BRANDS, GAMES, METHODS, fake_player

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["PLAYERS", "VIEWS", "connect", "create", "expected", "heading", "register", "stamp", "views_yaml"]

PLAYERS = 2_000
DEPOSITS = 1_000
WITHDRAWALS = 150
ROUNDS = 2_000
BUSY_S = 30.0  # a writer waits rather than fail while another one writes

VIEWS = ("crm_users", "crm_user_consents", "crm_deposits", "crm_withdrawals", "crm_casino_transactions")

# Triggers, and not the program that writes, decide what is a change: a profile that is touched without one counts nothing.
SCHEMA = """
CREATE TABLE players (
  id INTEGER PRIMARY KEY AUTOINCREMENT, brand TEXT NOT NULL, username TEXT, first_name TEXT, last_name TEXT, email TEXT,
  phone TEXT, birthdate DATE, gender TEXT, country TEXT, language TEXT, currency TEXT, status TEXT NOT NULL, kyc TEXT,
  loyalty_level TEXT, registered TIMESTAMP NOT NULL, updated TIMESTAMP NOT NULL, UNIQUE (brand, id));
CREATE INDEX players_updated ON players (updated, brand, id);
CREATE TABLE consents (
  player INTEGER PRIMARY KEY REFERENCES players, brand TEXT NOT NULL, no_email BOOLEAN NOT NULL, no_sms BOOLEAN NOT NULL,
  push BOOLEAN NOT NULL, updated TIMESTAMP NOT NULL);
CREATE INDEX consents_updated ON consents (updated, brand, player);
CREATE TABLE deposits (
  id INTEGER PRIMARY KEY AUTOINCREMENT, brand TEXT NOT NULL, player INTEGER NOT NULL, amount DECIMAL(18,2) NOT NULL,
  method TEXT, code TEXT, requested TIMESTAMP NOT NULL, finalized TIMESTAMP NOT NULL);
CREATE INDEX deposits_finalized ON deposits (finalized, id);
CREATE TABLE withdrawals (
  id INTEGER PRIMARY KEY AUTOINCREMENT, brand TEXT NOT NULL, player INTEGER NOT NULL, amount DECIMAL(18,2) NOT NULL,
  requested TIMESTAMP NOT NULL, finalized TIMESTAMP NOT NULL);
CREATE INDEX withdrawals_finalized ON withdrawals (finalized, id);
CREATE TABLE bets (
  id INTEGER PRIMARY KEY AUTOINCREMENT, brand TEXT NOT NULL, player INTEGER NOT NULL, type TEXT NOT NULL, round TEXT NOT NULL,
  at TIMESTAMP NOT NULL, bet DECIMAL(18,2) NOT NULL, win DECIMAL(18,2), game TEXT NOT NULL, game_name TEXT NOT NULL,
  category TEXT, provider TEXT);

CREATE VIEW crm_users AS SELECT brand AS ext_brand_id, id AS user_ext_id, updated AS dt_update, status AS core_account_status,
  registered AS core_registration_date, language AS core_user_language, currency AS core_wallet_currency,
  username AS core_username, birthdate AS user_birthdate, country AS user_country, email AS user_email,
  phone AS user_phone, first_name AS user_first_name, last_name AS user_last_name, gender AS core_user_gender,
  kyc AS core_kyc_status, loyalty_level FROM players;
CREATE VIEW crm_user_consents AS SELECT brand AS ext_brand_id, player AS user_ext_id, updated AS dt_update,
  no_email AS core_is_email_disabled_by_platform, no_sms AS core_is_sms_disabled_by_platform, push AS push_allowed
  FROM consents;
CREATE VIEW crm_deposits AS SELECT id AS transaction_id, brand AS ext_brand_id, player AS user_ext_id,
  requested AS transaction_date, finalized AS dt_finalized, amount AS deposit_amount, method AS deposit_method,
  code AS deposit_code FROM deposits;
CREATE VIEW crm_withdrawals AS SELECT id AS transaction_id, brand AS ext_brand_id, player AS user_ext_id,
  requested AS transaction_date, finalized AS dt_finalized, amount AS withdrawal_amount FROM withdrawals;
CREATE VIEW crm_casino_transactions AS SELECT id, brand AS ext_brand_id, player AS user_ext_id, type AS tx_type,
  id AS bet_id, round AS round_id, at AS bet_date, bet AS bet_amount, win AS win_amount, game AS game_id, game_name,
  category AS game_category, provider AS game_provider FROM bets;

CREATE TABLE profile_changes (id INTEGER PRIMARY KEY, view TEXT NOT NULL, player INTEGER NOT NULL, at TIMESTAMP NOT NULL);
CREATE TRIGGER player_came AFTER INSERT ON players
  BEGIN INSERT INTO profile_changes (view, player, at) VALUES ('crm_users', new.id, new.updated); END;
CREATE TRIGGER player_changed AFTER UPDATE ON players
  WHEN (new.status, new.language, new.country, new.email, new.phone, new.first_name, new.last_name, new.kyc,
    new.loyalty_level) IS NOT (old.status, old.language, old.country, old.email, old.phone, old.first_name, old.last_name,
    old.kyc, old.loyalty_level)
  BEGIN INSERT INTO profile_changes (view, player, at) VALUES ('crm_users', new.id, new.updated); END;
CREATE TRIGGER consent_came AFTER INSERT ON consents
  BEGIN INSERT INTO profile_changes (view, player, at) VALUES ('crm_user_consents', new.player, new.updated); END;
CREATE TRIGGER consent_changed AFTER UPDATE ON consents
  WHEN (new.no_email, new.no_sms, new.push) IS NOT (old.no_email, old.no_sms, old.push)
  BEGIN INSERT INTO profile_changes (view, player, at) VALUES ('crm_user_consents', new.player, new.updated); END;
"""

EXPECTED = """
SELECT 'update_profile', count(*) FROM profile_changes
UNION ALL SELECT 'acc_deposit_approved', count(*) FROM deposits
UNION ALL SELECT 'acc_withdrawal_approved', count(*) FROM withdrawals
UNION ALL SELECT 'casino_bet', count(*) FROM bets WHERE type = 'BET'
UNION ALL SELECT 'casino_win', count(*) FROM bets WHERE type = 'WIN'
"""


def connect(path: Path | str) -> sqlite3.Connection:
    """Open the replica for writing; the caller begins and commits. May be used from another thread than it was made in."""
    connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def create(path: Path | str, *, now: datetime, seed: int = 0, players: int = PLAYERS) -> None:
    """Make a new replica at `path`, filled with `players` and half a year of their past, all before `now` (aware).

    The same seed and `now` make the same rows. Raises sqlite3.OperationalError when there is a replica already.
    """
    random = Random(seed)  # noqa: S311 - a demo's data
    scale = players / PLAYERS
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with closing(connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(f"BEGIN IMMEDIATE; {SCHEMA}")
        for moment in moments(random, now, players):
            register(db, random, moment)
        for moment in moments(random, now, round(DEPOSITS * scale)):
            player, brand = pick(db, random, players)
            deposit(db, random, moment, brand, player)
        for moment in moments(random, now, round(WITHDRAWALS * scale)):
            player, brand = pick(db, random, players)
            withdraw(db, random, moment, brand, player)
        for moment in moments(random, now, round(ROUNDS * scale)):
            player, brand = pick(db, random, players)
            wager(db, random, moment, brand, player)
        db.execute("COMMIT")


def moments(random: Random, now: datetime, count: int) -> Iterator[datetime]:
    """Moments of the last half year, in order."""
    step = timedelta(days=180) / max(1, count)
    for number in range(count, 0, -1):
        yield now - step * number + step * random.random() * 0.9


def pick(db: sqlite3.Connection, random: Random, players: int) -> tuple[int, str]:
    """Choose one of the players: (id, brand)."""
    row: tuple[int, str] = db.execute(
        "SELECT id, brand FROM players WHERE id = ?", [random.randint(1, players)]
    ).fetchone()
    return row


def stamp(moment: datetime) -> str:
    """Write a moment as the replica holds it: UTC, microseconds, no zone."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def register(db: sqlite3.Connection, random: Random, moment: datetime) -> int:
    """Add a player with consents; returns the id."""
    number = db.execute("SELECT coalesce(max(id), 0) + 1 FROM players").fetchone()[0]
    who, brand, at = fake_player(random, number), random.choice(BRANDS), stamp(moment)
    db.execute(
        "INSERT INTO players VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'ACTIVE', ?, 'bronze', ?, ?)",
        [number, brand, who.username, who.first_name, who.last_name, who.email, who.phone, who.birthdate, who.gender,
         who.country, who.language, who.currency, random.choice((None, "PENDING", "VERIFIED")), at, at],
    )  # fmt: skip
    consents = [random.random() < 0.2, random.random() < 0.3, random.random() < 0.5]
    db.execute("INSERT INTO consents VALUES (?, ?, ?, ?, ?, ?)", [number, brand, *consents, at])
    return int(number)


def deposit(db: sqlite3.Connection, random: Random, moment: datetime, brand: str, player: int) -> None:
    """Add a final deposit."""
    amount, code = random.randint(500, 50_000) / 100, random.choice((None, None, "WELCOME50"))
    requested = stamp(moment - timedelta(seconds=random.randint(5, 600)))
    db.execute(
        "INSERT INTO deposits VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
        [brand, player, amount, random.choice(METHODS), code, requested, stamp(moment)],
    )


def withdraw(db: sqlite3.Connection, random: Random, moment: datetime, brand: str, player: int) -> None:
    """Add a paid withdrawal."""
    requested = stamp(moment - timedelta(hours=random.randint(1, 48)))
    amount = random.randint(1_000, 80_000) / 100
    db.execute(
        "INSERT INTO withdrawals VALUES (NULL, ?, ?, ?, ?, ?)", [brand, player, amount, requested, stamp(moment)]
    )


def wager(db: sqlite3.Connection, random: Random, moment: datetime, brand: str, player: int) -> int:
    """Add a bet, and its win if there is one; returns how many rows that made."""
    game = random.choice(GAMES)
    amount = random.randint(10, 2_000) / 100
    number = db.execute("SELECT coalesce(max(id), 0) + 1 FROM bets").fetchone()[0]
    row = [f"r{number}", stamp(moment), amount]
    insert = "INSERT INTO bets VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    db.execute(insert, [brand, player, "BET", *row, None, *game])
    if random.random() >= 0.3:
        return 1
    db.execute(insert, [brand, player, "WIN", *row, round(amount * random.uniform(0.5, 8.0), 2), *game])
    return 2


def expected(path: Path | str) -> dict[str, int]:
    """How many events of each type the rows of the replica must cause, counted in the replica itself."""
    with closing(connect(path)) as db:
        return {str(name): int(count) for name, count in db.execute(EXPECTED)}


def views_yaml(path: Path | str, sandbox_url: str, state: Path | str, listen: str, key: str) -> str:
    """Write the demo's `views.yaml`: five views of the replica at `path`. `key` is a PII key, `listen` the health endpoint."""
    url = f"{EMBEDDED.scheme}:///{quote(str(Path(path).absolute()))}"
    return f"""\
{heading(sandbox_url, state, listen, key, url)}
views:
  - name: users
    source: casino
    relation: crm_users
    kind: users
    cursor: dt_update
    every: 1s
  - name: users_consent
    source: casino
    relation: crm_user_consents
    kind: users
    cursor: dt_update
    every: 1s
  - name: deposits
    source: casino
    relation: crm_deposits
    kind: deposits
    cursor: dt_finalized
    key: transaction_id
    every: 500ms
  - name: withdrawals
    source: casino
    relation: crm_withdrawals
    kind: withdrawals
    cursor: dt_finalized
    key: transaction_id
    every: 1s
  - name: casino
    source: casino
    relation: crm_casino_transactions
    kind: casino_bets_and_wins
    type: {{column: tx_type, bet: BET, win: WIN}}
    cursor: id
    key: id
    every: 500ms
"""


def heading(sandbox_url: str, state: Path | str, listen: str, key: str, source_url: str) -> str:
    """What stands before the views, whatever they are read of."""
    return f"""\
version: 1
smartico:
  url: {sandbox_url}
  token: demo
state: {quoted(state)}
pii:
  mode: encrypt
  key: {key}
  properties: [user_email, user_phone]
health:
  listen: {listen}
sources:
  casino:
    url: {json.dumps(source_url)}"""


def quoted(path: Path | str) -> str:
    """Write a path as a YAML string."""
    return json.dumps(str(Path(path).absolute()), ensure_ascii=False)
