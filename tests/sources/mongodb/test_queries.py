"""Pipelines as `query:`, and what MongoDB is told with each question."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from bson import Timestamp

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import SourceRefused, ViewBroken
from sources.reading import page

BETS = Relation("bets", "cur", ("id",), relation="bets")
NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)


def query(stages, **fields):
    return Relation("bets", "cur", ("id",), query=json.dumps({"aggregate": "bets", "pipeline": stages, **fields}))


def test_a_query_is_a_pipeline(on_mongodb, mongodb_database, walk):
    """`query:` holds an aggregate command in extended JSON; its stages come before ours."""
    mongodb_database.here.bets.insert_many(
        [{"cur": NOON + dt.timedelta(seconds=n), "id": n, "kind": "AB"[n % 2]} for n in range(20)]
    )
    source = on_mongodb.source()
    stages = [
        {"$match": {"kind": "A", "cur": {"$gte": {"$date": "2024-03-01T12:00:04Z"}}}},
        {"$addFields": {"note": "$kind"}},
    ]
    pages = walk(source, source.describe(query(stages)), 3)
    assert [value for found in pages for value in found["id"]] == list(range(4, 20, 2))
    assert pages[0]["note"].to_list() == ["A"] * 3


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (json.dumps({"aggregate": "bets", "pipeline": [{"$out": "mine"}]}), SourceRefused),
        (json.dumps({"aggregate": "bets", "pipeline": [{"$match": {}}, {"$merge": "mine"}]}), SourceRefused),
        (json.dumps({"delete": "bets", "deletes": []}), SourceRefused),
        (json.dumps({"aggregate": "bets", "pipeline": [], "allowDiskUse": True}), SourceRefused),
        (json.dumps({"aggregate": 1, "pipeline": []}), SourceRefused),
        ("SELECT 1", SourceRefused),
        (json.dumps({"aggregate": "gone", "pipeline": []}), ViewBroken),
    ],
)
def test_a_query_only_asks(on_mongodb, mongodb_database, text, failure):
    """What writes, and what is no pipeline, is refused before it leaves, with the form to write."""
    mongodb_database.here.bets.insert_one({"cur": 1, "id": 1})
    with pytest.raises(failure):
        on_mongodb.source().describe(Relation("bets", "cur", ("id",), query=text))
    assert mongodb_database.here.list_collection_names() == ["bets"]


def test_each_question_carries_its_view_its_limit_and_its_moment(emulated, configured):
    """The comment finds the query in the profiler; time, read concern and collation are those of the contract with the server."""
    emulated.here.bets.insert_many([{"cur": n, "id": n} for n in range(3)])
    page(configured(emulated.url, statement_timeout="7s"), BETS)
    asked = [
        each for each in emulated.tell("commands")["commands"] if "aggregate" in each and each["$db"] == emulated.name
    ]
    last = asked[-1]
    assert last["comment"] == "smartico-sync view=bets"
    assert last["maxTimeMS"] == 7000
    assert last["readConcern"]["level"] == "snapshot"
    assert isinstance(last["readConcern"]["atClusterTime"], Timestamp)
    assert last["collation"] == {"locale": "simple"}
    assert last["$readPreference"]["mode"] == "secondaryPreferred"
    assert [next(iter(stage)) for stage in last["pipeline"]] == ["$match", "$sort", "$limit", "$project"]


def test_an_idle_poll_asks_little(emulated, configured):
    """A poll that finds nothing: the moment, the page, and whether the collection is there at all."""
    emulated.here.bets.insert_many([{"cur": n, "id": n} for n in range(3)])
    source = configured(emulated.url)
    described = source.describe(BETS)
    with source.reading(described) as reading:
        assert reading.page(Position("2", ("2",)), 100).height == 0
        assert reading.clock_ms
    here = [each for each in emulated.tell("commands")["commands"] if each["$db"] == emulated.name]
    after = [next(iter(each)) for each in here[-4:]]
    assert after == ["getMore", "aggregate", "getMore", "listCollections"]


def test_the_relation_is_read_in_one_order_by_one_index(emulated, configured, walk):
    """Without `$or` no bound is lost: the page begins at the cursor, and goes on by the key inside equal cursors."""
    emulated.here.bets.insert_many([{"cur": n // 50, "id": n} for n in range(100)])
    emulated.here.bets.create_index([("cur", 1), ("id", 1)])
    source = configured(emulated.url)
    described = source.describe(BETS)
    with source.reading(described) as reading:
        (match, *_) = reading.poll_pipeline(Position("1", ("70",)), 10)
    assert match["$match"]["cur"] == {"$gte": 1}
    assert match["$match"]["$or"] == [{"cur": {"$gt": 1}}, {"cur": 1, "id": {"$gt": 70}}]
    assert source.plan(described, Position("1", ("70",)), 10).uses_index is True
