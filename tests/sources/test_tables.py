"""What `smartico-sync init` asks of every database: its tables, and the statements for views that it has not yet."""

from __future__ import annotations

import json
import re
from datetime import datetime
from decimal import Decimal

import pytest

import engines
from smartico_sync.config.models import Configuration
from smartico_sync.core.batches import encode
from smartico_sync.core.diff import nothing_known
from smartico_sync.core.pipeline import PipelineOptions
from smartico_sync.core.pipeline import prepare as events_of
from smartico_sync.proposal.document import Heading, configuration
from smartico_sync.proposal.propose import propose
from smartico_sync.proposal.samples import Samples
from smartico_sync.tracking import prepared_view

NOW_MS = 1_780_000_000_000
AT, LATER = datetime(2026, 1, 3, 10, 0, 0), datetime(2026, 1, 4, 10, 0, 0)  # noqa: DTZ001  - as columns without a zone hold it
AT_MS, LATER_MS = 1_767_434_400_000, 1_767_520_800_000
TABLES = {
    "players": (
        {"id": "integer", "brand": "text", "email": "text", "password": "text", "status": "text", "currency": "text", "registered_at": "timestamp",
         "updated_at": "timestamp"},
        [(1, "b", "a@example.com", "secret", "Active", "EUR", AT, LATER)],
    ),
    "payments": (
        {"id": "integer", "player_id": "integer", "type": "text", "status": "text", "amount": "decimal", "created_at": "timestamp",
         "completed_at": "timestamp"},
        [(7, 1, "deposit", "success", Decimal("10.5"), AT, LATER), (8, 1, "deposit", "declined", Decimal(3), AT, LATER),
         (9, 1, "withdrawal", "pending", Decimal(4), AT, None)],
    ),
    "games": ({"id": "integer", "name": "text", "provider": "text"}, [(4, "Book of Tides", "Northwind")]),
    "casino_transactions": (
        {"id": "integer", "player_id": "integer", "game_id": "integer", "type": "text", "amount": "decimal", "created_at": "timestamp"},
        [(20, 1, 4, "bet", Decimal(2), AT), (21, 1, 4, "win", Decimal(5), LATER)],
    ),
    "sport_slips": (
        {"id": "integer", "player_id": "integer", "bet_type": "text", "stake": "decimal", "payout": "decimal", "placed_at": "timestamp",
         "settled_at": "timestamp"},
        [(30, 1, "single", Decimal(10), Decimal(19), AT, LATER), (31, 1, "combo", Decimal(1), None, LATER, None)],
    ),
}  # fmt: skip
# (event, moment, payload) of each view.
EVENTS = {
    "users": [("update_profile", LATER_MS, {"core_account_status": "ACTIVE", "core_registration_date": AT_MS, "core_wallet_currency": "EUR",
                                            "user_email": "a@example.com"})],
    "deposits": [("acc_deposit_approved", AT_MS, {"acc_last_transaction_id": "7", "acc_last_deposit_date": AT_MS, "acc_last_deposit_amount": 10.5})],
    "withdrawals_requested": [("acc_withdrawal_requested", AT_MS, {"acc_last_transaction_id": "9", "acc_last_withdrawal_amount": 4,
                                                                   "acc_last_withdrawal_date": AT_MS})],
    "casino": [
        ("casino_bet", AT_MS, {"casino_last_bet_id": "20", "casino_last_bet_dt": AT_MS, "casino_last_bet_game_name": "4",
                               "casino_last_bet_game_provider": "Northwind", "casino_last_bet_amount": 2}),
        ("casino_win", LATER_MS, {"casino_last_bet_id": "21", "casino_last_bet_dt": LATER_MS, "casino_last_bet_game_name": "4",
                                  "casino_last_bet_game_provider": "Northwind", "casino_last_win_amount": 5}),
    ],
    "sport_bets_open": [
        ("sport_bet_open", AT_MS, {"sport_last_bet_id": "30", "sport_last_bet_type": "single", "sport_last_bet_amount": 10}),
        ("sport_bet_open", LATER_MS, {"sport_last_bet_id": "31", "sport_last_bet_type": "combo", "sport_last_bet_amount": 1}),
    ],
    "sport_bets_settled": [("sport_bet_settled", LATER_MS, {"sport_last_bet_id": "30", "sport_last_bet_type": "single", "sport_last_bet_amount": 10,
                                                            "sport_last_bet_win_amount": 19})],
}  # fmt: skip


