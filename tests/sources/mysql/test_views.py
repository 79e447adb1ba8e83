"""MySQL's and MariaDB's views: what breaks them, and what their plans say."""

from __future__ import annotations

import pytest

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import ViewBroken

BETS = Relation("bets", "id", ("id",), relation="bets")


def test_two_columns_of_one_name_are_refused(engine):
    """A query whose columns cannot be told apart is broken, and says which."""
    with pytest.raises(ViewBroken, match="dt"):
        engine.source().describe(Relation("v", "dt", (), query="SELECT 1 AS dt, 2 AS dt"))


def test_a_column_dropped_later_is_named(engine):
    """A view that loses a column after describe(): ViewBroken that names it, whoever asks."""
    engine.execute("CREATE TABLE bets (id INT, amount INT, amount_real INT)")
    source = engine.source()
    described = source.describe(BETS)
    engine.execute("ALTER TABLE bets DROP COLUMN amount")
    with pytest.raises(ViewBroken, match="'amount'") as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "amount_real" in broken.value.hint
    with pytest.raises(ViewBroken, match="'amount'") as broken:
        source.plan(described, None, 5)
    assert "amount_real" in broken.value.hint


def test_a_view_that_lost_its_table_is_broken(engine):
    """A view over a table that is gone: ViewBroken, and what to do."""
    engine.execute("CREATE TABLE raw (id INT)", "CREATE VIEW bets AS SELECT id FROM raw", "DROP TABLE raw")
    with pytest.raises(ViewBroken) as broken:
        engine.source().describe(BETS)
    assert broken.value.hint


def test_a_view_that_fails_for_a_row_shows_no_value(engine):
    """The server's message quotes what failed; ours does not."""
    engine.execute(
        "CREATE TABLE raw (id INT, secret BIGINT UNSIGNED)", "INSERT INTO raw VALUES (1, 9203344711)",
        "CREATE VIEW bets AS SELECT id, (SELECT secret FROM raw r WHERE r.id <= b.id) + (SELECT 1 UNION SELECT 2) AS n FROM raw b",
    )  # fmt: skip
    source = engine.source()
    described = source.describe(BETS)
    with pytest.raises(ViewBroken) as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "9203344711" not in broken.value.message + broken.value.hint


def test_statements_name_their_view(engine):
    """The server's list of processes shows which view costs what."""
    engine.execute("CREATE TABLE bets (id INT)")
    source = engine.source()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        assert "/* smartico-sync view=bets */" in reading.poll_statement(None, 5)[0].text


def test_a_view_alone_may_be_read_and_judged(real_engine, stranger, configured):
    """A user without SHOW VIEW may not see the plan: the rows that the server touched for a page tell instead."""
    real_engine.execute(
        "CREATE TABLE raw (uid INT PRIMARY KEY, touched DATETIME(6), note INT)",
        f"INSERT INTO raw SELECT seq, '2024-01-01' + INTERVAL seq SECOND, seq % 7 FROM {real_engine.numbers(3000)}",
        "CREATE VIEW bets AS SELECT uid AS id, touched AS moved, note FROM raw",
    )
    source = configured(stranger("SELECT ON bets"))
    described = source.describe(Relation("bets", "moved", ("id",), relation="bets"))
    plan = source.plan(described, None, 10)
    assert plan.uses_index is False
    assert "SHOW VIEW" in plan.text
    assert "(moved, id)" in plan.advice
    real_engine.execute("CREATE INDEX raw_touched ON raw (touched, uid)")
    after = Position("2024-01-01 00:01:00.000000", ("60",))
    assert source.plan(described, after, 10).uses_index is True
    real_engine.execute("DROP INDEX raw_touched ON raw", "DELETE FROM raw WHERE uid > 100")
    assert source.plan(described, None, 10).uses_index is None


