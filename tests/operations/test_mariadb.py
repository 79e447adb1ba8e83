"""Trouble of MariaDB: the same rehearsal in that server's words, on a primary and a replica."""

from __future__ import annotations

from dataclasses import replace

import pytest

from operations.rehearsal import view
from operations.table import situations
from operations.test_views import NAMED as TROUBLES
from waiting import until

TABLE = """CREATE TABLE {name} (transaction_id bigint PRIMARY KEY, ext_brand_id varchar(9) DEFAULT 'b', user_ext_id varchar(9) DEFAULT 'p1',
    dt_finalized datetime(6) DEFAULT now(6), transaction_date datetime DEFAULT '2026-01-01', deposit_amount decimal(9, 2) DEFAULT 1,
    deposit_code varchar(9), KEY (dt_finalized, transaction_id))"""
ROWS = "INSERT INTO {name} (transaction_id) SELECT seq FROM seq_{first}_to_{last}"
NAMED = {name: TROUBLES[name] for name in ("revoked", "dropped", "needed", "optional", "locked", "ahead")}
# Where this server's words are others than those of the document.
WORDS = {
    "a permission is revoked": "permission denied",
    "a table is locked": "longer than",
    "the password is wrong": "user or password is refused",
}


def in_its_words():
    """The document's table, as MariaDB tells it."""
    return {name: replace(row, told=WORDS.get(name, row.told)) for name, row in situations().items()}


@pytest.fixture
def rehearsed(rehearsal, private_mariadb, replica):
    """A daemon at work over six views of the primary, and one of its replica."""
    server = private_mariadb
    server.admin("CREATE DATABASE shop", "CREATE USER clerk@'127.0.0.1' IDENTIFIED BY 'clerk'")
    for name in (*NAMED, "copied"):
        server.admin(
            TABLE.format(name=name),
            ROWS.format(name=name, first=1, last=5),
            f"GRANT SELECT, SHOW VIEW ON shop.{name} TO clerk@'127.0.0.1'",
            database="shop",
        )
    server.admin("GRANT REPLICA MONITOR, SLAVE MONITOR, REPLICATION CLIENT ON *.* TO clerk@'127.0.0.1'")
    until(lambda: len(replica.admin("SHOW TABLES FROM shop")) == len(NAMED) + 1)
    address = "mariadb://clerk:clerk@127.0.0.1:{port}/shop"
    rehearsal.configure(
        "".join(map(view, NAMED)) + view("copied", source="copy"),
        db=f"{address.format(port=server.port)}, statement_timeout: 2s",
        copy=address.format(port=replica.port),
    )
    rehearsal.start()
    return rehearsal


@pytest.mark.slow
@pytest.mark.timeout(400)  # several outages, one after the other
def test_trouble_of_mariadb(rehearsed, private_mariadb, replica):
    """Views, password, replay and server, each told by every surface, and mended by what its hint says."""
    server, table = private_mariadb, in_its_words()
    with server.owner("shop") as session, session.cursor() as cursor:
        cursor.execute("LOCK TABLES locked WRITE")
        server.admin(
            "REVOKE SELECT ON shop.revoked FROM clerk@'127.0.0.1'",
            "RENAME TABLE dropped TO elsewhere",
            "ALTER TABLE needed RENAME COLUMN deposit_amount TO paid",
            "ALTER TABLE optional RENAME COLUMN deposit_code TO code",
            "INSERT INTO ahead (transaction_id, dt_finalized) VALUES (9, now(6) + INTERVAL 1 DAY)",
            database="shop",
        )
        for name in NAMED.values():
            rehearsed.is_told(table[name])
    server.admin(
        "GRANT SELECT ON shop.revoked TO clerk@'127.0.0.1'",
        "RENAME TABLE elsewhere TO dropped",
        "UPDATE ahead SET dt_finalized = now(6) WHERE transaction_id = 9",
        database="shop",
    )
    rehearsed.sync("watermark", "accept", "optional")
    rehearsed.change("relation: needed, ", "relation: needed, columns: {paid: deposit_amount}, ")
    rehearsed.sync("reload")
    for name in NAMED.values():
        rehearsed.is_over(table[name])
    rehearsed.sync("watermark", "accept", "needed")
    rehearsed.is_calm(*map(table.get, NAMED.values()))

    replica.admin("STOP SLAVE")
    rehearsed.is_told(table["the replica is stopped"])
    replica.admin("START SLAVE")
    rehearsed.is_over(table["the replica is stopped"])

    server.restart()
    server.admin("ALTER USER clerk@'127.0.0.1' IDENTIFIED BY 'other'")
    for session_id, *_ in server.admin("SELECT id FROM information_schema.processlist WHERE user = 'clerk'"):
        server.admin(f"KILL {session_id}")
    rehearsed.has_new_password(table["the password is wrong"])
    rehearsed.outlives(server, table["the database is down"])