# The stand-in of Oracle has none; these are its views as the manual describes them.
CATALOGUE = (
    "CREATE VIEW ALL_USERS AS SELECT '' AS USERNAME, 'Y' AS ORACLE_MAINTAINED WHERE 1 = 0",
    "CREATE VIEW ALL_VIEWS AS SELECT 'MAIN' AS OWNER, upper(name) AS VIEW_NAME FROM sqlite_master WHERE type = 'view' AND name LIKE 'smart%'",
    "CREATE VIEW ALL_TABLES AS SELECT 'MAIN' AS OWNER, upper(name) AS TABLE_NAME, 'NO' AS DROPPED, 'NO' AS NESTED FROM sqlite_master WHERE type = 'table'",
    """CREATE VIEW ALL_INDEXES AS SELECT 'MAIN' AS OWNER, i.name AS INDEX_NAME, 'MAIN' AS TABLE_OWNER, upper(t.name) AS TABLE_NAME,
     CASE i."unique" WHEN 1 THEN 'UNIQUE' ELSE 'NONUNIQUE' END AS UNIQUENESS, 'NORMAL' AS INDEX_TYPE, 'VALID' AS STATUS
     FROM sqlite_master AS t, pragma_index_list(t.name) AS i WHERE t.type = 'table'""",
    """CREATE VIEW ALL_IND_COLUMNS AS SELECT 'MAIN' AS INDEX_OWNER, i.name AS INDEX_NAME, upper(c.name) AS COLUMN_NAME, c.seqno AS COLUMN_POSITION
     FROM sqlite_master AS t, pragma_index_list(t.name) AS i, pragma_index_info(i.name) AS c WHERE t.type = 'table'""",
    """CREATE VIEW ALL_CONSTRAINTS AS SELECT '' AS OWNER, '' AS TABLE_NAME, '' AS CONSTRAINT_NAME, '' AS CONSTRAINT_TYPE, '' AS INDEX_NAME,
     '' AS R_OWNER, '' AS R_CONSTRAINT_NAME WHERE 1 = 0""",
    "CREATE VIEW ALL_CONS_COLUMNS AS SELECT '' AS OWNER, '' AS TABLE_NAME, '' AS CONSTRAINT_NAME, '' AS COLUMN_NAME, 1 AS POSITION WHERE 1 = 0",
)
WITHOUT_INDEXES = {
    "clickhouse": "ADD PROJECTION",
    "snowflake": "CLUSTER BY",
    "redshift": "SORTKEY",
    "bigquery": "PARTITION BY",
}


@pytest.fixture(params=engines.parameters())
def casino(request):
    """Five tables of a casino without a key or a reference that anybody declared."""
    for engine in engines.serve(request.param, request):
        if engine.name == "oracle" and engines.stand_in("oracle"):
            engine.execute(*CATALOGUE)
        if engine.name in ("mariadb", "mysql", "mysql56"):
            engine.types = {**engine.types, "text": "VARCHAR(60)"}  # the one of the contract is no part of an index
        for name, (columns, rows) in TABLES.items():
            engine.table(name, columns, rows)
        yield engine


def run(casino, statements):
    """As the owner would; MongoDB's shell is spoken here in the driver's words."""
    for statement in statements:
        if statement.startswith("--"):
            continue  # advice
        if casino.name != "mongodb":
            # What stands in for Oracle takes no schema there.
            casino.execute(statement.rstrip(";").replace(" ON main.", " ON "))
        elif found := re.fullmatch(r'db\.createView\("(\w+)", "(\w+)", (.*)\)', statement, re.DOTALL):
            casino.database.command("create", found[1], viewOn=found[2], pipeline=json.loads(found[3]))
        elif found := re.fullmatch(r"db\.(\w+)\.createIndex\((.*)\)", statement):
            casino.index(found[1], *json.loads(found[2]))


def wire(source, loaded, view):
    """What the daemon would send of it."""
    prepared = prepared_view.prepare(loaded, view, source)
    with source.reading(prepared.relation) as reading:
        page = reading.page(None, 100)
    done = events_of(
        page, PipelineOptions(mapping=prepared.mapping, secret=bytes(32), park_ms=0), lambda _: nothing_known(), NOW_MS
    )
    assert done.rejects.height == 0, view.name
    events = json.loads(encode(done.send))
    assert {(event["ext_brand_id"], event["user_ext_id"]) for event in events} == {("b", "1")}
    return [(event["event_type"], event["event_date"], event["payload"]) for event in events]


def test_every_database_is_asked_and_told_in_its_own_words(casino, tmp_path, load_text):
    """Tables are found by their names, keys and joins guessed where nobody declares them; the statements run as they are, and
    the views become the same events everywhere."""
    source = casino.source()
    proposal = propose(source.tables(), Samples(source).values, source.cursor_names)
    assert {each.recipe.name for each in proposal.views} >= set(EVENTS)
    run(casino, [made for each in proposal.views for made in source.ddl((each.plan,) if each.plan else (), ())])
    loaded = load_text(configuration(Heading("http://127.0.0.1:9/v2", casino.url, "db"), proposal))
    found = {view.name: wire(source, loaded, view) for view in loaded.views if view.name in EVENTS}
    assert found == EVENTS


def test_indexes_are_written_in_the_engines_words_and_asked_for_once(casino):
    """Each table of a proposal has its statement; where the engine has no indexes a comment says so, and what is there instead.
    Once they are made, nothing is asked for any more."""
    source = casino.source()
    proposal = propose(source.tables(), Samples(source).values, source.cursor_names)
    plans = {each.index.table: each.index for each in proposal.views if each.index}
    assert len(plans) == 4
    statements = source.ddl((), tuple(plans.values()))
    for plan, statement in zip(plans.values(), statements, strict=True):
        assert plan.table.rpartition(".")[2] in statement
        assert plan.columns[0] in statement
        if casino.name in WITHOUT_INDEXES:
            assert all(line.startswith("-- ") for line in statement.splitlines())
            assert WITHOUT_INDEXES[casino.name] in statement
    run(casino, statements)
    if casino.name in {*WITHOUT_INDEXES, "mongodb"}:  # which makes an index once, however often it is told
        return
    known = {each.name: each.structure for each in source.tables()}
    assert all(any(each[0] == plan.columns[0] for each in known[plan.table].indexes) for plan in plans.values())


@pytest.fixture
def load_text(tmp_path):
    """Load a configuration whose secrets do not matter."""
    from smartico_sync.config.load import load
    from smartico_sync.pii.keys import new_key

    def loaded(text) -> Configuration:
        path = tmp_path / "views.yaml"
        path.write_text(text.replace("mode: encrypt", "mode: plain"), "utf-8")
        return load(path, {"SMARTICO_TOKEN": "t", "SYNC_PII_KEY": new_key()})

    return loaded
