"""What MongoDB promises beyond the contract: types, paths, moments, members, failures, a bad network."""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
import uuid
from decimal import Decimal

import bson
import numpy as np
import pytest
from bson import Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.binary import Binary, UuidRepresentation
from hypothesis import given
from hypothesis import strategies as st

import engines
from servers.certificates import Authority
from servers.mongodb import FINDER, OWNER, READER, STRANGER, Mongo
from smartico_sync.config.models import SourceConfig
from smartico_sync.core.position import Position
from smartico_sync.core.relation import Column, Relation
from smartico_sync.errors import ConfigError, SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.mongodb.decimals import decimal_texts
from smartico_sync.sources.mongodb.documents import CODEC, MISPLACED, Documents
from smartico_sync.sources.mongodb.plan import judge
from smartico_sync.sources.mongodb.types import BRACKETS, stored, text_of
from smartico_sync.sources.registry import open_source

BETS = Relation("bets", "cur", ("id",), relation="bets")
NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def on_mongodb(request):
    yield from engines.serve("mongodb", request)


@pytest.fixture
def emulated(mongodb_database):
    """A database of the emulator, whose answers to strange questions are tested."""
    if not mongodb_database.server.ports:
        pytest.skip("only the emulator tells what it was told")
    return mongodb_database


@pytest.fixture
def configured():
    """Open sources that are closed when the test ends."""
    sources = []

    def opened(url, **fields):
        sources.append(open_source("replica", SourceConfig.model_validate({"url": url, **fields})))
        return sources[-1]

    yield opened
    for source in sources:
        source.close()


def page(source, relation=BETS, after=None, limit=100):
    with source.reading(source.describe(relation)) as reading:
        return reading.page(after, limit)


def failing(client, code=0, commands=("aggregate",), times=1, **data):
    """Make the next of these commands fail."""
    told = {"failCommands": list(commands), "errorCode": code, **data}
    client.admin.command("configureFailPoint", "failCommand", mode={"times": times}, data=told)


# Documents as they lie in memory.

LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**31), 2**31 - 1) | st.integers(-(2**63), 2**63 - 1).map(Int64)
    | st.floats(allow_nan=False) | st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
    | st.binary(max_size=9) | st.binary(max_size=9).map(lambda data: Binary(data, 2)) | st.builds(ObjectId)
    | st.integers(0, 10**12).map(lambda ms: dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=ms))
    | st.sampled_from([Decimal128("1.50"), Regex("a.b", "i"), Timestamp(7, 8), bson.MinKey(), bson.Code("x"), bson.Code("x", {"y": 1})])
    | st.lists(st.integers(0, 9), max_size=3)
)  # fmt: skip
NAMES = st.sampled_from(["a", "b", "ab", "longer than eight", "longer than eighT", "é", "a b", "\x05", "0"])
TREES = st.dictionaries(NAMES, LEAVES | st.dictionaries(NAMES, LEAVES, max_size=4), max_size=6)
PATHS = [("a",), ("b",), ("longer than eight",), ("ab", "a"), ("a", "b"), ("\x05",), ("é", "longer than eighT"), ("0",)]


@given(trees=st.lists(TREES, max_size=12))
def test_fields_are_found_as_the_driver_finds_them(trees):
    """Whatever the order, the types and the names of fields: each path leads to the value that PyMongo decodes there."""
    data = [bson.encode(tree, codec_options=CODEC) for tree in trees]
    documents = Documents([b"".join(data[:5]), b"".join(data[5:])])
    decoded = [bson.decode(each, CODEC) for each in data]
    assert len(documents) == len(trees)
    for path, values in zip(PATHS, documents.fields(PATHS), strict=True):
        wanted = []
        for document in decoded:
            place = document
            for name in path:
                place = place.get(name) if isinstance(place, dict) else None if place is None else "misplaced"
            wanted.append(place)
        there = np.flatnonzero((values.kinds != 0) & (values.kinds != MISPLACED))
        found = [None] * len(trees)
        for row, value in zip(there.tolist(), documents.objects(values, there), strict=True):
            found[row] = value
        for row in np.flatnonzero(values.kinds == MISPLACED):
            found[row] = "misplaced"
        assert found == wanted


