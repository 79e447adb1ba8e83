"""MongoDB's types and paths beyond the contract."""

from __future__ import annotations

import datetime as dt
import uuid

import bson
import pytest
from bson import Decimal128, Int64, ObjectId, Timestamp
from bson.binary import Binary

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import ViewBroken
from sources.reading import page

BETS = Relation("bets", "cur", ("id",), relation="bets")
NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)


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
    found = page(on_mongodb.source(), BETS)
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
    found = page(on_mongodb.source(), BETS)
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
@pytest.mark.stand_in("mongodb")
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


@pytest.mark.stand_in("mongodb")
def test_keyless_cursors_that_mongodb_takes_for_equal_are_on_one_page(on_mongodb, mongodb_database, walk):
    """Numbers of different types compare by value, also where there is no key."""
    numbers = [0, 0.25, Decimal128("0.50"), 0.5, Decimal128("0.500"), 4]
    mongodb_database.here.bets.insert_many([{"_id": n, "cur": number} for n, number in enumerate(numbers)])
    source = on_mongodb.source()
    described = source.describe(Relation("bets", "cur", (), relation="bets"))
    for rows in (1, 2, 3):
        assert sorted(n for found in walk(source, described, rows) for n in found["_id"]) == list(range(6))


@pytest.mark.parametrize("pair", [(7, 7), (7, 7.0), (Int64(7), Decimal128("7.00")), (Decimal128("0.50"), 0.5)])
@pytest.mark.stand_in("mongodb")
def test_keys_that_mongodb_takes_for_equal_are_on_one_page(on_mongodb, mongodb_database, walk, pair):
    """Numbers of different types compare by value: no document hides behind the end of a page that holds its equal."""
    documents = [(1, 0), *((1, key) for key in pair), (1, 9), (2, 1)]
    mongodb_database.here.bets.insert_many(
        [{"_id": n, "cur": cur, "id": key} for n, (cur, key) in enumerate(documents)]
    )
    source = on_mongodb.source()
    described = source.describe(BETS)
    for rows in (1, 2, 3):
        assert sorted(value for found in walk(source, described, rows) for value in found["_id"]) == [0, 1, 2, 3, 4]
    with source.reading(described) as reading:
        assert reading.keys(None, "2", 2).height == 3
