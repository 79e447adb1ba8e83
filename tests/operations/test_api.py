"""Trouble of the ingest API, and of our own clock."""

from __future__ import annotations

import pytest

from operations.rehearsal import TABLE, rows, view
from operations.table import situations

USERS = "  - {name: users, source: db, relation: users, kind: users, cursor: dt_update, every: 200ms}\n"
VIEWS = ("deposits", "brands", "strangers")


@pytest.fixture
def rehearsed(rehearsal, postgresql):
    """A daemon at work over players and three views of deposits, by a clock that a file sets."""
    for name in VIEWS:
        postgresql.execute(TABLE.format(name=name), f"CREATE INDEX ON {name} (dt_finalized, transaction_id)")
    postgresql.execute(
        "CREATE TABLE users (user_ext_id text PRIMARY KEY, ext_brand_id text DEFAULT 'b', dt_update timestamptz DEFAULT now())",
        "CREATE INDEX ON users (dt_update, user_ext_id)",
        "INSERT INTO users VALUES ('p1')",
        rows("deposits", 1, 5),
    )
    (rehearsal.home / "clock").write_text("0")
    rehearsal.configure(USERS + "".join(map(view, VIEWS)), db=postgresql.url)
    rehearsal.start(clock=rehearsal.home / "clock")
    return rehearsal


@pytest.mark.slow
@pytest.mark.timeout(400)  # several outages, one after the other
def test_trouble_of_the_api(rehearsed, postgresql):
    """Unknown players and brands, then a token that is refused, then no API at all, then a wrong clock; each is mended by its hint."""
    table, sandbox = situations(), rehearsed.operator.sandbox
    sandbox.set_faults(["unknown-brand=Night", "unknown-users"])
    postgresql.execute(
        rows("brands", 1, 5, ", ext_brand_id", ", 'Night'"), rows("strangers", 1, 5, ", user_ext_id", ", 'p9'")
    )
    rehearsed.is_told(table["players are unknown"])
    rehearsed.is_told(table["a brand is unknown"])
    postgresql.execute("INSERT INTO users VALUES ('p9')")
    rehearsed.is_over(table["players are unknown"])
    rehearsed.change("  token: test\n", "  token: test\n  brands: {Night: {alias: b}}\n")
    rehearsed.sync("reload")
    rehearsed.is_over(table["a brand is unknown"])
    rehearsed.is_calm(table["players are unknown"], table["a brand is unknown"])

    sandbox.set_faults(["denied"])
    postgresql.execute(rows("deposits", 6, 9))
    rehearsed.is_told(table["the token is refused"])
    rehearsed.change("  token: test\n", "  token: new\n")
    sandbox.set_faults([])
    rehearsed.sync("check")
    rehearsed.sync("reload")
    rehearsed.is_over(table["the token is refused"])
    rehearsed.is_calm(table["the token is refused"])

    sandbox.set_faults(["503"])
    postgresql.execute(rows("deposits", 10, 12))
    rehearsed.is_told(table["the API is down"])
    sandbox.set_faults([])
    rehearsed.is_over(table["the API is down"])
    rehearsed.is_calm(table["the API is down"])

    (rehearsed.home / "clock").write_text("3600")
    rehearsed.is_told(table["our clock is wrong"])
    (rehearsed.home / "clock").write_text("0")
    rehearsed.is_over(table["our clock is wrong"])
    rehearsed.is_calm(table["our clock is wrong"])