def test_a_column_that_a_view_shows_twice_is_indexed_once(real_engine):
    """Cursor and key may be one column under two names: the advice can be run all the same."""
    real_engine.execute(
        "CREATE TABLE slips (id INT PRIMARY KEY, settled DATETIME)",
        "CREATE VIEW bets AS SELECT id, settled AS dt, settled AS settlement_date FROM slips",
        f"INSERT INTO slips SELECT seq, NOW() FROM {real_engine.numbers(100)}",
    )
    source = real_engine.source()
    plan = source.plan(source.describe(Relation("bets", "dt", ("id", "settlement_date"), relation="bets")), None, 10)
    assert "(`settled`, `id`)" in plan.advice
    real_engine.execute(plan.advice)


def test_plans_look_through_views_and_joins(real_engine):
    """The advice names the base table and its own column, whatever the view calls it; a computed cursor is told."""
    real_engine.execute(
        "CREATE TABLE `Users` (uid INT PRIMARY KEY, touched DATETIME)",
        "CREATE TABLE wallet (uid INT PRIMARY KEY, balance DECIMAL(18,2))",
        "CREATE VIEW users AS SELECT u.uid AS user_ext_id, u.touched AS dt_update, w.balance FROM `Users` u LEFT JOIN wallet w USING (uid)",
        f"INSERT INTO `Users` SELECT seq, NOW() FROM {real_engine.numbers(2000)}",
    )
    source = real_engine.source()
    described = source.describe(Relation("users", "dt_update", ("user_ext_id",), relation="users"))
    plan = source.plan(described, None, 10)
    assert plan.uses_index is False
    assert "`Users` (`touched`, `uid`)" in plan.advice
    real_engine.execute(plan.advice)
    assert source.plan(described, None, 10).uses_index is True
    real_engine.execute("CREATE VIEW days AS SELECT DATE(touched) AS day, uid FROM `Users`")
    plan = source.plan(source.describe(Relation("v", "day", (), relation="days")), None, 10)
    assert plan.uses_index is False
    assert "stored column" in plan.advice


def test_a_stored_cursor_is_never_called_computed(real_engine):
    """However the view joins, filters and names: the advice is an index, and mends it."""
    real_engine.execute(
        "CREATE TABLE raw (id INT PRIMARY KEY, dt DATETIME, note VARCHAR(50))",
        f"INSERT INTO raw SELECT seq, '2024-01-01' + INTERVAL seq SECOND, seq FROM {real_engine.numbers(1500)}",
        "CREATE TABLE `raw, ``2` AS SELECT id AS `a, limit`, dt AS `order by` FROM raw",
    )
    source = real_engine.source()
    for number, view in enumerate((
        "SELECT r.id AS pid, r.dt AS cur FROM raw r WHERE EXISTS (SELECT 1 FROM raw p WHERE p.id = r.id + 1)",
        "SELECT r.id AS pid, r.dt AS cur FROM raw p JOIN raw r ON p.id = r.id LEFT JOIN raw q ON q.id = p.id + 1",
        "SELECT id AS pid, dt AS cur, ' order by x limit 1 from y' AS t FROM raw WHERE note <> 'it''s \\ from (order by a'",
        "SELECT id AS pid, dt AS cur, extract(year FROM dt) AS y, trim(LEADING 'a' FROM note) AS t FROM raw",
        "SELECT 5 AS pid, dt AS cur FROM raw",
        "SELECT `from ``x (`.`a, limit` AS pid, `from ``x (`.`order by` AS cur FROM `raw, ``2` AS `from ``x (`",
    )):  # fmt: skip
        real_engine.execute(
            f"CREATE VIEW v{number} AS {view}", f"CREATE VIEW bets{number} AS SELECT pid, cur FROM v{number}"
        )
        described = source.describe(Relation("v", "cur", ("pid",), relation=f"bets{number}"))
        plan = source.plan(described, None, 10)
        assert plan.uses_index is False
        assert plan.advice.startswith("CREATE INDEX `raw"), view
    real_engine.execute(plan.advice)
    assert source.plan(described, None, 10).uses_index is True


