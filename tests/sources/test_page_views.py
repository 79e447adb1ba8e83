"""The statements that the pages about databases teach: each is run, and each view is one that the daemon takes."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import yaml
from markdown_it import MarkdownIt

import engines
from smartico_sync.config.models import Configuration
from smartico_sync.config.reference import DATABASES
from smartico_sync.core.batches import encode
from smartico_sync.core.diff import nothing_known
from smartico_sync.core.pipeline import PipelineOptions
from smartico_sync.core.pipeline import prepare as events_of
from smartico_sync.tracking import prepared_view

NOW = datetime.now(UTC).replace(microsecond=0)  # one page's table forgets rows of last quarter
NOW_MS = round(NOW.timestamp() * 1000)
AT = (NOW - timedelta(hours=1)).replace(tzinfo=None)
PAGES = (
    "postgresql",
    "mariadb",
    "mysql",
    "oracle",
    "redshift",
    "sqlite",
    "mssql",
    "snowflake",
    "bigquery",
    "clickhouse",
)
REAL = frozenset({"postgresql", "mariadb", "mysql"})
HEAVY = frozenset({"mssql", "snowflake", "bigquery", "clickhouse"})

# The tables beneath the pages' views: {column: family}, and a row of each.
PLAYERS = {
    "id": "integer", "brand": "text", "status": "text", "registered_at": "timestamp", "email": "text", "phone": "text", "country": "text",
    "language": "text", "currency": "text", "touched_at": "timestamp", "loaded_at": "timestamp",
}  # fmt: skip
PAYMENTS = {
    "id": "integer", "brand": "text", "player_id": "integer", "kind": "text", "status": "text", "amount": "decimal", "method": "text",
    "created_at": "timestamp", "finalized_at": "timestamp", "loaded_at": "timestamp",
}  # fmt: skip
TRANSACTIONS = {
    "id": "integer", "round_id": "integer", "brand": "text", "player_id": "integer", "kind": "text", "game_id": "integer",
    "amount": "decimal", "win": "decimal", "created_at": "timestamp", "committed_at": "timestamp", "loaded_at": "timestamp",
}  # fmt: skip
GAMES = {"id": "integer", "name": "text", "provider": "text"}
BETS = {
    "id": "integer", "brand": "text", "player_id": "integer", "kind": "text", "stake": "decimal", "won": "decimal",
    "placed_at": "timestamp", "settled_at": "timestamp", "loaded_at": "timestamp",
}  # fmt: skip
TABLES = {
    "players": (PLAYERS, (1, "b", "ACTIVE", AT, "a@example.com", "+356", "MT", "EN", "EUR", AT, AT)),
    "payments": (PAYMENTS, (7, "b", 1, "DEPOSIT", "FINAL", Decimal("10.5"), "card", AT, AT, AT)),
    "transactions": (TRANSACTIONS, (9, 3, "b", 1, "BET", 4, Decimal(2), None, AT, AT, AT)),
    "games": (GAMES, (4, "Book of Tides", "Northwind")),
    "bets": (BETS, (5, "b", 1, "combo", Decimal(10), Decimal(36), AT, AT, AT)),
}  # fmt: skip
KINDS = {
    "user_profile": "users",
    "deposits": "deposits",
    "casino_transactions": "casino_bets_and_wins",
    "sport_bets": "sport_bets_settled",
}
CURSORS = {
    "users": ("dt_update",),
    "deposits": ("dt_finalized",),
    "casino_bets_and_wins": ("dt", "id"),
    "sport_bets_settled": ("dt", "settlement_date"),
}


def blocks(page):
    """The SQL of a page, each statement by itself. What MySQL's page says holds for MariaDB, too."""
    tokens = MarkdownIt("commonmark").parse((DATABASES / f"{page}.md").read_text("utf-8"))
    own = [
        each for token in tokens if token.type == "fence" and token.info == "sql" for each in statements(token.content)
    ]
    if page != "mariadb":
        return own
    told = {each.partition(" AS")[0] for each in own} | {each.partition("(")[0] for each in own}
    more = (each for each in blocks("mysql") if re.match(r"CREATE (?:VIEW|INDEX)", each))
    return [*own, *(each for each in more if not told & {each.partition(" AS")[0], each.partition("(")[0]})]


