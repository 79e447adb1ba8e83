"""What `make bench` compares with does what it says, and a start is measured until what the daemon really asks first."""

from __future__ import annotations

from datetime import UTC, date, datetime

from bench.plain import PRIVATE, Memory, users
from bench.startup import first_page

UPDATED, REGISTERED = datetime(2026, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)
MAIL, PHONE = "p@example.com", "+356"
ROW = (
    "b", 7, UPDATED, "ACTIVE", REGISTERED, "EN", "EUR", "p7", date(1970, 1, 1), "MT", MAIL, "First", "Last", PHONE, True,
)  # fmt: skip
VIEW = "casino_transactions"
LOG = f"""\
100.250 LOG:  statement: WITH RECURSIVE beneath(oid, depth) AS (SELECT to_regclass('"{VIEW}"')::oid, 0)
\tSELECT sequence FROM owned ORDER BY 1 LIMIT 3
100.500 LOG:  statement: SELECT "{VIEW}"."id" FROM "{VIEW}" WHERE "{VIEW}"."id" IS NOT NULL ORDER BY "{VIEW}"."id" DESC LIMIT 1
100.625 LOG:  statement: EXPLAIN SELECT "{VIEW}"."id", "{VIEW}"."game_provider" FROM "{VIEW}" ORDER BY "{VIEW}"."id" LIMIT 9
"""
PAGE = f"""\
100.750 LOG:  statement: BEGIN;SELECT now();/* view */ SELECT "{VIEW}"."id" AS "id", "{VIEW}"."game_provider" AS "game_provider"
\tFROM "{VIEW}"
\tWHERE "{VIEW}"."id" IS NOT NULL ORDER BY "{VIEW}"."id"
\t LIMIT 246;SELECT * FROM "{VIEW}" WHERE 1 = 0
100.875 LOG:  statement: ROLLBACK
"""


def test_the_loop_that_remembers_sends_no_row_twice(tmp_path):
    """Although what is private in it is encrypted, each time to another text."""
    memory = Memory(tmp_path)
    (sent,) = memory.new([users(ROW)])
    assert all(sent["payload"][name] not in (MAIL, PHONE) for name in PRIVATE)
    assert memory.new([users(ROW)]) == []
    assert len(memory.new([users((*ROW[:-1], False))])) == 1


def test_the_loop_that_remembers_makes_one_id_of_one_content(tmp_path):
    """Also after its memory is lost."""
    (tmp_path / "another").mkdir()
    first, again = (Memory(home).new([users(ROW)])[0] for home in (tmp_path, tmp_path / "another"))
    assert first["eid"] == again["eid"]
    assert first["payload"]["user_email"] != again["payload"]["user_email"]


def test_a_start_lasts_until_the_first_page_is_asked_for():
    """What is asked of sequences, of the last row and of a plan comes before it."""
    assert first_page(LOG + PAGE) == 100.75
    assert first_page(LOG) is None
