"""Documents as they lie in memory: fields, decimals, positions, without a server."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal

import bson
import numpy as np
import pytest
from bson import Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.binary import Binary, UuidRepresentation
from hypothesis import given
from hypothesis import strategies as st

from smartico_sync.sources.mongodb.decimals import decimal_texts
from smartico_sync.sources.mongodb.documents import CODEC, MISPLACED, Documents
from smartico_sync.sources.mongodb.types import BRACKETS, stored, text_of

NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
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


def test_uuids_of_old_drivers_are_bytes():
    """Subtype 3 has an order of bytes that depends on the driver that wrote it, so it is not read as a UUID."""
    old = Binary.from_uuid(uuid.UUID(int=5), UuidRepresentation.PYTHON_LEGACY)
    assert text_of(old) == f"3:{old.hex()}"