def statements(text):
    """A block's statements without comments."""
    lines = [re.sub(r"\s*--.*", "", line) for line in text.splitlines()]
    return [each.strip() for each in re.split(r"(?:;|(?<=\n)GO)(?:\n|$)", "\n".join(lines) + "\n") if each.strip()]


# What a stand-in does not know of what its database does; the statements stay untried where one of these words is in them.
UNKNOWN = {
    "oracle": r"^GRANT|^CREATE USER",
    "redshift": r"^$",
    "mysql": r"REPLICATION CLIENT",
    "snowflake": r"WAREHOUSE|RESOURCE MONITOR|ROLE|CREATE USER|CLUSTER BY",
    "bigquery": r"INFORMATION_SCHEMA",
    "clickhouse": r"SETTINGS PROFILE|^GRANT",
    "mssql": r"^USE|ALLOW_SNAPSHOT_ISOLATION|@n",
}
WORDS = {"oracle": ((r" ONLINE$", ""),), "clickhouse": ((r" SQL SECURITY DEFINER", ""),)}
GAMES_OF_CLICKHOUSE = (
    "CREATE DICTIONARY games (id UInt64, name String DEFAULT 'Book of Tides', provider String DEFAULT 'Northwind')"
    " PRIMARY KEY id SOURCE(NULL()) LAYOUT(FLAT()) LIFETIME(0)"
)
ORDER = (r"CREATE TABLE", r"CREATE (?:MATERIALIZED )?VIEW", r"(?!GRANT|CREATE (?:ROLE|USER|LOGIN)|ALTER ROLE)", r"")
READER = r"\b(?:smartico_)?reader\b"


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] if name in HEAVY else []) for name in PAGES])
def database(request):
    """The tables of the pages, empty."""
    for engine in engines.serve(request.param, request):
        if engine.name in ("mariadb", "mysql"):
            engine.types = {**engine.types, "text": "VARCHAR(60)"}  # the one of the contract is no part of an index
        if engine.name == "clickhouse":
            plain = {family: word.removeprefix("Nullable(").removesuffix(")") for family, word in engine.types.items()}
            engine.types = {**plain, "decimal": "Decimal(18, 2)", "timestamp": "DateTime64(6)"}
        for name, (columns, _) in TABLES.items():
            if engine.name == "clickhouse" and name == "games":
                engine.execute(GAMES_OF_CLICKHOUSE)
                continue
            engine.table(name, columns)
            if engine.name in REAL:
                engine.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (id)")
        yield engine


@pytest.fixture
def reader(database, worker_id):
    """A login of the test's own, which goes with it."""
    name = f"taught_{worker_id}"
    yield name
    if database.name == "postgresql":
        database.execute(f"DROP OWNED BY {name}", f"DROP ROLE {name}")
    elif database.name in ("mariadb", "mysql"):
        database.execute(f"DROP USER {name}@'10.0.0.%'")


def here(database, statement, reader):
    """The statement in the test's own place: its only schema holds the tables and the views."""
    place = database.url.partition("?")[0].rpartition("/")[2]
    for pattern, instead in (
        *WORDS.get(database.name, ()), (r"\b(?:casino\.(?:raw|crm)|casino|crm|sport|dbo)\.(?=\w)", ""),
        (r"(\b(?:FROM|ON|TABLE)) sport_bets\b", r"\1 bets"), (rf"\bCREATE TABLE ({'|'.join(TABLES)})\b", r"CREATE TABLE taught_\1"),
        (r"\bSCHEMA crm\b", "SCHEMA public"), (r"\bDATABASE casino\b", f"DATABASE {place}"), (READER, reader), ("…", "x"),
    ):  # fmt: skip
        statement = re.sub(pattern, instead, statement)
    return statement


