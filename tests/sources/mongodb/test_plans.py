"""Plans, as MongoDB servers print them."""

from __future__ import annotations

import datetime as dt

import pytest

from smartico_sync.core.relation import Column, Relation
from smartico_sync.sources.mongodb.plan import judge

BETS = Relation("bets", "cur", ("id",), relation="bets")
NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
SCAN = {"stage": "IXSCAN", "keyPattern": {"cur": 1, "id": 1}, "indexName": "cur_1_id_1", "direction": "forward",
        "indexBounds": {"cur": ["[5, inf]"], "id": ["[MinKey, MaxKey]"]}}  # fmt: skip
FETCH = {"stage": "FETCH", "inputStage": SCAN}
DESCRIBED = Relation(
    "bets", "cur", ("id",), relation="bets", columns=(Column("cur", "int", "integer"), Column("id", "int", "integer"))
)


def planned(winning):
    return {
        "queryPlanner": {"namespace": "casino.bets", "winningPlan": winning, "rejectedPlans": [{"stage": "COLLSCAN"}]}
    }


@pytest.mark.parametrize(
    ("answer", "uses"),
    [
        (planned(FETCH), True),
        (planned({"isCached": False, "queryPlan": {"stage": "PROJECTION_SIMPLE", "inputStage": FETCH}, "slotBasedPlan": {"stages": "…"}}), True),
        ({"stages": [{"$cursor": planned(FETCH)}, {"$project": {}}]}, True),
        ({"shards": {"a": planned(FETCH), "b": planned({"stage": "COLLSCAN"})}}, False),
        (planned({"stage": "SHARD_MERGE", "shards": [{"shardName": "a", **planned(FETCH)["queryPlanner"]}]}), True),
        (planned({"stage": "SORT", "inputStage": FETCH}), False),
        (planned({"stage": "COLLSCAN"}), False),
        (planned({"stage": "FETCH", "inputStage": {**SCAN, "indexBounds": {"cur": ["[MinKey, MaxKey]"]}}}), False),
        (planned({"stage": "EXPRESS_IXSCAN", "keyPattern": "{ cur: 1 }"}), True),
        ({"ok": 1.0}, None),
    ],
)  # fmt: skip
def test_plans_are_judged_in_every_form(answer, uses):
    """Classic, slot-based, sharded, in a pipeline: an index must find the position and give the order."""
    plan = judge(answer, DESCRIBED)
    assert plan.uses_index is uses
    if uses is False:
        assert plan.advice == 'db.getCollection("bets").createIndex({cur: 1, id: 1})'


def test_a_view_that_renames_its_cursor_sorts_and_says_so():
    """The position is found by an index, and what is behind it is sorted: the summary says what to change."""
    plan = judge({"stages": [{"$cursor": planned(FETCH)}, {"$sort": {"sortKey": {"moment": 1}}}]}, DESCRIBED)
    assert plan.uses_index is True
    assert "keeps cur" in plan.summary


@pytest.mark.stand_in("mongodb")
def test_explain_may_echo_the_oldest_date_there_is(on_mongodb, emulated):
    """Bounds are dates that no calendar has; an answer that holds them is read all the same."""
    emulated.here.bets.insert_many([{"cur": NOON, "id": 1}])
    source = on_mongodb.source()
    described = source.describe(BETS)
    assert source.plan(described, None, 5).uses_index is False
    with source.reading(described) as reading:
        told = reading.session.command({"stand_in": "commands"}, "a test", "admin")["commands"]
    assert any("explain" in each for each in told)
