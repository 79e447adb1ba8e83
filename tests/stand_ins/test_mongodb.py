"""What the stand-in of MongoDB answers to a bare driver."""

from __future__ import annotations

import datetime as dt

import pytest
from bson import Decimal128, Int64, ObjectId, Timestamp
from pymongo import MongoClient
from pymongo.errors import OperationFailure


@pytest.fixture
def here(mongodb_database):
    """A database of the stand-in."""
    if not mongodb_database.server.ports:
        pytest.skip("a real server does not stand in")
    return mongodb_database.here


def stages(plan):
    """The stages of a plan, the last first."""
    found = []
    while plan:
        found.append(plan["stage"])
        plan = plan.get("inputStage")
    return found


def test_values_of_all_types_have_one_order(here):
    """As the manual lists them: null, numbers of all kinds by their value, texts by their bytes, and so on."""
    noon = dt.datetime(2024, 3, 1, 12)  # noqa: DTZ001 - as the driver gives it back
    values = [
        None, float("nan"), -1, Int64(2), Decimal128("2.5"), 3.0, "", "B", "a", {"x": 1}, b"\1", ObjectId("65e1c2800000000000000001"),
        False, True, noon, Timestamp(1, 1),
    ]  # fmt: skip
    here.bets.insert_many([{"_id": number, "v": value} for number, value in reversed(list(enumerate(values)))])
    assert [each["_id"] for each in here.bets.aggregate([{"$sort": {"v": 1}}])] == list(range(len(values)))


def test_a_comparison_stays_within_its_type(here):
    """`$gt` of a number finds no text, and no document without the field."""
    here.bets.insert_many([{"_id": 1, "v": 5}, {"_id": 2, "v": Decimal128("7")}, {"_id": 3, "v": "9"}, {"_id": 4}])
    assert [each["_id"] for each in here.bets.find({"v": {"$gt": 4}})] == [1, 2]


def test_what_it_does_not_know_it_refuses(here):
    """A wrong answer would prove something; an error proves nothing."""
    here.bets.insert_one({"v": 1})
    with pytest.raises(OperationFailure):
        list(here.bets.find({"v": {"$geoWithin": {"$box": [[0, 0], [1, 1]]}}}))
    with pytest.raises(OperationFailure):
        list(here.bets.aggregate([{"$out": "elsewhere"}]))


def test_a_plan_is_what_the_rules_of_indexes_say(here):
    """An index that is bounded by the condition and has the order is read; without one, all is read and sorted."""
    here.bets.insert_many([{"cur": n, "id": n} for n in range(9)])
    asked = here.bets.find({"cur": {"$gte": 5}}).sort([("cur", 1), ("id", 1)])
    assert stages(asked.clone().explain()["queryPlanner"]["winningPlan"]) == ["SORT", "COLLSCAN"]
    here.bets.create_index([("cur", 1), ("id", 1)])
    assert stages(asked.clone().explain()["queryPlanner"]["winningPlan"]) == ["FETCH", "IXSCAN"]


def test_a_snapshot_is_a_moment_and_a_secondary_may_stand_still(private_mongodb):
    """What was written after `atClusterTime` is not there; a member that is held does not follow until it is let go."""
    server = private_mongodb(secondary=True)
    with server.owner() as client, MongoClient("127.0.0.1", server.ports[1], directConnection=True) as behind:
        client.casino.bets.insert_one({"_id": 1})
        then = client.admin.command("hello")["operationTime"]
        behind.admin.command({"stand_in": "hold"})
        client.casino.bets.insert_one({"_id": 2})
        concern = {"level": "snapshot", "atClusterTime": then}
        told = client.casino.command("aggregate", "bets", pipeline=[], cursor={}, readConcern=concern)
        assert told["cursor"]["firstBatch"] == [{"_id": 1}]
        asked = {"aggregate": "bets", "pipeline": [], "cursor": {}, "$readPreference": {"mode": "secondary"}}
        assert len(behind.casino.command(asked)["cursor"]["firstBatch"]) == 1
        behind.admin.command({"stand_in": "follow"})
        assert len(behind.casino.command(asked)["cursor"]["firstBatch"]) == 2
