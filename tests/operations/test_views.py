"""Trouble of views, all at once in one daemon: each is told apart, and what each hint says mends it."""

from __future__ import annotations

import psycopg
import pytest

from operations.rehearsal import TABLE, rows, view
from operations.table import situations

NAMED = {
    "revoked": "a permission is revoked",
    "dropped": "the view is dropped",
    "needed": "a column that is needed is renamed",
    "optional": "a column that may be missing is renamed",
    "locked": "a table is locked",
    "ahead": "rows are dated ahead",
    "few": "5 % of the rows are refused",
    "many": "90 % of the rows are refused",
}
INDEX = "CREATE INDEX ON {name} (dt_finalized, transaction_id)"


@pytest.fixture
def rehearsed(rehearsal, private_postgresql):
    """A daemon at work over eight views; the API refuses what has a deposit code."""
    server = private_postgresql
    server.admin("CREATE ROLE clerk LOGIN PASSWORD 'clerk'")
    for name in NAMED:
        server.admin(
            TABLE.format(name=name), INDEX.format(name=name), f"GRANT SELECT ON {name} TO clerk", rows(name, 1, 5)
        )
    url = f"postgresql://clerk:clerk@127.0.0.1:{server.port}/postgres"
    rehearsal.configure("".join(map(view, NAMED)), db=f"{url}, statement_timeout: 2s")
    rehearsal.operator.sandbox.set_faults(["refuse-property=deposit_code"])
    rehearsal.start()
    return rehearsal


@pytest.mark.slow
@pytest.mark.timeout(400)  # several outages, one after the other
def test_trouble_of_views(rehearsed, private_postgresql):
    """Nine times trouble at once, each told by every surface, and mended by what its hint says."""
    server, table = private_postgresql, situations()
    with psycopg.connect(server.admin_url()) as session:
        session.execute("LOCK TABLE locked")
        server.admin(
            "REVOKE SELECT ON revoked FROM clerk",
            "ALTER TABLE dropped RENAME TO elsewhere",
            "ALTER TABLE needed RENAME deposit_amount TO paid",
            "ALTER TABLE optional RENAME deposit_code TO code",
            "INSERT INTO ahead (transaction_id, dt_finalized) VALUES (9, now() + interval '1 day')",
            rows("few", 10, 209, ", deposit_code", ", CASE WHEN g % 18 = 0 THEN 'x' END"),
            rows("many", 10, 209, ", deposit_code", ", CASE WHEN g % 10 > 0 THEN 'x' END"),
        )
        for name in NAMED.values():
            rehearsed.is_told(table[name])
    server.admin(
        "GRANT SELECT ON revoked TO clerk",
        "ALTER TABLE elsewhere RENAME TO dropped",
        "UPDATE ahead SET dt_finalized = now() WHERE transaction_id = 9",
        "UPDATE many SET deposit_code = NULL",
    )
    rehearsed.sync("watermark", "accept", "optional")
    listed = rehearsed.sync("dead-letters", "list", "--view", "few")
    assert "deposit_code" in listed
    rehearsed.operator.sandbox.set_faults([])  # it was registered there
    rehearsed.sync("dead-letters", "retry", "--view", "few")
    server.admin(rows("few", 210, 400))
    rehearsed.change("relation: needed, ", "relation: needed, columns: {paid: deposit_amount}, ")
    rehearsed.sync("reload")
    for name in NAMED.values():
        rehearsed.is_over(table[name])
    rehearsed.sync(
        "watermark", "accept", "needed"
    )  # the view tells what changed in its columns, until somebody says so
    rehearsed.is_calm(*map(table.get, NAMED.values()))