@given(data=st.binary(max_size=60))
def test_what_is_no_bson_is_refused_and_never_misread(data):
    """Bytes that are no documents: ValueError, or the documents that they happen to be."""
    try:
        documents = Documents([data])
        documents.fields([("a",), ("b", "c")])
    except ValueError:
        return
    assert len(documents) * 5 <= len(data)


@given(numbers=st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=None) | st.integers(-(10**18), 10**18).map(lambda n: Decimal(n) / 100), min_size=1))  # fmt: skip
def test_decimals_are_printed_with_the_digits_they_have(numbers):
    """A Decimal128 becomes plain notation, neither rounded nor shortened."""
    kept = [
        Decimal128(number)
        for number in numbers
        if len(number.as_tuple().digits) <= 34 and abs(number.adjusted()) < 6000
    ]
    halves = np.frombuffer(b"".join(each.bid for each in kept), np.int64).reshape(-1, 2)
    texts = decimal_texts(halves[:, 0].copy(), halves[:, 1].copy()).to_list()
    assert texts == [format(each.to_decimal(), "f") for each in kept]


VALUES = [
    ("number", [Int64(5), 7, 2.5, 0.1, Decimal128("0.10"), Decimal128("1E+20"), -(2**63), 2.0**70, float("inf")]),
    ("string", ["", "é", "a\0b", "true"]),
    ("objectId", [ObjectId("65e1c2800000000000000001")]),
    ("date", [NOON, NOON.replace(microsecond=1000), bson.datetime_ms.DatetimeMS(2**60)]),
    ("bool", [True, False]),
    ("timestamp", [Timestamp(1700000000, 3)]),
    ("binData", [b"\0\xff", Binary(b"x", 128), uuid.UUID(int=7)]),
]


@pytest.mark.parametrize(("bracket", "value"), [(name, value) for name, values in VALUES for value in values], ids=repr)
def test_a_position_becomes_the_value_again(bracket, value):
    """The text of a position stands for the very value it was made of, as MongoDB compares."""
    again = stored(BRACKETS[bracket], text_of(value))
    if bracket == "number":
        exact = [each.to_decimal() if isinstance(each, Decimal128) else Decimal(each) for each in (again, value)]
        assert exact[0] == exact[1]
    elif isinstance(value, dt.datetime):
        assert int(again) == value.timestamp() * 1000
    elif isinstance(value, uuid.UUID):
        assert again.as_uuid() == value
    elif bracket == "binData":
        assert (bytes(again), again.subtype) == (bytes(value), getattr(value, "subtype", 0))
    else:
        assert again == value


# Types and paths.


def test_every_type_arrives_without_loss(on_mongodb, mongodb_database):
    """Types that frames know arrive as such, all others as text or JSON; missing and null are null."""
    oid, token = ObjectId("65e1c2800000000000000001"), uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
    values = {
        "int": (7, 7),
        "long": (Int64(2**63 - 1), 2**63 - 1),
        "double": (0.1, 0.1),
        "decimal": (Decimal128("12345678901234567890.12345678901234"), "12345678901234567890.12345678901234"),
        "money": (Decimal128("-10.50"), "-10.50"),
        "text": ("é🎲", "é🎲"),
        "yes": (True, True),
        "at": (NOON.replace(microsecond=123000), NOON.replace(microsecond=123000)),
        "before": (dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(1, 1, 1, tzinfo=dt.UTC)),
        "oid": (oid, str(oid)),
        "token": (Binary.from_uuid(token), str(token)),
        "bytes": (b"\xde\xad", b"\xde\xad"),
        "stamp": (Timestamp(1700000000, 3), "1700000000.3"),
        "list": ([1, {"a": Decimal128("0.10")}, None], '[1,{"a":"0.10"},null]'),
        "docs": (
            [{"when": NOON, "who": oid, "n": 1.5}],
            f'[{{"when":"2024-03-01T12:00:00.000Z","who":"{oid}","n":1.5}}]',
        ),
        "empty": ({}, "{}"),
        "nothing": (None, None),
    }
    mongodb_database.here.bets.insert_many(
        [
            {"_id": 1, "cur": 1, "id": 1, **{name: value for name, (value, _) in values.items()}},
            {"_id": 2, "cur": 2, "id": 2},
        ]
    )
    found = page(on_mongodb.source())
    for name, (_, wanted) in values.items():
        assert found[name].to_list() == [wanted, None], name
    assert "@unreadable" not in found.columns


