"""The benchmark's tables, filled inside the database."""

from __future__ import annotations

__all__ = ["CASINO", "USERS", "casino_sql", "users_sql"]

CASINO = "casino_transactions"
USERS = "user_profile"


def casino_sql(rows: int) -> list[str]:
    """Statements that make a 15-column casino view of that many rows with an incrementing id."""
    return [
        f"""CREATE TABLE casino_base AS
        SELECT g AS id, 'brand' || g % 3 AS ext_brand_id, (g * 7919::bigint) % 50000 AS user_ext_id,
          CASE WHEN g % 3 = 0 THEN 'WIN' ELSE 'BET' END AS tx_type,
          'r' || g / 2 AS bet_id, timestamptz '2026-01-01' + g * interval '37 milliseconds' AS bet_date,
          (g % 10000)::numeric(18,2) / 100 AS bet_amount, ((g % 10000) / 200.0)::numeric(18,4) AS bet_amount_real,
          0.10::numeric(18,2) AS bet_amount_bonus,
          CASE WHEN g % 3 = 0 THEN (g % 5000)::numeric(18,2) / 10 END AS win_amount,
          CASE WHEN g % 3 = 0 THEN 1.25::numeric(18,2) END AS win_amount_real,
          'Book of ' || g % 300 AS game_name, 'game-' || g % 300 AS game_id, 'slots' AS game_category,
          'provider ' || g % 20 AS game_provider
        FROM generate_series(1, {rows}) AS g""",
        "ALTER TABLE casino_base ADD PRIMARY KEY (id)",
        f"CREATE VIEW {CASINO} AS SELECT * FROM casino_base",
        "ANALYZE casino_base",
    ]


def users_sql(rows: int) -> list[str]:
    """Statements that make a users view of that many rows, tracked by `dt_update`."""
    return [
        f"""CREATE TABLE user_base AS
        SELECT 'brand' || g % 3 AS ext_brand_id, g AS user_ext_id,
          timestamptz '2026-01-01' + g * interval '53 milliseconds' AS dt_update,
          'ACTIVE' AS core_account_status, timestamptz '2020-01-01' + g * interval '1 minute' AS core_registration_date,
          'EN' AS core_user_language, 'EUR' AS core_wallet_currency, 'player' || g AS core_username,
          date '1970-01-01' + (g % 9000)::int AS user_birthdate, 'MT' AS user_country,
          'player' || g || '@example.com' AS user_email, 'First' || g % 500 AS user_first_name,
          'Last' || g % 700 AS user_last_name, '+35699' || lpad((g % 1000000)::text, 6, '0') AS user_phone,
          g % 2 = 0 AS core_is_email_disabled_by_platform
        FROM generate_series(1, {rows}) AS g""",
        "CREATE INDEX ON user_base (dt_update, ext_brand_id, user_ext_id)",
        f"CREATE VIEW {USERS} AS SELECT * FROM user_base",
        "ANALYZE user_base",
    ]