def test_two_views_of_one_table_are_advised_two_indexes(real_engine):
    """Both statements can be run, one after the other, and each serves its view."""
    real_engine.execute(
        "CREATE TABLE raw (id INT PRIMARY KEY, kind INT, dt DATETIME)",
        f"INSERT INTO raw SELECT seq, 1, '2024-01-01' + INTERVAL seq SECOND FROM {real_engine.numbers(1500)}",
        "CREATE VIEW one AS SELECT dt, kind, id FROM raw", "CREATE VIEW two AS SELECT dt, id FROM raw",
    )  # fmt: skip
    source = real_engine.source()
    wanted = [
        source.describe(Relation("v", "dt", key, relation=name))
        for name, key in (("one", ("kind", "id")), ("two", ("id",)))
    ]
    advised = [source.plan(each, None, 10).advice for each in wanted]
    real_engine.execute(*advised)
    assert False not in [source.plan(each, None, 10).uses_index for each in wanted]


def test_what_no_index_mends_is_told_instead(real_engine):
    """Nobody is asked to index a view, nor to make an index that changes nothing."""
    real_engine.execute(
        "CREATE TABLE raw (id INT PRIMARY KEY, dt DATETIME)",
        f"INSERT INTO raw SELECT seq, '2024-01-01' + INTERVAL seq SECOND FROM {real_engine.numbers(1500)}",
    )
    source = real_engine.source()
    for number, (view, told) in enumerate((
        ("SELECT DISTINCT id AS pid, dt AS cur FROM raw", "computes the whole view"),
        ("SELECT id AS pid, dt AS cur FROM raw UNION ALL SELECT -id, dt FROM raw", "computes the whole view"),
        ("SELECT id AS pid, max(dt) AS cur FROM raw GROUP BY id", "computes the whole view"),
        ("SELECT p.id AS pid, r.dt AS cur FROM raw r JOIN raw p ON p.id = r.id + 1", "take the key from"),
    )):  # fmt: skip
        real_engine.execute(f"CREATE VIEW v{number} AS {view}")
        plan = source.plan(source.describe(Relation("v", "cur", ("pid",), relation=f"v{number}")), None, 10)
        assert plan.uses_index is False
        assert told in plan.advice
        assert "CREATE INDEX" not in plan.advice


def test_an_index_that_is_there_is_not_advised_again(on_mysql56):
    """A few rows of several tables are read through and sorted by choice: that says nothing once the index is made."""
    on_mysql56.execute(
        "CREATE TABLE players (id INT PRIMARY KEY, brand INT)",
        "CREATE TABLE payments (id INT PRIMARY KEY, player INT, paid DATETIME)",
        "CREATE VIEW deposits AS SELECT p.id, p.paid, brand FROM payments p LEFT JOIN players ON players.id = p.player WHERE p.paid IS NOT NULL",
        f"INSERT INTO players SELECT seq, 1 FROM {on_mysql56.numbers(4)}",
        f"INSERT INTO payments SELECT seq, seq, NOW() FROM {on_mysql56.numbers(6)}",
    )
    source = on_mysql56.source()
    described = source.describe(Relation("v", "paid", ("id",), relation="deposits"))
    plan = source.plan(described, None, 1000)
    assert plan.uses_index is False
    on_mysql56.execute(plan.advice)
    assert source.plan(described, None, 1000).uses_index is not False


def test_an_advised_index_can_be_made_of_wide_texts(on_mysql56):
    """767 bytes of a column are what this server's index takes: a VARCHAR(255) of four bytes each is left out of it."""
    on_mysql56.execute(
        "CREATE TABLE players (id INT PRIMARY KEY, brand VARCHAR(255) CHARACTER SET utf8mb4, site VARCHAR(191) CHARACTER SET utf8mb4, "
        "touched DATETIME) ENGINE=InnoDB",
        "CREATE VIEW users AS SELECT id AS user_ext_id, brand AS ext_brand_id, site, touched AS dt_update FROM players",
        f"INSERT INTO players SELECT seq, 'b', 's', NOW() FROM {on_mysql56.numbers(2000)}",
    )
    source = on_mysql56.source()
    known = {table.name.rpartition(".")[2]: table.structure.unindexed for table in source.tables()}
    assert known["players"] == {"brand"}
    described = source.describe(Relation("v", "dt_update", ("ext_brand_id", "site", "user_ext_id"), relation="users"))
    plan = source.plan(described, None, 1000)
    assert plan.advice.endswith("(`touched`, `site`, `id`);")
    on_mysql56.execute("SET sql_mode = 'STRICT_ALL_TABLES'", plan.advice)