def test_a_value_that_does_not_fit_spoils_its_own_row_only(on_mongodb, mongodb_database):
    """What the sample did not show is converted where that loses nothing; else it is null, and `@unreadable` says why."""
    rows = [{"cur": n, "id": n, "n": n, "at": NOON, "flag": True, "p": {"mail": "x"}} for n in range(20)]
    mongodb_database.here.bets.insert_many(rows)
    source = on_mongodb.source()
    described = source.describe(BETS)
    odd = [
        {"cur": 30, "id": 30, "n": 2.0, "at": "2024-03-01T12:00:00Z", "flag": "true", "p": {"mail": 5}},
        {"cur": 31, "id": 31, "n": 2.5, "at": "soon", "flag": "perhaps", "p": "none"},
        {"cur": 32, "id": 32, "n": Decimal128("NaN"), "at": bson.datetime_ms.DatetimeMS(2**60), "p": None},
    ]
    mongodb_database.here.bets.insert_many(odd)
    with source.reading(described) as reading:
        found = reading.page(Position("19", ("19",)), 10)
    assert found["n"].to_list() == [2, None, None]
    assert found["at"].to_list() == [NOON, None, None]
    assert found["flag"].to_list() == [True, None, None]
    assert found["p.mail"].to_list() == ["5", None, None]
    reasons = found["@unreadable"].to_list()
    assert reasons[0] is None
    assert {part.split(":")[0] for part in reasons[1].split("; ")} == {"n", "at", "flag", "p.mail"}
    assert "soon" not in str(reasons)


def test_fields_of_several_types_lose_nothing(on_mongodb, mongodb_database):
    """Numbers of several types become floats only where no digit is lost; what has nothing in common becomes text."""
    rows = [
        {"cur": 1, "id": 1, "amount": 1, "exact": Decimal128("0.10"), "code": "A1", "big": Int64(2**60)},
        {"cur": 2, "id": 2, "amount": 2.5, "exact": 3, "code": 17, "big": 5},
    ]
    mongodb_database.here.bets.insert_many(rows)
    found = page(on_mongodb.source())
    assert found["amount"].to_list() == [1.0, 2.5]
    assert found["exact"].to_list() == ["0.10", "3"]
    assert found["code"].to_list() == ["A1", "17"]
    assert found["big"].to_list() == [2**60, 5]


