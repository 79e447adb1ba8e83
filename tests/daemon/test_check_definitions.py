"""What `smartico-sync check` reads in a view's definition, on real databases."""

from __future__ import annotations

import sqlite3

import pytest

TABLES = (
    "CREATE TABLE games (id bigint PRIMARY KEY, name text)",
    """CREATE TABLE bets (id bigint PRIMARY KEY, at timestamptz DEFAULT now(), ext_brand_id text DEFAULT 'b',
        user_ext_id bigint DEFAULT 1, bet_id text, game bigint, status text, amount numeric DEFAULT 1)""",
)
COLUMNS = "t.id, t.at AS transaction_date, t.ext_brand_id, t.user_ext_id, t.bet_id AS transaction_id, t.amount AS deposit_amount"
VIEW = "  - {name: bets, source: db, relation: v, kind: deposits, cursor: id}\n"


def told(operator, url, view=VIEW):
    operator.configure(url, view)
    done = operator.check()
    assert done.returncode == 0, done.stdout
    return [line for line in done.stdout.splitlines() if "view bets" in line or line.startswith("    next")]


@pytest.mark.parametrize(
    ("definition", "mark", "says", "hint"),
    [
        (f"VIEW v AS SELECT {COLUMNS} FROM bets t JOIN games g ON g.id = t.game", "!", "partner", "LEFT JOIN"),
        (
            f"VIEW v AS SELECT {COLUMNS} FROM bets t WHERE status = 'final'",
            "!",
            "only by status",
            "change of its status",
        ),
        (
            f"VIEW v AS SELECT {COLUMNS} FROM bets t UNION ALL SELECT {COLUMNS} FROM bets t",
            "!",
            "UNION",
            "a time as cursor",
        ),
        (f"MATERIALIZED VIEW v AS SELECT {COLUMNS} FROM bets t", "!", "refreshed", "the view it is made of"),
    ],
)
def test_postgresql_names_what_makes_rows_late(operator, postgresql, definition, mark, says, hint):
    """Joins, filters, unions and copies are told with what finds their late rows and what mends them."""
    postgresql.execute(*TABLES, f"CREATE {definition}")
    lines = told(operator, postgresql.url)
    at = next(number for number, line in enumerate(lines) if says in line)
    assert lines[at].startswith(mark)
    assert "lookback" in lines[at]
    assert "smartico-sync reconcile" in lines[at]
    assert ("snapshot fence is valid" in " ".join(lines)) != ("MATERIALIZED" in definition)
    assert hint in lines[at + 1]


def test_a_left_join_is_what_we_teach(operator, postgresql):
    """Views beneath a view are read too; a LEFT JOIN of transactions needs no remark; the conditions are named."""
    postgresql.execute(
        *TABLES, f"CREATE VIEW beneath AS SELECT {COLUMNS} FROM bets t LEFT JOIN games g ON g.id = t.game",
        "CREATE VIEW v AS SELECT * FROM beneath",
    )  # fmt: skip
    lines = told(operator, postgresql.url)
    assert not [line for line in lines if "join" in line.lower()]
    (line,) = [line for line in lines if "late commits" in line]
    assert line.startswith("✓ view bets: late commits: fence + lookback, ")
    assert "`settle`" in line
    assert "however late it commits" not in line


def test_a_hidden_inner_join_is_found(operator, postgresql):
    """A view of a view that joins comes late as well."""
    postgresql.execute(
        *TABLES, f"CREATE VIEW beneath AS SELECT {COLUMNS} FROM bets t, games g WHERE g.id = t.game",
        "CREATE VIEW v AS SELECT * FROM beneath",
    )  # fmt: skip
    assert any("public.beneath joins" in line for line in told(operator, postgresql.url))


@pytest.mark.parametrize(
    ("sequence", "named"),
    [
        ("bets_seq INCREMENT BY 50", "public.bets_seq INCREMENT BY 50"),
        ("bets_seq CACHE 20", "public.bets_seq CACHE 20"),
        ("of_the_app INCREMENT BY 50", "perhaps public.of_the_app INCREMENT BY 50"),
        ("of_the_app CACHE 20", "perhaps public.of_the_app CACHE 20"),
    ],
)
def test_ids_in_blocks_are_recognised(operator, postgresql, sequence, named):
    """A sequence that is handed out in blocks, as Hibernate makes it, is told and its missing ids are watched.

    So is one that belongs to no table, where the view's ids come from none; also where two tables take its ids in turns.
    """
    postgresql.execute(
        *TABLES, f"CREATE SEQUENCE {sequence}", f"CREATE VIEW v AS SELECT {COLUMNS} FROM bets t",
        "INSERT INTO bets (id, bet_id) SELECT 1 + 2 * g, g FROM generate_series(1, 10) g",
    )  # fmt: skip
    lines = told(operator, postgresql.url)
    assert any(f"ids come in blocks ({named})" in line and line.startswith("✓") for line in lines)
    assert any("handed out in blocks" in line and line.startswith("!") for line in lines)