def test_a_text_of_any_length_is_advised_for_no_index(real_engine):
    """Whatever the view calls it; once the rest has its index, the text itself is told where many rows are sorted by it."""
    real_engine.execute(
        "CREATE TABLE players (id INT PRIMARY KEY, brand TEXT, touched DATETIME)",
        "CREATE VIEW users AS SELECT id AS user_ext_id, brand AS ext_brand_id, touched AS dt_update FROM players",
        f"INSERT INTO players SELECT seq, 'b', NOW() FROM {real_engine.numbers(2000)}",
    )
    assert {table.name.rpartition(".")[2]: table.structure.unindexed for table in real_engine.source().tables()} == {
        "players": {"brand"}, "users": {"ext_brand_id"},
    }  # fmt: skip
    source = real_engine.source()
    described = source.describe(Relation("v", "dt_update", ("ext_brand_id", "user_ext_id"), relation="users"))
    plan = source.plan(described, None, 1000)
    assert plan.advice.endswith("(`touched`, `id`);")
    real_engine.execute(plan.advice)
    assert source.plan(described, None, 1000).uses_index is None  # at the head a row or two are sorted
    plan = source.plan(described, Position("2000-01-01 00:00:00", ("b", "1")), 1000)
    assert plan.uses_index is False
    assert "brand is a long text, which no index holds whole" in plan.advice
    alone = source.describe(Relation("v", "dt_update", ("user_ext_id",), relation="users"))
    assert source.plan(alone, None, 1000).uses_index is True


def test_a_plan_looks_into_a_query(on_mariadb):
    """A cursor that a `query:` computes is told as that of a view is."""
    on_mariadb.execute("CREATE TABLE users (uid INT PRIMARY KEY, touched DATETIME)")
    source = on_mariadb.source()
    computed = Relation("v", "day", (), query="SELECT DATE(touched) AS day, uid FROM users")
    plan = source.plan(source.describe(computed), None, 10)
    assert plan.uses_index is False
    assert "stored column" in plan.advice


@pytest.mark.parametrize(
    ("engine", "query"),
    [("mariadb", "SELECT DISTINCT touched, uid FROM users"), ("mysql56", "SELECT touched, uid FROM users")],
    indirect=["engine"],
)
def test_a_query_that_the_server_computes_first_is_told(engine, query):
    """No index serves a `query:` with DISTINCT and the like, and before MySQL 5.7 none at all: a view is the way out."""
    engine.execute(
        "CREATE TABLE users (uid INT PRIMARY KEY, touched DATETIME)", "CREATE INDEX moved ON users (touched, uid)",
        f"INSERT INTO users SELECT seq, NOW() FROM {engine.numbers(2000)}", "CREATE VIEW seen AS SELECT touched, uid FROM users",
    )  # fmt: skip
    source = engine.source()
    plan = source.plan(source.describe(Relation("v", "touched", ("uid",), query=query)), None, 10)
    assert plan.uses_index is False
    assert "make it a view" in plan.advice
    seen = source.describe(Relation("v", "touched", ("uid",), relation="seen"))
    assert source.plan(seen, None, 10).uses_index is True


def test_how_null_cursors_would_be_found(engine):
    """By an index for next to nothing, without one by reading the whole table; one of a few rows is no matter."""
    rows = ", ".join(f"({number})" for number in range(3_000))
    engine.execute(
        "CREATE TABLE bets (id INT)",
        f"INSERT INTO bets VALUES {rows}",
        "CREATE TABLE few AS SELECT * FROM bets LIMIT 10",
    )
    source = engine.source()

    def scan(relation):
        with source.reading(source.describe(relation)) as reading:
            return reading.null_scan()

    assert scan(BETS) == "by reading all"
    assert scan(Relation("few", "id", ("id",), relation="few")) == "by index"
    engine.execute("CREATE INDEX by_id ON bets (id)", "ANALYZE TABLE bets")
    assert scan(BETS) == "by index"