def test_paths_of_documents_are_columns(on_mongodb, mongodb_database, walk):
    """`profile.email` is a column, a cursor and a key like any other; a field that is absent there is null."""
    rows = [
        {
            "_id": n,
            "meta": {"at": NOON + dt.timedelta(seconds=n // 3), "ids": {"no": n}},
            "profile": {"email": f"{n}@x"},
        }
        for n in range(9)
    ]
    mongodb_database.here.users.insert_many([*rows, {"_id": 99, "profile": {"email": "no cursor"}}])
    source = on_mongodb.source()
    described = source.describe(Relation("users", "meta.at", ("meta.ids.no",), relation="users"))
    pages = walk(source, described, 2)
    assert [value for found in pages for value in found["meta.ids.no"]] == list(range(9))
    assert [value for found in pages for value in found["profile.email"]] == [f"{n}@x" for n in range(9)]
    assert [column.name for column in described.columns] == ["_id", "meta.at", "meta.ids.no", "profile.email"]
    with source.reading(described) as reading:
        assert reading.null_cursors() == 1
        assert reading.keys(None, "2024-03-01 12:00:00.000Z", 9).height == 3


def test_a_document_that_is_a_map_becomes_one_column(on_mongodb, mongodb_database):
    """Keys that are data make no columns."""
    mongodb_database.here.bets.insert_many([{"cur": n, "id": n, "by": {f"k{n}": n}} for n in range(150)])
    names = [column.name for column in on_mongodb.source().describe(BETS).columns]
    assert names == ["_id", "cur", "id", "by"]


@pytest.mark.parametrize("value", [[NOON], {"x": [1, 2]}], ids=["array", "document"])
def test_an_array_in_the_order_is_told_and_never_skipped(on_mongodb, mongodb_database, value):
    """Documents are ordered by one value each: an array as cursor is a broken view, not a lost row."""
    mongodb_database.here.bets.insert_many([{"cur": NOON, "id": n} for n in range(5)])
    source = on_mongodb.source()
    described = source.describe(BETS)
    mongodb_database.here.bets.insert_one({"cur": value, "id": 9})
    with source.reading(described) as reading:
        if isinstance(value, list):
            with pytest.raises(ViewBroken) as broken:
                reading.page(None, 50)
            assert "unwind" in broken.value.hint
        else:
            assert reading.page(None, 50).height == 5
            assert reading.null_cursors() == 1


def test_dates_keep_their_milliseconds(on_mongodb, mongodb_database, walk):
    """Dates a millisecond apart stay apart, and many that are equal are walked by the key."""
    moments = [NOON + dt.timedelta(milliseconds=n // 4) for n in range(40)]
    mongodb_database.here.bets.insert_many([{"cur": moment, "id": n} for n, moment in enumerate(moments)])
    source = on_mongodb.source()
    pages = walk(source, source.describe(BETS), 3)
    assert [value for found in pages for value in found["id"]] == list(range(40))
    assert pages[1]["@cursor"].to_list() == [
        "2024-03-01 12:00:00.000Z",
        "2024-03-01 12:00:00.001Z",
        "2024-03-01 12:00:00.001Z",
    ]


@pytest.mark.parametrize(
    "cursors",
    [
        [ObjectId(f"{n:024x}") for n in range(7)],
        [0.5, 1, Int64(2), Decimal128("2.1"), 2.5, Int64(2**62), 2.0**70],
        [Timestamp(1, n) for n in range(7)],
        [Binary(bytes([n] * 16), 4) for n in range(7)],
        ["B", "a", "b", "é"],
    ],
    ids=["objectId", "numbers", "timestamp", "uuid", "text"],
)
def test_cursors_of_every_type_are_walked_in_mongodbs_order(on_mongodb, mongodb_database, walk, cursors):
    """Numbers of all types are one order, texts are ordered by their bytes, identifiers as MongoDB orders them."""
    mongodb_database.here.bets.insert_many([{"_id": n, "cur": cursor} for n, cursor in enumerate(cursors)])
    source = on_mongodb.source()
    described = source.describe(Relation("bets", "cur", (), relation="bets"))
    pages = walk(source, described, 2)
    assert [value for found in pages for value in found["_id"]] == list(range(len(cursors)))
    with source.reading(described) as reading:
        texts = [text for found in pages for text in found["@cursor"]]
        assert reading.by_cursor(texts).height == len(cursors)
        assert reading.head() == texts[-1]


def test_rows_of_another_type_are_counted(on_mongodb, mongodb_database):
    """A text among dates has no place in their order: not on a page, but in null_cursors() and without_cursor()."""
    rows = [{"cur": NOON, "id": n} for n in range(3)] + [
        {"cur": "soon", "id": 7},
        {"cur": float("nan"), "id": 8},
        {"id": 9},
    ]
    mongodb_database.here.bets.insert_many(rows)
    source = on_mongodb.source()
    described = source.describe(BETS)
    with source.reading(described) as reading:
        assert reading.page(None, 9)["id"].to_list() == [0, 1, 2]
        assert reading.null_cursors() == 3
        assert reading.without_cursor(9)["id"].to_list() == [7, 8, 9]
        assert reading.without_cursor(9, ("7",))["@key.0"].to_list() == ["8", "9"]


def test_an_empty_collection_waits_for_its_first_document(on_mongodb, mongodb_database):
    """Nobody knows the fields yet: the view says so, and is described when something is there."""
    mongodb_database.here.create_collection("bets")
    source = on_mongodb.source()
    with pytest.raises(ViewBroken, match="holds no document yet"):
        source.describe(BETS)
    mongodb_database.here.bets.insert_one({"cur": 1, "id": 1})
    assert source.describe(BETS).columns


def test_names_may_hold_dots(on_mongodb, mongodb_database):
    """A collection is named as MongoDB names it; quotes around the whole name do no harm."""
    mongodb_database.here["crm.bets"].insert_one({"cur": 1, "id": 1})
    for name in ("crm.bets", '"crm.bets"'):
        assert page(on_mongodb.source(), Relation("bets", "cur", ("id",), relation=name)).height == 1


# Queries.


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


# What the server is told.


def test_each_question_carries_its_view_its_limit_and_its_moment(emulated, configured):
    """The comment finds the query in the profiler; time, read concern and collation are those of the contract with the server."""
    emulated.here.bets.insert_many([{"cur": n, "id": n} for n in range(3)])
    page(configured(emulated.url, statement_timeout="7s"))
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


# Moments and members.


def members(private_mongodb, **settings):
    server = private_mongodb(secondary=True, **settings)
    client = server.owner()
    client.casino.bets.insert_many([{"cur": n, "id": n} for n in range(5)])
    return server, client


def at_member(server, port):
    return Mongo(ports=(port,), login=server.login)


def emulator_says(port, what):
    from pymongo import MongoClient

    with MongoClient("127.0.0.1", port, directConnection=True) as client:
        return client.admin.command({"emulator": what})


def test_a_secondary_is_read_and_named(private_mongodb, configured):
    """By default a secondary answers; facts() says so, and how far it is behind."""
    server, client = members(private_mongodb)
    with client:
        source = configured(server.url("casino"))
        assert page(source).height == 5
        facts = source.facts()
        assert facts.role == "physical standby"
        assert facts.replay_lag_ms is not None
        assert facts.fence


def test_the_clock_of_a_reading_stands_still_with_its_secondary(private_mongodb, configured):
    """A secondary that does not follow: the clock is the time up to which it is complete, not the wall clock."""
    server, client = members(private_mongodb)
    with client:
        source = configured(server.url("casino"))
        described = source.describe(BETS)
        emulator_says(server.ports[1], "hold")
        time.sleep(1.2)
        client.casino.bets.insert_one({"cur": 9, "id": 9})
        with source.reading(described) as reading:
            assert reading.clock_ms < time.time() * 1000 - 1000
            assert reading.page(None, 99).height == 5
        emulator_says(server.ports[1], "follow")
        with source.reading(described) as reading:
            assert reading.page(None, 99).height == 6
            assert reading.clock_ms > time.time() * 1000 - 2500


def test_no_reading_sees_less_than_one_before(private_mongodb, configured):
    """A member that lags behind what was read elsewhere waits until it has caught up, or the read is given up."""
    server, client = members(private_mongodb)
    with client:
        source = configured(server.url("casino"), statement_timeout="400ms")
        described = source.describe(BETS)
        emulator_says(server.ports[1], "hold")
        client.casino.bets.insert_one({"cur": 9, "id": 9})
        latest = client.admin.command("hello")["lastWrite"]["majorityOpTime"]["ts"]
        source._servers.seen(latest)  # as a reading from another member would have
        with pytest.raises(SourceCancelled), source.reading(described) as reading:
            reading.page(None, 99)
        emulator_says(server.ports[1], "follow")
        with source.reading(described) as reading:
            assert reading.page(None, 99).height == 6


def test_a_reading_is_one_moment_on_a_secondary(private_mongodb, configured):
    """What is committed while a reading is open does not appear in it, whichever question comes later."""
    server, client = members(private_mongodb)
    with client:
        source = configured(server.url("casino"))
        described = source.describe(BETS)
        with source.reading(described) as reading:
            assert reading.page(None, 2).height == 2
            client.casino.bets.insert_one({"cur": 9, "id": 9})
            assert reading.head() == "4"
            assert reading.count(None, "99") == 5


def test_another_member_takes_over(private_mongodb, configured):
    """After an election the next reading finds its way by itself."""
    server, client = members(private_mongodb)
    with client:
        source = configured(server.url("casino", readPreference="primary", heartbeatFrequencyMS=500))
        assert page(source).height == 5
        emulator_says(server.ports[0], "stepdown")
        deadline = time.monotonic() + 10
        while True:
            try:
                assert page(source).height == 5
                assert source.facts().role == "primary"
                break
            except (SourceError, AssertionError):
                assert time.monotonic() < deadline
                time.sleep(0.1)


@pytest.mark.parametrize(
    ("settings", "level"), [({"wire": 9}, "majority"), ({"kind": "standalone"}, "local")], ids=["old", "standalone"]
)
def test_without_snapshots_each_question_has_its_own(private_mongodb, configured, settings, level):
    """Before MongoDB 5.0, and on a single server, reads are of the majority or of the server; nothing else changes."""
    server = private_mongodb(**settings)
    url = f"mongodb://127.0.0.1:{server.ports[0]}/casino?directConnection=true"
    with Mongo(url).owner() as client:
        client.casino.bets.insert_many([{"cur": n, "id": n} for n in range(5)])
        source = configured(url)
        described = source.describe(BETS)
        with source.reading(described) as reading:
            assert reading.concern["level"] == level
            assert reading.page(None, 3).height == 3
            assert reading.head() == "4"
        told = " ".join(source.facts().warnings)
        assert ("no member of a replica set" in told) == (level == "local")


def test_a_collection_without_snapshots_is_read_by_majority(emulated, configured):
    """A server that refuses the snapshot is asked once more, and from then on this collection only as the majority has it."""
    emulated.here.bets.insert_many([{"cur": n, "id": n} for n in range(5)])
    source = configured(emulated.url)
    described = source.describe(BETS)
    failing(emulated.client, 72)
    with source.reading(described) as reading:
        assert reading.page(None, 9).height == 5
        assert reading.concern["level"] == "majority"
    assert page(source).height == 5
    emulated.here.others.insert_one({"cur": 1, "id": 1})
    with source.reading(source.describe(Relation("others", "cur", ("id",), relation="others"))) as reading:
        assert reading.concern["level"] == "snapshot"


# Failures.


@pytest.mark.parametrize(
    ("code", "failure"),
    [(13, SourceRefused), (18, SourceRefused), (50, SourceCancelled), (11601, SourceCancelled), (239, SourceCancelled), (246, SourceCancelled),
     (16020, ViewBroken), (241, ViewBroken), (167, ViewBroken)],
)  # fmt: skip
def test_failures_are_ours(emulated, configured, code, failure):
    """What the server refuses is told as our failure, with a hint, and without a word of the server's own."""
    emulated.here.bets.insert_many([{"cur": n, "id": n} for n in range(5)])
    source = configured(emulated.url)
    described = source.describe(BETS)
    failing(emulated.client, code)
    with pytest.raises(failure) as told, source.reading(described) as reading:
        reading.page(None, 9)
    assert told.value.hint
    assert "failpoint" not in told.value.message
    assert told.value.__cause__ is None
    assert page(source).height == 5


def test_a_broken_connection_is_tried_again_by_the_driver(emulated, configured):
    """A read that ends with its connection is repeated once, unseen."""
    emulated.here.bets.insert_many([{"cur": n, "id": n} for n in range(5)])
    source = configured(emulated.url)
    described = source.describe(BETS)
    failing(emulated.client, closeConnection=True)
    with source.reading(described) as reading:
        assert reading.page(None, 9).height == 5
    failing(emulated.client, closeConnection=True, times=9)
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:
        reading.page(None, 9)
    emulated.client.admin.command("configureFailPoint", "failCommand", mode="off", data={})
    assert page(source).height == 5


def test_the_server_ends_a_slow_query(emulated, configured):
    """statement_timeout holds on the server."""
    emulated.here.bets.insert_one({"cur": 1, "id": 1})
    source = configured(emulated.url, statement_timeout="200ms")
    described = source.describe(BETS)
    failing(emulated.client, blockConnection=True, blockTimeMS=5000)
    with pytest.raises(SourceCancelled), source.reading(described) as reading:
        reading.page(None, 9)


def test_a_black_hole_is_noticed(emulated, configured, proxied):
    """A network that swallows everything ends as unreachable, within a few times statement_timeout."""
    emulated.here.bets.insert_one({"cur": 1, "id": 1})
    proxy = proxied(emulated.server.ports[0])
    url = f"mongodb://127.0.0.1:{proxy.port}/{emulated.name}?directConnection=true"
    source = configured(url, statement_timeout="300ms")
    described = source.describe(BETS)
    proxy.black_hole()
    begun = time.monotonic()
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:
        reading.page(None, 9)
    assert time.monotonic() - begun < 8
    proxy.mend()
    proxy.drop()
    deadline = time.monotonic() + 15
    while True:
        try:
            assert page(source).height == 1
            break
        except SourceError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_nobody_there_is_told_with_the_place(configured):
    """A port that nobody listens on: unreachable, with host and database, without the password."""
    source = configured(
        "mongodb://reader:hush%40@127.0.0.1:1/casino?serverSelectionTimeoutMS=300", statement_timeout="300ms"
    )
    with pytest.raises(SourceUnreachable) as told:
        source.facts()
    assert "127.0.0.1:1/casino" in told.value.message
    assert "hush" not in f"{told.value.message} {told.value.hint}"


def test_close_lets_the_waiting_go(emulated, configured):
    """close() ends a read that is under way with SourceUnreachable, at once."""
    emulated.here.bets.insert_one({"cur": 1, "id": 1})
    source = configured(emulated.url)
    described = source.describe(BETS)
    failing(emulated.client, blockConnection=True, blockTimeMS=3000)
    threading.Timer(0.2, source.close).start()
    begun = time.monotonic()
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:
        reading.page(None, 9)
    assert time.monotonic() - begun < 2


def test_a_restart_is_survived(private_mongodb, configured, proxied):
    """A server that comes back is read again by the same source."""
    first = private_mongodb()
    proxy = proxied(first.ports[0])
    source = configured(f"mongodb://127.0.0.1:{proxy.port}/casino?directConnection=true", statement_timeout="1s")
    with first.owner() as client:
        client.casino.bets.insert_one({"cur": 1, "id": 1})
    described = source.describe(BETS)
    private_mongodb.running[0].stop()
    with pytest.raises(SourceUnreachable), source.reading(described) as reading:
        reading.page(None, 9)
    second = private_mongodb()
    with second.owner() as client:
        client.casino.bets.insert_many([{"cur": n, "id": n} for n in range(3)])
    proxy.target = second.ports[0]
    deadline = time.monotonic() + 15
    while True:
        try:
            assert page(source).height == 3
            break
        except SourceError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


# Logins.


def logged_in(server, user, **parameters):
    from urllib.parse import quote

    return Mongo(ports=server.ports, login=f"{user[0]}:{quote(user[1], safe='')}@").url(
        "casino", authSource="admin", **parameters
    )


def test_a_login_may_read_and_no_more(private_mongodb, configured):
    """A password of any characters works; facts() warns of a user that may write, and not of one that may only read."""
    server = private_mongodb(users=[OWNER, READER, STRANGER])
    with Mongo(logged_in(server, OWNER)).owner() as client:
        client.casino.bets.insert_one({"cur": 1, "id": 1})
    source = configured(logged_in(server, READER))
    assert page(source).height == 1
    assert source.facts().warnings == ()
    (warning,) = configured(logged_in(server, OWNER)).facts().warnings
    assert warning.startswith("owner may do more than read: insert on any database.*")
    assert "role read" in warning
    with pytest.raises(SourceRefused) as refused:
        configured(logged_in(server, STRANGER)).facts()
    assert "grantRolesToUser" in refused.value.hint


def test_the_right_to_find_is_enough(private_mongodb, configured):
    """A role that may find in the views and do nothing else: described, read, checked and named."""
    server = private_mongodb(users=[OWNER, FINDER])
    with Mongo(logged_in(server, OWNER)).owner() as client:
        client.casino.bets.insert_one({"cur": 1, "id": 1})
    source = configured(logged_in(server, FINDER))
    described = source.describe(BETS)
    with source.reading(described) as reading:
        assert reading.page(None, 9).height == 1
        assert reading.page(Position("1", ("1",)), 9).height == 0
    assert source.facts().warnings == ()
    assert source.plan(described, None, 9).text
    assert source.relations() == ("bets",)


def test_a_wrong_password_is_refused_and_not_shown(private_mongodb, configured):
    """The login is refused with the place to look at; neither password nor its shape is told."""
    server = private_mongodb(users=[READER])
    with pytest.raises(SourceRefused) as refused:
        configured(logged_in(server, ("reader", "wr0ng", ""))).facts()
    assert "authSource" in refused.value.hint
    assert "wr0ng" not in str(refused.value) + refused.value.hint


def test_a_server_without_logins_is_told(on_mongodb, emulated):
    """Whoever reaches it may write: that is a warning."""
    assert any("nobody logged in" in warning for warning in on_mongodb.source().facts().warnings)


def bundle(pair, path):
    path.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
    path.chmod(0o600)
    return path


def test_tls_with_certificates_of_both_sides(private_mongodb, configured, tmp_path):
    """The server's certificate is verified by tlsCAFile; the client's logs in by itself with MONGODB-X509."""
    authority = Authority(tmp_path)
    served = bundle(authority.issue("localhost", address="127.0.0.1"), tmp_path / "served.pem")
    mine = bundle(authority.issue("smartico-reader"), tmp_path / "mine.pem")
    tls = {"certificate": str(served), "authority": str(authority.certificate)}
    server = private_mongodb(users=[OWNER], tls=tls)
    files = {"tls": "true", "tlsCAFile": authority.certificate, "tlsCertificateKeyFile": mine}
    with Mongo(logged_in(server, OWNER, **files)).owner() as client:
        client.casino.bets.insert_one({"cur": 1, "id": 1})
    x509 = {"authMechanism": "MONGODB-X509", "authSource": "$external"}
    assert page(configured(server.url("casino", **files, **x509))).height == 1
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    wrong = {**files, "tlsCAFile": other.certificate, "serverSelectionTimeoutMS": 500}
    with pytest.raises(SourceUnreachable) as refused:
        configured(server.url("casino", **wrong), statement_timeout="500ms").facts()
    assert "tlsCAFile" in refused.value.hint
    plain = configured(server.url("casino", serverSelectionTimeoutMS=500), statement_timeout="500ms")
    with pytest.raises(SourceUnreachable):
        plain.facts()


# URLs.


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mongodb://h/casino?colour=red", "colour"),
        ("mongodb://h/casino?sample=all", "sample"),
        ("mongodb://h", "no database"),
        ("mongodb:///casino", "no host"),
        ("mongodb://h/casino?readPreference=best", "readPreference"),
        ("mongodb://u:hush@h/casino?maxStalenessSeconds=x", "maxStalenessSeconds"),
        ("mongodb://h/casino?tls=true&tlsCAFile=/nowhere.pem", "tlsCAFile"),
        ("mongodb://h:port/casino", "port"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_before_the_first_poll(configured, url, told):
    """The parameter is named, and the known ones; secrets are not."""
    with pytest.raises(ConfigError) as wrong:
        configured(url)
    assert told.lower() in f"{wrong.value.message} {wrong.value.hint}".lower()
    assert "hush" not in f"{wrong.value.message} {wrong.value.hint}"


def test_urls_of_all_kinds_are_taken(configured):
    """Several hosts, IPv6, options of writers, options of the source, and SRV records, which are looked up later."""
    login = configured(
        "mongodb://u:p@a:27018,[::1]:27019/casino?retryWrites=true&w=majority&ssl=true", options={"replicaSet": "rs0"}
    )._servers.login
    address = login.address()
    assert address.startswith("mongodb://a:27018,[::1]:27019/casino?")
    assert "replicaSet=rs0" in address
    assert "tls=true" in address
    assert "maxStalenessSeconds=120" in address
    assert "w=" not in address
    assert "p@" not in address
    assert "maxStaleness" not in configured("mongodb://h/casino?readPreference=primary")._servers.login.address()
    assert (
        configured("mongodb+srv://cluster.example/casino")
        ._servers.login.address()
        .startswith("mongodb+srv://cluster.example/casino?")
    )


# Plans, as servers print them.

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


def test_explain_may_echo_the_oldest_date_there_is(on_mongodb, emulated):
    """Bounds are dates that no calendar has; an answer that holds them is read all the same."""
    emulated.here.bets.insert_many([{"cur": NOON, "id": 1}])
    source = on_mongodb.source()
    described = source.describe(BETS)
    assert source.plan(described, None, 5).uses_index is False
    with source.reading(described) as reading:
        told = reading.session.command({"emulator": "commands"}, "a test", "admin")["commands"]
    assert any("explain" in each for each in told)


def test_uuids_of_old_drivers_are_bytes():
    """Subtype 3 has an order of bytes that depends on the driver that wrote it, so it is not read as a UUID."""
    old = Binary.from_uuid(uuid.UUID(int=5), UuidRepresentation.PYTHON_LEGACY)
    assert text_of(old) == f"3:{old.hex()}"
