"""Tables as operators have them, for every kind: what a column is called there, what it is in each database, what it holds.

A column's word (`flag`, `money`, `moment` …) says what it means; TYPES says how each database declares that, and `literal` how it
writes a value of it. The wire must be the same whatever the database.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["ENGINES", "TABLES", "TYPES", "Table", "literal"]

ENGINES = ("postgresql", "mariadb", "mysql", "mysql56", "sqlite")
MYSQL = {
    "number": "BIGINT", "double": "DOUBLE", "name": "VARCHAR(60)", "code": "CHAR(6)", "word": "VARCHAR(20)", "status": "ENUM('Active','Blocked')",
    "flag": "BOOLEAN", "flag1": "TINYINT(1)", "letter": "CHAR(1)", "bit": "BIT(1)", "small": "SMALLINT", "said": "ENUM('on','off')",
    "money": "DECIMAL(18,2)", "padded": "DECIMAL(10,2) ZEROFILL", "cents": "BIGINT", "amount": "VARCHAR(20)",
    "moment": "TIMESTAMP(6) NULL", "wall": "DATETIME(3)", "seconds": "INT", "millis": "BIGINT", "text": "VARCHAR(40)", "day": "DATE",
    "birth": "DATETIME", "array": "JSON", "list": "VARCHAR(60)", "json": "JSON", "tier": "TINYINT(1)",
}  # fmt: skip
TYPES = {
    "postgresql": {
        "number": "bigint", "double": "double precision", "name": "varchar(60)", "code": "char(6)", "word": "text", "status": "account_status",
        "flag": "boolean", "flag1": "smallint", "letter": "char(1)", "bit": "bit(1)", "small": "numeric(1)", "said": "varchar(3)",
        "money": "numeric(18,2)", "padded": "numeric", "cents": "integer", "amount": "text",
        "moment": "timestamptz", "wall": "timestamp", "seconds": "integer", "millis": "bigint", "text": "text", "day": "date",
        "birth": "timestamp", "array": "text[]", "list": "text", "json": "jsonb", "tier": "smallint",
    },
    "mariadb": MYSQL,
    "mysql": MYSQL,
    # It has no JSON: operators write it into texts.
    "mysql56": {**MYSQL, "array": "TEXT", "json": "LONGTEXT", "moment": "TIMESTAMP(6) NULL DEFAULT NULL"},
    "sqlite": {
        "number": "INTEGER", "double": "REAL", "name": "TEXT", "code": "CHAR(6)", "word": "TEXT", "status": "TEXT",
        "flag": "BOOLEAN", "flag1": "TINYINT(1)", "letter": "CHAR(1)", "bit": "INTEGER", "small": "INTEGER", "said": "TEXT",
        "money": "NUMERIC", "padded": "", "cents": "INTEGER", "amount": "TEXT",
        "moment": "TIMESTAMP", "wall": "DATETIME", "seconds": "INTEGER", "millis": "INTEGER", "text": "TEXT", "day": "DATE",
        "birth": "TEXT", "array": "JSON", "list": "TEXT", "json": "JSON", "tier": "INTEGER",
    },
}  # fmt: skip


def literal(engine, word, value):
    """A value as the database writes it."""
    if value is None:
        return "NULL"
    if word == "bit":
        return f"{'' if engine == 'sqlite' else 'B'}'{value}'" if engine != "sqlite" else str(value)
    if word == "flag" and engine == "postgresql":
        return "TRUE" if value else "FALSE"
    if word == "array" and engine == "postgresql":
        return (
            "ARRAY["
            + ", ".join("NULL" if item == "null" else item.replace('"', "'") for item in value.strip("[]").split(", "))
            + "]::text[]"
        )
    if word == "moment" and engine == "postgresql":
        return f"'{value}+00'"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


@dataclass(frozen=True)
class Table:
    """`columns`: {name: word}; `rows` of their values; `view`: what the configuration adds."""

    columns: dict[str, str]
    rows: tuple[tuple, ...]
    view: dict[str, object] = field(default_factory=dict)


AT, LATER = "2026-01-03 10:00:00.123", "2026-01-05 10:00:00.250"
WHO = {"brand": "name", "player": "double"}
CALLED = {"brand": "ext_brand_id", "player": "user_ext_id"}


def table(declared, /, *rows, **view):
    """A table of transactions: an id that grows, whose it is, and the rest."""
    named = {"id": "number", **WHO, **declared}
    full = tuple((number, "spacex", 7.0, *row) for number, row in enumerate(rows, 1))
    return Table(named, full, {"cursor": "id", **view, "columns": CALLED | view.get("columns", {})})


TABLES = {
    "users": Table(
        {
            "dt_update": "moment", "ext_brand_id": "name", "user_ext_id": "number", "core_account_status": "status",
            "core_registration_date": "wall", "core_user_language": "code", "core_wallet_currency": "code", "user_birthdate": "birth",
            "core_affiliate_id": "text", "core_is_email_disabled_by_platform": "flag", "core_is_sms_disabled_by_platform": "letter",
            "core_is_push_disabled_by_platform": "bit", "core_is_ivr_disabled": "small", "core_is_whatsapp_disabled": "said",
            "core_is_test_account": "flag1", "core_external_markers": "array", "core_external_markers2": "list", "core_external_segment": "json",
            "core_ftd_date": "seconds", "user_country": "code", "core_user_gender": "word", "tier": "tier", "points": "padded",
        },
        (
            (AT, "spacex", 1, "Active", "2025-01-01 00:00:00", "en-GB", "eur", "1990-05-01 13:00:00", "12", 1, "Y", 1, 1, "on", 1,
             '["b", null, "a", "b"]', "b, a", '["VIP"]', 1767261600, "mt", "male", 3, 5),
            (LATER, "spacex", 2, "Blocked", "2025-01-01 00:00:00", "EN", "USDT", None, "john24", 0, "N", 0, 0, "off", 0,
             "[]", "", "[]", None, "MT", "F", 1, 5.25),
            (LATER, "spacex", 3, None, None, None, None, None, "", None, None, None, None, None, None, None, None, None, None, "", None, None, None),
        ),
        {"cursor": "dt_update", "columns": {"core_external_markers2": {"split": ","}, "tier": {"type": "number"}}},
    ),
    "deposits": table(
        {"transaction_id": "name", "transaction_date": "wall", "deposit_amount": "money", "deposit_method": "word", "deposit_code": "code",
         "real_balance": "padded", "bonus_balance": "amount", "is_rollback": "letter", "internal": "json"},
        ("D1", AT, 10.5, "card", "W10", 5, "1,50", "N", "{}"),
        ("D2", AT, 7, None, None, 5.25, "0.00", None, None),
        ("D3", AT, None, "card", None, None, None, None, None),
    ),
    "deposits_failed": table({"transaction_id": "number", "transaction_date": "seconds", "amount": "cents", "method": "word"},
                             (77, 1767261600, 1050, "card"), (78, 1767261601, 5, None), columns={"amount": {"property": "deposit_amount", "scale": 2}}),
    "withdrawals": table({"transaction_id": "name", "transaction_date": "wall", "paid_at": "moment", "amount": "money"}, ("W1", AT, LATER, 20)),
    "withdrawals_requested": table({"transaction_id": "name", "transaction_date": "millis", "amount": "amount"}, ("W1", 1767434400123, "020.50")),
    "payments": table(
        {"c_txn_type": "small", "requested_at": "wall", "completed_at": "wall", "amount": "cents", "method": "word", "cancelled_at": "wall"},
        (1, AT, LATER, 1000, "card", None), (2, AT, LATER, 2000, "bank", None), (3, AT, None, 2000, "bank", None),
        (4, AT, LATER, 500, "card", None), (5, AT, None, 500, "card", LATER), (6, AT, None, 700, "bank", LATER), (9, AT, LATER, 1, None, None),
        type={"column": "c_txn_type", "deposit": 1, "withdrawal": 2, "withdrawal_requested": 3, "deposit_failed": 4, "deposit_cancelled": 5,
              "withdrawal_cancelled": 6, "other": "ignore"},
        columns={"amount": {"scale": 2}, "requested_at": None},
    ),
    "casino_bets": table(
        {"bet_id": "name", "bet_date": "moment", "amount": "money", "amount_real": "money", "amount_bonus": "money", "game_id": "number",
         "game_name": "word", "game_category": "word", "game_provider": "word", "is_free_bet": "bit", "game_vendor": "word"},
        ("B1", AT, 1, 0.75, 0.25, 44, "Book", "slots", "NetEnt", 0, None), ("B2", AT, 2, None, None, None, "Book", None, None, 1, "x")),
    "casino_wins": table({"bet_id": "name", "bet_date": "wall", "win_date": "wall", "win_amount": "money", "game_name": "word"},
                         ("B1", AT, LATER, 30, "Book")),
    "casino_bets_and_wins": table(
        {"dt": "wall", "c_txn_type": "number", "round_id": "name", "amount": "padded", "game_id": "name", "is_test": "flag1"},
        (AT, 27, "r1", 10, "g", 0), (AT, 45, "r1", 20.5, "g", 0), (AT, 80, "r2", 5, "g", None), (AT, 72, "r1", 10, "g", 0), (AT, 77, "r1", 20, "g", 0),
        (AT, 1, "r3", 9, "g", 0), (AT, 27, "r4", 9, "g", 1),
        type={"column": "c_txn_type", "bet": [27], "win": [45, 65, 80], "bet_rollback": 72, "win_rollback": 77, "other": "ignore"},
        where={"is_test": "false"},
    ),
    "casino_rounds": table({"bet_id": "name", "bet_date": "wall", "bet_amount": "money", "win_amount": "money", "game_name": "word"},
                           ("R1", AT, 1, 2.5, "Book"), ("R2", AT, 1, None, "Book")),
    "sport_bets_open": table({"slip_id": "number", "placed_at": "wall", "stake": "money", "bet_type": "word", "total_odds": "amount", "is_free_bet": "flag"},
                             (9, AT, 5, "combo", "2.50", 1)),
    "sport_bets_settled": table(
        {"coupon_id": "double", "bet_date": "wall", "settled_at": "wall", "stake": "money", "payout": "money", "bet_state": "word", "is_rollback": "bit",
         "selection_count": "double", "real_balance": "money"},
        (9.0, AT, LATER, 5, 12.5, "WON", 0, 3.0, 100), (9.0, AT, LATER, 5, 0, "LOST", 1, None, None)),
    "sport_bets": table({"state": "code", "ticket_id": "name", "bet_date": "wall", "settlement_date": "wall", "bet_amount": "money", "win_amount": "money"},
                        ("OPEN", "T1", AT, None, 5, None), ("SETT", "T1", AT, LATER, 5, 9), ("CASH", "T2", AT, LATER, 5, 4), ("BACK", "T1", AT, LATER, 5, 9),
                        type={"column": "state", "open": "OPEN", "settled": "SETT", "cashout": "CASH", "rollback": "BACK"}),
    "sport_selections_open": table(
        {"bet_id": "name", "leg_id": "number", "bet_date": "wall", "odds": "amount", "sport_name": "word", "championship": "word", "market": "word",
         "selection_name": "word", "home_team": "word", "away_team": "word", "event_id": "number"},
        ("S1", 1, AT, "1.90", "Football", "Serie A", "1X2", "1", "Inter", "Roma", 55)),
    "sport_selections_settled": table({"bet_id": "name", "selection_id": "name", "settlement_date": "moment", "leg_status": "word"},
                                      ("S1", "L1", LATER, "WON")),
    "sport_selections": table({"settled": "flag", "bet_id": "name", "selection_id": "name", "bet_date": "wall", "settlement_date": "wall"},
                              (0, "S1", "L1", AT, None), (1, "S1", "L1", AT, LATER),
                              type={"column": "settled", "open": "false", "settled": "true"}),
    "bonuses": table(
        {"state": "word", "user_bonus_id": "number", "bonus_id": "number", "bonus_code": "word", "issued_at": "wall", "completed_at": "wall",
         "cancelled_at": "wall", "amount": "money"},
        ("issued", 5, 1, "W", AT, None, None, 10), ("completed", 5, 1, "W", AT, LATER, None, 10), ("expired", 5, 1, "W", AT, None, LATER, 10),
        type={"column": "state", "issued": "issued", "completed": "completed", "cancelled": ["cancelled", "expired"]},
    ),
    "lottery_ticket": table({"ticket_id": "number", "lottery_id": "number", "lottery_name": "word", "draw_id": "number", "draw_date": "day",
                             "amount": "money", "lines_count": "number", "purchase_date": "wall", "note": "word"},
                            (1, 2, "EuroMillions", 3, "2026-01-05", 2.5, 5, AT, "n")),
    "lottery_settlement": table({"ticket_id": "name", "draw_id": "name", "amount": "money", "is_winning": "letter", "settled_at": "wall"},
                                ("t", "d", 0, "N", LATER)),
    "trade_open": table({"position_id": "double", "asset_id": "name", "asset_category": "word", "direction": "word", "volume": "amount", "open_price": "amount",
                         "opened_at": "millis"}, (1.0, "EURUSD", "fx", "buy", "1.5", "1.08412", 1767434400123)),
    "trade_close": table({"position_id": "double", "close_price": "amount", "profit": "money", "closed_at": "wall"}, (1.0, "1.09", -3, LATER)),
    "retail_purchase": table({"order_id": "number", "amount": "cents", "currency": "code", "items_count": "number", "store": "word", "purchase_date": "wall"},
                             (1, 1999, "EUR", 3, "Sliema", AT), columns={"amount": {"scale": 2}}),
    "login": table({"login_id": "number", "at": "wall", "device": "word", "platform": "word", "country": "code"}, (1, AT, "phone", "ios", "MT")),
    "game_session": table({"session_id": "name", "started": "wall", "ended": "wall", "game_id": "number", "rounds": "number", "bet_amount": "money",
                           "win_amount": "money"}, ("s", AT, LATER, 44, 10, 5, 4.5)),
    "custom": table({"happened": "wall", "vip": "flag", "n": "number", "price": "money", "extra": "json", "born": "day", "tags": "list"},
                    (AT, 1, 5, 2.5, "[2, 1]", "1990-05-01", "b|a"), (AT, None, None, None, None, None, None),
                    event_type="something", event_date="happened", key="id", columns={"tags": {"split": "|", "type": "array"}, "extra": {"type": "array"}}),
}  # fmt: skip