def test_what_a_query_reads_is_looked_at_too(operator, postgresql):
    """A copy, a join beneath and ids in blocks are told though the view is written as a `query:`."""
    postgresql.execute(
        *TABLES, "CREATE SEQUENCE bets_seq INCREMENT BY 50", "CREATE MATERIALIZED VIEW kept AS SELECT * FROM games",
        "CREATE VIEW both_of_them AS SELECT t.*, k.name FROM bets t JOIN kept k ON k.id = t.game",
    )  # fmt: skip
    query = f"{{name: bets, source: db, query: 'SELECT {COLUMNS} FROM both_of_them t', kind: deposits, cursor: id}}"
    lines = told(operator, postgresql.url, f"  - {query}\n")
    for says in (
        "public.kept is a materialized view",
        "public.both_of_them joins tables",
        "public.bets_seq INCREMENT BY 50",
    ):
        assert any(says in line and line.startswith("!") for line in lines), says


def test_a_table_that_has_its_own_sequence_is_not_suspected(operator, postgresql):
    """Ids of a plain serial come in order, whatever an application does with other sequences."""
    postgresql.execute(
        *TABLES, "CREATE SEQUENCE of_the_app INCREMENT BY 50", "CREATE SEQUENCE plain OWNED BY bets.id",
        "ALTER TABLE bets ALTER id SET DEFAULT nextval('plain')", "INSERT INTO bets (bet_id) SELECT g FROM generate_series(1, 10) g",
        f"CREATE VIEW v AS SELECT {COLUMNS} FROM bets t",
    )  # fmt: skip
    assert not [line for line in told(operator, postgresql.url) if "blocks" in line]


def test_a_partition_on_another_server_is_a_foreign_table(operator, postgresql):
    """It is named though the view reads its parent: no snapshot of this server speaks for its rows."""
    postgresql.execute(
        "CREATE EXTENSION file_fdw", "CREATE SERVER files FOREIGN DATA WRAPPER file_fdw",
        TABLES[1].replace("bigint PRIMARY KEY", "bigint") + " PARTITION BY RANGE (id)",
        "CREATE FOREIGN TABLE old PARTITION OF bets FOR VALUES FROM (0) TO (1000) SERVER files OPTIONS (filename '/dev/null')",
        "CREATE TABLE young PARTITION OF bets FOR VALUES FROM (1000) TO (2000)", f"CREATE VIEW v AS SELECT {COLUMNS} FROM bets t",
    )  # fmt: skip
    lines = told(operator, postgresql.url)
    assert any("public.old is a foreign table" in line and line.startswith("!") for line in lines)
    assert not any("snapshot fence is valid" in line for line in lines)


def test_masters_that_take_turns_are_no_blocks(operator, postgresql):
    """Ids that are all steps of the sequence come in order."""
    postgresql.execute(
        *TABLES, "CREATE SEQUENCE bets_seq INCREMENT BY 2 OWNED BY bets.id",
        "INSERT INTO bets (id, bet_id) SELECT 1 + 2 * g, g FROM generate_series(1, 50) g", f"CREATE VIEW v AS SELECT {COLUMNS} FROM bets t",
    )  # fmt: skip
    lines = told(operator, postgresql.url)
    assert not [line for line in lines if "blocks" in line]


def test_sqlite_names_what_makes_rows_late(operator):
    """An id on SQLite is protected by missing ids only: a filter is a reason to say `!`."""
    with sqlite3.connect(operator.home / "replica.db") as replica:
        replica.execute(
            "CREATE TABLE bets (id INTEGER PRIMARY KEY, ext_brand_id TEXT, user_ext_id INTEGER, bet_id TEXT, state TEXT, at TEXT)"
        )
        replica.execute(
            "CREATE VIEW v AS SELECT id, ext_brand_id, user_ext_id, bet_id AS transaction_id, at AS transaction_date, 1 AS deposit_amount FROM bets WHERE state = 'X'"
        )
    lines = told(operator, f"sqlite:///{operator.home}/replica.db")
    (line,) = [line for line in lines if "only by state" in line]
    assert line.startswith("!")
    assert "`gaps_wait`" in line


def test_mariadb_names_what_makes_rows_late(operator, mariadb):
    """MariaDB's definition of a view is read where the user may show it."""
    for statement in (
        "CREATE TABLE games (id bigint PRIMARY KEY)",
        "CREATE TABLE bets (id bigint PRIMARY KEY, ext_brand_id varchar(9), user_ext_id bigint, bet_id varchar(9), game bigint, at datetime(3))",
        "CREATE VIEW beneath AS SELECT b.* FROM bets b JOIN games g ON g.id = b.game",
        "CREATE VIEW v AS SELECT id, ext_brand_id, user_ext_id, bet_id AS transaction_id, at AS transaction_date, 1 AS deposit_amount FROM beneath",
    ):
        mariadb.execute(statement)
    assert any("beneath joins" in line and line.startswith("!") for line in told(operator, mariadb.url))


def test_a_cursor_that_nothing_protects_is_no_tick(operator):
    """A cursor that is neither a number nor a time is told with `!` and what to choose."""
    with sqlite3.connect(operator.home / "replica.db") as replica:
        replica.execute(
            "CREATE TABLE v (id TEXT PRIMARY KEY, ext_brand_id TEXT, user_ext_id INTEGER, transaction_id TEXT, transaction_date TIMESTAMP, deposit_amount NUMERIC)"
        )
    lines = told(operator, f"sqlite:///{operator.home}/replica.db", VIEW)
    at = next(number for number, line in enumerate(lines) if "late commits: none" in line)
    assert lines[at].startswith("!")
    assert "incrementing id" in lines[at + 1]
