"""Oracle's plans as a test writes them, judged."""

from __future__ import annotations

import pytest

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.sources.oracle.plan import Step, advice, serves
from sources.oracle.answers import ID, column, says
from stand_ins.oracle.values import Answer, Field

BETS = Relation("bets", "id", ("id",), relation="bets")
SORTED = Step(
    "SORT", "ORDER BY STOPKEY", projection='(#keys=2) INTERNAL_FUNCTION("U"."TOUCHED")[11], "U"."Uid"[NUMBER,22], "W"."BALANCE"[NUMBER,22]'
)  # fmt: skip
FULL = Step("TABLE ACCESS", "FULL", "CRM", "USERS", '"U"@"SEL$2"')
OTHER = Step("TABLE ACCESS", "BY INDEX ROWID", "CRM", "WALLET", '"W"@"SEL$2"')


@pytest.mark.parametrize(
    ("steps", "begin", "serves_it"),
    [
        ([Step("COUNT", "STOPKEY"), Step("INDEX", "RANGE SCAN")], "position", True),
        ([Step("TABLE ACCESS", "BY INDEX ROWID"), Step("INDEX", "FULL SCAN")], "start", True),
        ([Step("TABLE ACCESS", "BY INDEX ROWID"), Step("INDEX", "FULL SCAN")], "position", False),
        ([Step("INDEX", "FAST FULL SCAN")], "start", False),
        ([SORTED, FULL], "position", False),
        ([SORTED, Step("INDEX", "RANGE SCAN")], "position", False),
        ([Step("WINDOW", "SORT PUSHED RANK"), Step("INDEX", "RANGE SCAN")], "position", False),
        ([Step("SORT", "GROUP BY NOSORT"), Step("INDEX", "RANGE SCAN")], "position", True),
        ([FULL], "position", False),
    ],
)  # fmt: skip
def test_plans_are_judged(steps, begin, serves_it):
    """Only an index that finds the position and gives the order counts."""
    assert serves(steps, begin) is serves_it


def test_advice_names_the_base_table_and_its_own_columns():
    """The view's names are not the table's: the sort's own are taken, as far as one table has them."""
    relation = Relation("users", "dt_update", ("user_ext_id",), relation="users")
    assert advice([SORTED, FULL, OTHER], relation) == 'CREATE INDEX "USERS_TOUCHED_Uid" ON CRM.USERS (TOUCHED, "Uid");'
    computed = [Step("SORT", "ORDER BY STOPKEY", projection='(#keys=1) TRUNC("U"."TOUCHED")[7]'), FULL]
    assert "CRM.USERS" in advice(computed, relation)
    assert "pass an indexed column through" in advice(computed, relation)


@pytest.mark.parametrize("code", [1039, 16000])
def test_without_a_plan_the_catalogue_is_asked(listener, configured, code):
    """No right to the tables behind a view, or a standby: an index that begins with the cursor is looked for instead."""
    shown = {"EXPLAIN PLAN": Answer(error=code)}
    heard, desk = listener(says([ID, Field("DT", "DATE")], **shown))
    source = configured(heard.url())
    described = source.describe(Relation("v", "dt", ("id",), relation="crm.bets"))
    after = Position("2024-01-01 00:00:00", ("1",))
    plan = source.plan(described, after, 5)
    assert plan.uses_index is None
    assert "(DT, ID)" in plan.advice
    desk.says = says([ID, Field("DT", "DATE")], **shown, ALL_TABLES=column("BETS"))
    plan = source.plan(described, after, 5)
    assert plan.uses_index is False
    assert plan.advice == "CREATE INDEX BETS_DT_ID ON CRM.BETS (DT, ID);"
    desk.says = says([ID, Field("DT", "DATE")], **shown, ALL_TABLES=column("BETS"), ALL_IND_COLUMNS=column("BETS_DT"))
    assert source.plan(described, after, 5).uses_index is True


def test_a_plan_is_asked_for_outside_the_read_only_transaction(listener, configured):
    """EXPLAIN PLAN writes into the session's own table, which is then rolled back."""
    heard, desk = listener(says([ID], PLAN_TABLE=Answer([Field("T")] * 6, [("INDEX", "RANGE SCAN", "", "", "", "")])))
    source = configured(heard.url())
    described = source.describe(BETS)
    assert source.plan(described, Position("7", ("7",)), 5).uses_index is True
    words = [asked.text.split(" SET ")[0].split(" ")[0] for asked in desk.asked]
    assert words.count("EXPLAIN") == 2
    assert "FIRST_ROWS(1)" in [asked.text for asked in desk.asked if asked.text.startswith("EXPLAIN")][1]
    assert desk.ended == 4  # the description, the reading, and the rows of each plan