def test_what_a_page_teaches_works(database, reader):
    """Each view, index and grant of a page is made; each view is taken for its kind as it is, its row becomes an event, and its
    poll finds the cursor by the index that the page teaches."""
    taught = [here(database, each, reader) for each in blocks(database.name)]
    known = [each for each in taught if not re.search(UNKNOWN.get(database.name, r"^$"), each)]
    for each in sorted(
        known, key=lambda each: next(place for place, begins in enumerate(ORDER) if re.match(begins, each))
    ):
        database.execute(each)
    for name, (_, row) in TABLES.items():
        if (database.name, name) != ("clickhouse", "games"):
            database.insert(name, [row])
    source = database.source()
    made = re.findall(r"CREATE VIEW (\w+)", "\n".join(taught))
    assert made
    for name in made:
        prepared = taken(database, source, name, cursor_of(database, source, name))
        if not engines.stand_in(database.name):
            assert source.plan(prepared.relation, None, 1000).uses_index is not False, name


def cursor_of(database, source, name):
    """The cursor that the view was made for."""
    kind = KINDS[name]
    relation = prepared_view.relation_of(configured(database, name, kind, "user_ext_id").views[0], "UTC")
    columns = {column.name for column in source.describe(relation).columns}
    return next(each for each in CURSORS[kind] if each in columns)


def configured(database, name, kind, cursor):
    view = {"name": name, "source": "db", "relation": name, "kind": kind, "cursor": cursor}
    if kind == "casino_bets_and_wins":
        view["type"] = {"column": "tx_type", "bet": "BET", "win": "WIN"}
    return Configuration.model_validate(
        {
            "version": 1,
            "smartico": {"url": "http://x/y", "token": "t"},
            "pii": {"mode": "drop"},
            "sources": {"db": {"url": database.url}},
            "views": [view],
        }
    )


DOCUMENTS = {
    "players": {"_id": 1, "brand": "b", "status": "ACTIVE", "registeredAt": AT, "profile": {"email": "a@example.com", "phone": "+356"},
                "country": "MT", "language": "EN", "currency": "EUR", "updatedAt": AT},
    "payments": {"_id": 7, "brand": "b", "playerId": 1, "kind": "DEPOSIT", "status": "FINAL", "amount": 10.5, "method": "card", "createdAt": AT,
                 "finalizedAt": AT},
    "transactions": {"_id": 9, "brand": "b", "playerId": 1, "kind": "BET", "gameId": 4, "amount": 2.0, "win": None, "createdAt": AT, "dt": AT},
    "games": {"_id": 4, "name": "Book of Tides", "provider": "Northwind"},
    "sportBets": {"_id": 5, "brand": "b", "playerId": 1, "kind": "combo", "stake": 10.0, "won": 36.0, "placedAt": AT, "settledAt": AT, "dt": AT},
}  # fmt: skip
OF_MONGODB = {"users": ("updatedAt",), "deposits": ("finalizedAt",)}


def test_what_the_page_of_mongodb_teaches_works(request):
    """Each view and index of the page is made; each view is taken for its kind, and its document becomes an event."""
    text = (DATABASES / "mongodb.md").read_text("utf-8")
    views = re.findall(r'db\.createView\("(\w+)", "(\w+)", (\[.*?\])\)\n', text, re.DOTALL)
    indexes = re.findall(r"db\.(\w+)\.createIndex\(({.*?})(?:, .*)?\)\n", text)
    assert (len(views), len(indexes)) == (4, 4)
    for database in engines.serve("mongodb", request):
        for name, document in DOCUMENTS.items():
            database.database[name].insert_one(document)
        for name, of, pipeline in views:  # as YAML has it: a shell's names stand in no quotes
            database.database.command("create", name, viewOn=of, pipeline=yaml.safe_load(pipeline))
        for collection, columns in indexes:
            database.index(collection, *yaml.safe_load(columns))
        source = database.source()
        for name, _, _ in views:
            taken(database, source, name, next(iter(OF_MONGODB.get(KINDS[name], ("dt",)))))


def taken(database, source, name, cursor):
    """What the view's only row becomes."""
    configuration = configured(database, name, KINDS[name], cursor)
    prepared = prepared_view.prepare(configuration, configuration.views[0], source)
    with source.reading(prepared.relation) as reading:
        page = reading.page(None, 10)
    done = events_of(
        page, PipelineOptions(mapping=prepared.mapping, secret=bytes(32), park_ms=0), lambda _: nothing_known(), NOW_MS
    )
    assert (len(json.loads(encode(done.send))), done.rejects.height, dict(done.invalid)) == (1, 0, {}), name
    return prepared
