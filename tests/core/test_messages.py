"""Messages become rows: exact numbers, what is absent, formats, and what cannot be read."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from smartico_sync.core.messages.exact import ABSENT, Number, Undecodable, as_json, as_text, object_of, objects_of
from smartico_sync.core.messages.frames import frame_of
from smartico_sync.core.messages.layout import Layout, field_of
from smartico_sync.core.messages.message import Message, Messages, place_of, split_place
from smartico_sync.core.messages.reader import Reader
from smartico_sync.core.messages.rows import PLACE_KEY, learnt, read
from smartico_sync.core.relation import Column, Relation

OWN = (Column("@lane", "t", "text"), Column("@offset", "t", "decimal"), Column("@time", "t", "instant"))
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.text())
NAMES = st.sampled_from(["a", "b", "c_d", "E"])


def message(body, offset=0, **more):
    value = body if isinstance(body, bytes | None) else json.dumps(body, ensure_ascii=False).encode()
    return Message("t/0", offset, 1_767_225_600_000, more.get("key"), value, more.get("headers", {}))


def rows(messages, layout=None, key=PLACE_KEY, absence=frozenset()):
    table = read(messages, layout or Layout())
    columns = (*OWN, *(Column(name, family, family) for name, family in learnt(table, {}).items()))
    known = {column.name for column in columns}
    columns = (*columns, *(Column(name, "text", "text") for name in key if name not in known))
    relation = Relation("v", "@time", key, "t", columns=columns, version="")
    return table, frame_of(table, relation, absence)


@given(st.lists(DECIMALS, min_size=1))
def test_a_number_keeps_every_digit(numbers):
    """However long it is, and whatever zeros it ends with."""
    texts = [format(number, "f") for number in numbers]
    _, frame = rows([message(f'{{"n": {text}}}'.encode(), place) for place, text in enumerate(texts)])
    assert frame.get_column("n").to_list() == [str(int(text)) if "." not in text else text for text in texts]


# Bodies that would be others together than one by one.
PIECES = st.sampled_from([
    b'{"a":1}', b'{"a":[1', b"2]}", b"{},{}", b'{"a":', b"1}", b"", b" ", b'{"a":"}', b'{","b":1}', b"[]", b"null", b"\xef\xbb\xbf{}",
    b'{"a":8614502917336405927}', b"{},8614502917336405927,{}", b"8614502917336405927", b'{"n":1.50}', b"\xff", b'{"a":"\\u0041"}',
])  # fmt: skip


@given(st.lists(PIECES))
def test_bodies_that_are_read_together_hold_what_each_holds(bodies):
    """Whatever they look like side by side; where one of them is no object, none is read so."""
    together = objects_of(bodies)
    if together is not None:
        assert together == [object_of(body) for body in bodies]
    table = read([message(body, place) for place, body in enumerate(bodies)], Layout())
    assert table.rows == len(bodies)
    for place, body in enumerate(bodies):
        try:
            expected = object_of(body)
        except Undecodable:
            assert place in table.reasons
            continue
        assert place not in table.reasons
        assert {name: cells[place] for name, cells in table.cells.items() if cells[place] is not ABSENT} == {
            name: value for name, value in expected.items() if name != ","
        }


def test_ordinary_bodies_are_read_together():
    """Also with a condition, at a root, and where the members are not the same in each."""
    assert objects_of([b'{"a":1.50}', b'{ "b": [1]}']) == [{"a": "1.50"}, {"b": [1]}]
    layout = Layout(root=("p",), where=((field_of("", "s"), ("yes",)),))
    table = read([message({"p": {"s": word, "n": n}}, n) for n, word in enumerate(["yes", "no", "yes"])], layout)
    assert table.cells["n"] == [0, 2]
    assert table.skipped == {"where": 1}


@given(st.lists(st.dictionaries(NAMES, SCALARS), min_size=1))
def test_a_row_holds_what_its_message_says_and_null_is_not_absent(bodies):
    """Every member under its name, as text; `@absent` where it says nothing of it."""
    table, frame = rows([message(body, place) for place, body in enumerate(bodies)], absence=frozenset("ab"))
    assert table.rows == len(bodies)
    assert frame.get_column("@cursor").to_list() == [f"t/0@{place}" for place in range(len(bodies))]
    for name in {name for body in bodies for name in body if any(b.get(name) is not None for b in bodies)}:
        values = frame.get_column(name).to_list()
        expected = [body.get(name) for body in bodies]
        if frame.schema[name] == pl.String:
            expected = [None if value is None else as_text(value) for value in expected]
        assert values == expected
    for name in "ab":
        absent = [name not in body for body in bodies]
        if f"@absent.{name}" in frame.columns:
            assert frame.get_column(f"@absent.{name}").to_list() == absent
        else:
            assert not any(absent)


@given(st.binary(max_size=40))
def test_no_bytes_break_a_page(body):
    """Whatever a producer writes: each message is a row, readable or not."""
    table, frame = rows([message(b'{"a": 1}', 0), message(body, 1), message(b'{"a": 2}', 2)])
    assert table.rows == 3
    assert frame.get_column("a").to_list()[::2] == ["1", "2"]


@given(st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3)))
def test_a_document_is_written_as_it_was_read(value):
    """Objects and lists go on as JSON, equal to what was there."""
    again = json.loads(as_json(object_of(json.dumps({"x": value}).encode())))
    assert again == {"x": value}


def test_the_digits_inside_a_document_stay():
    """Also there no number goes through a float."""
    assert as_json(object_of(b'{"x": [1.50, 12345678901234567890.10]}')) == '{"x":[1.50,12345678901234567890.10]}'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"\xff", "not JSON"), (b'{"a": 1', "not JSON"), (b'"text"', "no JSON object"), (b"[1]", "no JSON object"),
        (b"\x00\x00\x00\x00\x07\x02b1", "Avro or Protobuf"), (b"\x1f\x8b\x08\x00", "gzip"), ("{}".encode("utf-16"), "UTF-16"),
 (b'{"a": NaN}', "not JSON"), (b'{"a": "\\ud800"}', "not JSON"), (b"", "not JSON"),
 (b"[" * 100_000, "too deeply"), (b'{"a": ' * 3_000 + b"1" + b"}" * 3_000, "too deeply"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_why_and_holds_no_value(body, said):
    """The reason goes into dead letters and logs."""
    with pytest.raises(Undecodable, match=said) as caught:
        object_of(body)
    assert body.decode("utf-8", "replace") not in str(caught.value) or not body


@pytest.mark.parametrize("value", ["1E400", "-1e999", '{"x": [1E400]}', "9" * 400 + ".5"])
def test_a_number_beyond_all_bounds_costs_its_message(value):
    """No program could hold it; its neighbours are read."""
    bodies = [f'{{"a": {text}}}'.encode() for text in ("1.50", value, "1e3")]
    table, frame = rows([message(body, place) for place, body in enumerate(bodies)])
    assert table.reasons == {1: "the message: a is a number beyond all bounds"}
    assert frame.get_column("a").to_list() == ["1.50", None, "1e3"]


@pytest.mark.parametrize("others", [("1", "2"), ("1.5", "2"), ('"x"', "2"), ("null", "[1]")])
def test_a_whole_number_beyond_all_bounds_costs_its_message(others):
    """Whatever stands beside it in its column; one of thousands of digits is never written out."""
    for digits in (400, 5_000):
        bodies = [f'{{"a": {text}}}'.encode() for text in (others[0], "-" + "9" * digits, others[1])]
        _, frame = rows([message(body, place) for place, body in enumerate(bodies)])
        told = frame.get_column("@unreadable").to_list()
        assert (told[0], told[2]) == (None, None)
        assert told[1].endswith("a number beyond all bounds")
        assert frame.get_column("a").to_list()[1] is None


def test_a_byte_order_mark_does_no_harm():
    """Some programs write one."""
    assert object_of(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_a_column_of_two_types_is_text():
    """And stays so, whatever comes later."""
    table = read([message({"a": 1}), message({"a": "x"}, 1)], Layout())
    assert learnt(table, {}) == {"a": "text"}
    assert learnt(read([message({"a": True})], Layout()), {"a": "text"}) == {"a": "text"}
    assert learnt(read([message({"a": True})], Layout()), {}) == {"a": "boolean"}


def test_a_message_without_its_key_is_no_event():
    """Two of them would be one event."""
    _, frame = rows([message({"id": 1}), message({"x": 1}, 1)], key=("id",))
    assert frame.get_column("@unreadable").to_list() == [None, "the message: id is missing, and it is its key"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.list.1.id", "2"), ("a.list.7.id", None), ("a.list.x", None), ("a.b.c", "dotted"), ("a.d.e", None), ("1", "one"),
        ("a.list.0", '{"id":1.50}'),
    ],
)  # fmt: skip
def test_paths_go_through_lists_and_names_with_dots(path, found):
    """A number is an item of a list, and a name of an object; what is not there says nothing."""
    body = b'{"a": {"list": [{"id": 1.50}, {"id": 2}], "b.c": "dotted", "d": 1}, "1": "one"}'
    table = read([message(body)], Layout(fields=(field_of("x", path),), members="listed"))
    assert as_text(table.cells["x"][0]) == found


def test_conditions_and_paths():
    """`where` by member, header and key; `fields` from anywhere."""
    layout = Layout(
        root=("payload",),
        fields=(field_of("who", "user.id"), field_of("kind", "headers.type"), field_of("env", "value.eventType"),
                field_of("k", "key.id"), field_of("at", "when", "epoch_ms"), field_of("day", "born", "days"), field_of("o", "message.offset")),
        where=((field_of("status", "status"), ("ok", None)), (field_of("type", "headers.type"), ("A",))),
        members="listed",
    )  # fmt: skip
    body = {"eventType": "bet", "payload": {"user": {"id": 7}, "when": 1_767_225_600_123, "born": 7300, "status": "ok"}}
    good = message(body, 5, headers={"type": b"A"}, key=b'{"id": "k1"}')
    unmeant = message(b"not even JSON", 6, headers={"type": b"B"})
    late = message({**body, "payload": {"status": "no"}}, 7, headers={"type": b"A"})
    table, frame = rows([good, unmeant, late], layout)
    assert table.skipped == {"where": 2}
    found = frame.to_dicts()[0]
    assert (found["who"], found["kind"], found["env"], found["k"], found["o"]) == ("7", "A", "bet", "k1", "5")
    assert (found["at"], found["day"]) == ("2026-01-01T00:00:00.123000Z", "1989-12-27")
    assert layout.needs == {"headers"}


@pytest.mark.parametrize(
    ("value", "text"),
    [(datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00+00:00"), (Decimal("12.50"), "12.50"), (7, "7")],
)
def test_a_header_s_own_types_are_text(value, text):
    """AMQP has times and decimals; a column and a condition read them as JSON would have them."""
    layout = Layout(fields=(field_of("x", "headers.at"),), where=((field_of("h", "headers.at"), (text,)),))
    table = read([message({}, headers={"at": value})], replace(layout, members="listed"))
    assert list(map(as_text, table.cells["x"])) == [text]


@pytest.mark.parametrize("path", ["key", "headers.player", "properties.user_id", "message.key"])
def test_bytes_that_are_no_text_are_not_another_player(path):
    """Such as numbers of eight bytes: the message is given up by itself, with where it was. To a condition they are none of its words."""

    def made(number, player):
        made = message({"n": number}, number, key=player, headers={"player": player})
        return made._replace(properties={"user_id": player})

    bodies = [made(0, b"7"), made(1, (200).to_bytes(8, "big")), made(2, "größer".encode()), made(3, b"\xfe")]
    layout = Layout(fields=(field_of("who", path),), members="listed")
    for table in (read(bodies, layout), Reader(layout).read(Messages.of(bodies))):
        assert table.cells["who"] == ["7", ABSENT, "größer", ABSENT]
        assert table.reasons == dict.fromkeys((1, 3), "the message: it holds bytes that are no text in UTF-8, at who")
    chosen = Layout(where=((field_of("who", path), ("größer",)),))
    for table in (read(bodies, chosen), Reader(chosen).read(Messages.of(bodies))):
        assert (table.rows, table.reasons, table.skipped) == (1, {}, {"where": 3})


def test_tombstones_are_skipped_or_given_up():
    """As the configuration says."""
    assert read([message(None)], Layout()).skipped == {"tombstone": 1}
    table = read([message(None)], Layout(on_tombstone="dead_letter"))
    assert table.reasons == {0: "the message: it has no body"}


def debezium(row, op="c", schema=None, before=None):
    payload = {"before": before, "after": row, "op": op, "source": {"ts_ms": 1}}
    if schema is None:
        return payload
    fields = [{"field": name, **each} for name, each in schema.items()]
    return {"schema": {"fields": [{"field": "after", "fields": fields}, {"field": "op"}]}, "payload": payload}


def test_debezium_rows_are_those_after_the_change():
    """Created, updated, read at first, deleted; with an envelope or flattened; a truncation is no row."""
    layout = Layout("debezium")
    bodies = [
        debezium({"id": 1}), debezium({"id": 2}, "u", before={"id": 1}), debezium({"id": 3}, "r"), debezium(None, "d", before={"id": 1}),
        {"op": "t", "before": None, "after": None}, {"id": 4, "__op": "u", "__deleted": "false"}, {"id": 5, "__deleted": "true"},
        {"id": 6, "big": "__debezium_unavailable_value"},
    ]  # fmt: skip
    table, frame = rows([message(body, place) for place, body in enumerate(bodies)], layout, absence=frozenset({"big"}))
    assert frame.get_column("id").to_list() == ["1", "2", "3", "4", "6"]
    assert table.skipped == {"deleted": 2, "nothing": 1}
    assert table.snapshot == {2}
    assert "big" not in frame.columns


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20))
def test_debezium_decimals_are_exact(value):
    """Written as the bytes of their unscaled value."""
    unscaled = int(value.scaleb(4))
    size = (unscaled.bit_length() + 8) // 8
    body = base64.b64encode(unscaled.to_bytes(size, "big", signed=True)).decode()
    schema = {"n": {"name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "4"}}}
    _, frame = rows([message(debezium({"n": body}, schema=schema))], Layout("debezium"))
    assert Decimal(frame.get_column("n").item()) == value


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("io.debezium.time.Date", 20_454, "2026-01-01"),
        ("io.debezium.time.Timestamp", 1_767_225_600_123, "2026-01-01T00:00:00.123000"),
        ("io.debezium.time.MicroTimestamp", 1_767_225_600_123_456, "2026-01-01T00:00:00.123456"),
        ("io.debezium.time.NanoTimestamp", 1_767_225_600_123_456_789, "2026-01-01T00:00:00.123456"),
        ("io.debezium.time.MicroTimestamp", -1, "1969-12-31T23:59:59.999999"),
        ("io.debezium.time.ZonedTimestamp", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("io.debezium.time.Date", 10**12, None),
    ],
)
def test_debezium_times_are_times(name, value, expected):
    """By the name of their type; one beyond all calendars costs its message."""
    table, frame = rows([message(debezium({"t": value}, schema={"t": {"name": name}}))], Layout("debezium"))
    if expected is None:
        assert "calendars" in table.reasons[0]
    else:
        assert frame.get_column("t").item() == expected


@given(st.text(st.characters(blacklist_categories=["Cs"])), st.integers(0, 2**63 - 1))
def test_a_place_is_read_back(lane, offset):
    """Whatever a queue is called."""
    assert split_place(place_of(Message(lane, offset, 0, None, None))) == (lane, offset)


def test_a_number_is_a_text():
    """What tells it from a text is its type."""
    assert isinstance(object_of(b'{"a": 1.0}')["a"], Number)


LAYOUTS = st.sampled_from([
    Layout(),
    Layout(root=("p",)),
    Layout(root=("p", "q"), fields=(field_of("env", "value.a"), field_of("deep", "b.c")), members="all"),
    Layout(fields=(field_of("x", "a"), field_of("deep", "b.c"), field_of("k", "key.a"), field_of("kind", "headers.h")), members="listed"),
    Layout(fields=(field_of("at", "a", "epoch_ms"), field_of("n", "message.offset")), members="listed", on_tombstone="dead_letter"),
    Layout(root=("p",), where=((field_of("a", "a"), ("1", "x", None)), (field_of("v", "value.b"), (None, "true"))), members="all"),
    Layout(where=((field_of("h", "headers.h"), ("yes",)), (field_of("b", "b.c"), ("1", None)))),
    Layout(fields=(field_of("own", "value.p"), field_of("dot", "p.a"))),
    Layout(root=("p",), fields=(field_of("own", "value.p"),)),
    Layout(fields=(field_of("whole", "value"),), members="listed"),
    Layout("debezium"),
])  # fmt: skip
MEMBERS = st.sampled_from(["a", "b", "c", "p", "q", "not a name", "é", "@lane", ""])
WRITTEN = st.recursive(
    SCALARS | st.sampled_from([1.5, 1e300, "1", "x", "yes"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(MEMBERS, inner, max_size=4),
    max_leaves=6,
)
WRAPPED = st.dictionaries(MEMBERS, WRITTEN, max_size=4).map(lambda inner: {"p": {"q": inner, **inner}, **inner})
BODIES = st.one_of(
    st.dictionaries(MEMBERS, WRITTEN, max_size=4).map(lambda body: json.dumps(body).encode()),
    st.builds(lambda body, plain: json.dumps(body, ensure_ascii=plain).encode("utf-8", "surrogatepass"), WRAPPED, st.booleans()),
    st.sampled_from([
        None, b"", b"[]", b"{}", b'{"p":null}', b'{"p":{"a":1,"a":2.50,"q":{}},"p":{"b":1}}', b'{"a":1E400,"b":1E400}', b'{"p":{"a":1},"z":"\xff"}',
        b'{"p":{"q":{},"a":"\xed\xa0\x80"}}', b'\xef\xbb\xbf{"a":1}', b'{"a":1}\n{"b":1}', b'{"a":[{"a":1}', b'{"b":2}]}', b'{"\\u0061":7}', b'{"\xff":1}',
        b'{"a":' + b"9" * 400 + b".5}", b'{"p":{"q":{"b":{"c":1.10}}}}', b'{"a":01}', b'{"p":{"a":"x","b":true},"b":true}', b'{"quo\\"te":1}',
    ]),
)  # fmt: skip


@given(
    LAYOUTS, st.lists(st.lists(st.tuples(BODIES, st.sampled_from([b"yes", "no"])), max_size=6), min_size=1, max_size=4)
)
def test_a_page_that_is_read_at_once_holds_what_each_message_holds_alone(layout, pages):
    """Whatever messages it has learnt from before, and whichever of them cannot be read or is not meant."""
    reader, offset = Reader(layout), 0
    for bodies in pages:
        page = [
            message(body, offset + place, key=b'{"a": 1}', headers={"h": word})
            for place, (body, word) in enumerate(bodies)
        ]
        offset += len(page)
        found, expected = reader.read(Messages.of(page)), read(page, layout)
        assert [*found.messages] == [*expected.messages]
        assert (found.cells, found.types) == (expected.cells, expected.types)
        assert (found.reasons, found.skipped, found.snapshot) == (expected.reasons, expected.skipped, expected.snapshot)
        assert learnt(found, {}) == learnt(expected, {})


def test_members_that_were_seen_are_read_at_once(monkeypatch):
    """Only a page that brings others is read message by message."""
    reader = Reader(Layout(root=("p",)))
    pages = [
        [message({"p": {"a": 1}, "x": [1]})],
        [message({"p": {"a": 2}})],
        [message({"p": {"b": 3}})],
        [message({"p": {"b": 4}})],
    ]
    alone = []
    monkeypatch.setattr(
        "smartico_sync.core.messages.reader.read", lambda page, layout: alone.append(page) or read(page, layout)
    )
    found = [reader.read(Messages.of(page)).cells for page in pages]
    assert found == [{"a": [1]}, {"a": [2]}, {"b": [3]}, {"b": [4]}]
    assert len(alone) == 2


@given(
    st.lists(
        st.builds(
            message,
            st.just({}),
            st.integers(),
            key=st.none() | st.binary(),
            headers=st.dictionaries(st.text(), st.text()),
        )
    ),
    st.data(),
)
def test_messages_in_columns_are_the_messages(page, data):
    """One by one, in parts, chosen, and put together again."""
    columns = Messages.of(page)
    assert [*columns] == page == [columns[place] for place in range(len(page))]
    cut = data.draw(st.integers(0, len(page)))
    assert [*(columns[:cut] + columns[cut:])] == page
    which = data.draw(st.lists(st.booleans(), min_size=len(page), max_size=len(page)))
    assert [*columns.chosen(which)] == [each for each, chosen in zip(page, which, strict=True) if chosen]
