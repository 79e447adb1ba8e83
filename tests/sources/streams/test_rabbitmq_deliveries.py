"""Deliveries that are cut out of what comes are those that the client would have made of it."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import BasicProperties
from pika.channel import ContentFrameAssembler
from pika.exceptions import InvalidFrameError
from pika.frame import Body, Header, Heartbeat, Method, decode_frame
from pika.spec import Basic, Channel

from smartico_sync.sources.rabbitmq.deliveries import Deliveries

MOST = 50  # bytes of a body frame here
SHORT = st.text(max_size=8)
PROPERTIES = st.builds(
    BasicProperties,
    type=st.none() | SHORT,
    timestamp=st.none() | st.integers(0, 2**40),
    delivery_mode=st.sampled_from([None, 1, 2]),
    headers=st.none() | st.dictionaries(SHORT, SHORT | st.integers(-(2**40), 2**40) | st.booleans(), max_size=3),
)
OURS = st.tuples(
    st.just("ours"),
    st.sampled_from([1, 2]),
    st.integers(0, 2**63),
    st.booleans(),
    SHORT,
    PROPERTIES,
    st.binary(max_size=130),
)
OTHERS = st.tuples(st.sampled_from(["heartbeat", "answer", "another's", "another tag"]), st.binary(max_size=60))


def frames_of(item):
    """The frames of a delivery, or of something else."""
    if item[0] == "heartbeat":
        return [Heartbeat()]
    if item[0] == "answer":
        return [Method(1, Basic.QosOk())]
    if item[0] != "ours":
        channel, tag = (3, "ctag3.0") if item[0] == "another's" else (1, "stranger")
        deliver = Basic.Deliver(tag, 7, False, "", "q")
        return [Method(channel, deliver), *content(channel, BasicProperties(), item[1])]
    _, channel, tag, redelivered, key, properties, body = item
    return [
        Method(channel, Basic.Deliver(f"ctag{channel}.0", tag, redelivered, "", key)),
        *content(channel, properties, body),
    ]


def content(channel, properties, body):
    return [
        Header(channel, len(body), properties),
        *(Body(channel, body[at : at + MOST]) for at in range(0, len(body), MOST)),
    ]


def as_the_client(data):
    """What the client makes of bytes: deliveries to us, and how many other frames there were."""
    assemblers, found, other = {}, [], 0
    while data:
        used, frame = decode_frame(data)
        data = data[used:]
        if isinstance(frame, Heartbeat) or (isinstance(frame, Method) and not isinstance(frame.method, Basic.Deliver)):
            other += 1
            continue
        made = assemblers.setdefault(frame.channel_number, ContentFrameAssembler()).process(frame)
        if made:
            method, header, body = made
            tag = (method.channel_number, method.method.consumer_tag)
            if tag in ((1, "ctag1.0"), (2, "ctag2.0")):
                found.append((tag[0], method.method.delivery_tag, method.method.redelivered, header.properties, body))
    return found, other


@given(st.lists(OURS | OTHERS, max_size=12), st.data())
def test_deliveries_are_those_of_the_client(items, data):
    """However the bytes are cut, whatever stands between deliveries, and also between the frames of one."""
    frames = []
    for item in items:
        more = frames_of(item)
        beside = data.draw(st.sampled_from(["nothing", "nothing", "a heartbeat"])) if item[0] == "ours" else "nothing"
        if beside == "a heartbeat":
            more.insert(data.draw(st.integers(0, len(more))), Heartbeat())
        frames += more
    sent = b"".join(frame.marshal() for frame in frames)
    expected, other = as_the_client(sent)
    found, handed_over = [], []
    deliveries = Deliveries(handed_over.append)
    for channel in (1, 2):
        deliveries.takers[channel, f"ctag{channel}.0".encode()] = lambda *told, channel=channel: found.append(
            (channel, *told)
        )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    taken = sum(deliveries.feed(sent[begin:end]) for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True))
    assert taken == len(found) == len(expected)
    assert [(each[0], each[1], bool(each[2]), vars(each[3]), each[4]) for each in found] == [
        (each[0], each[1], each[2], vars(each[3]), each[4]) for each in expected
    ]
    strangers = [item for item in items if item[0] in ("another's", "another tag")]
    assert len(handed_over) == other + sum(len(frames_of(item)) for item in strangers)
    assert all(decode_frame(frame)[0] == len(frame) for frame in handed_over)


def test_a_header_beyond_all_calendars_ends_no_connection():
    """A timestamp in milliseconds, where seconds are meant: a number, also inside another table, and beside it all else is read."""
    meant = {"at": datetime(2026, 1, 31, tzinfo=UTC), "in": {"at": datetime(2026, 1, 31, tzinfo=UTC)}, "x": 1}
    seconds = int(meant["at"].timestamp())
    header = Header(1, 0, BasicProperties(headers=meant, message_id="m")).marshal()
    milliseconds = header.replace(struct.pack(">Q", seconds), struct.pack(">Q", 1000 * seconds))
    found = []
    deliveries = Deliveries(pytest.fail)
    deliveries.takers[1, b"ctag1.0"] = lambda *told: found.append(told[2])
    for each in (header, milliseconds):
        assert deliveries.feed(Method(1, Basic.Deliver("ctag1.0", 1, False, "", "q")).marshal() + each) == 1
    assert found[0].headers == meant
    assert found[1].headers == {"at": 1000 * seconds, "in": {"at": 1000 * seconds}, "x": 1}
    assert found[1].message_id == "m"
    assert decode_frame(milliseconds)[1].properties.headers == found[1].headers


def test_a_channel_that_closes_amid_a_delivery_is_heard_of():
    """The rest of the delivery never comes."""
    handed_over = []
    deliveries = Deliveries(handed_over.append)
    deliveries.takers[1, b"ctag1.0"] = pytest.fail
    deliver = Method(1, Basic.Deliver("ctag1.0", 1, False, "", "q"))
    close = Method(1, Channel.Close(406, "late", 0, 0))
    assert deliveries.feed(deliver.marshal() + Header(1, 5, BasicProperties()).marshal()) == 0
    assert deliveries.feed(close.marshal()) == 0
    assert [type(decode_frame(frame)[1].method) for frame in handed_over] == [Channel.Close]


def test_what_is_no_frame_is_the_client_s_error():
    """It closes the connection for it."""
    with pytest.raises(InvalidFrameError):
        Deliveries(lambda _: None).feed(Heartbeat().marshal()[:-1] + b"x")
