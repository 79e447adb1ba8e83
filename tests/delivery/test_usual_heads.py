"""A head that says nothing odd is read by a way of its own, with the result of http.client's."""

from __future__ import annotations

import http.client
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smartico_sync.delivery import exchange
from smartico_sync.delivery.exchange import FinalAnswer
from smartico_sync.delivery.usual_head import usual_head

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: Sun, 29 Nov 2026 22:32:32 GMT\r\n\r\n{}"
LINES = st.one_of(
    st.sampled_from(
        [
            b"Content-Length: 2", b"content-length: 2", b"Content-Length: 02", b"Content-Length: -1", b"Content-Length: 2, 2",
            b"Transfer-Encoding: chunked", b"Connection: close", b"Connection: Keep-Alive", b"Connection: upgrade, close",
            b"Set-Cookie: a=b", b"Server:", b"Server: a", b" folded", b"X-Odd : 1", b"no header", b"", b"X: \xe9", b"X: a:b\t",
        ]
    ),
    st.binary(max_size=12),
)  # fmt: skip
STATUS = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1 204 None", b"HTTP/1.0 200 OK", b"HTTP/1.1 100 Go on", b"HTTP/1.1 99 x",
     b"HTTP/1.1  503  Later on ", b"HTTP/1.1 2000 x", b"HTTP/2 200", b"HTTP/1.1 304 Same", b"HTTP/1.1 401 No", b"ICY 200 OK"]
)  # fmt: skip


class Peer:
    """A socket on which this has come."""

    def __init__(self, sent):
        self.sent = sent

    def makefile(self, _mode):
        return io.BufferedReader(io.BytesIO(self.sent))


def read(sent):
    """All that is made of an answer."""
    answer = FinalAnswer(Peer(sent), method="POST")
    try:
        answer.begin()
        facts = (answer.status, answer.code, answer.reason, answer.version, answer.headers.items(), answer.length)
        return (
            *facts,
            answer.chunked,
            answer.will_close,
            [*map(repr, answer.headers.defects)],
            answer.headers.get_payload(),
            answer.read(),
        )
    except (http.client.HTTPException, ValueError) as error:
        return type(error)
    finally:
        answer.close()


@given(
    STATUS,
    st.lists(LINES, max_size=4),
    st.sampled_from([b"\r\n", b"\n"]),
    st.sampled_from([b"{}", b"", b"{}HTTP/1.1 200 OK\r\n\r\n"]),
)
@example(b"HTTP/1.1 200", [b"Content-Length: 2"], b"\r\n", b"{}")
@example(b"HTTP/1.1 204 None", [b"Content-Length: 2"], b"\r\n", b"{}")
@example(b"HTTP/1.1 200 OK", [b"Content-Length: 2", b"Server: a"], b"\r\n", b"{}")
def test_whatever_a_head_says_both_ways_read_the_same(status, lines, end, body):
    """Also what is left behind it."""
    sent = end.join([status, *lines, b"", body])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "usual_head", lambda _stream: None)
        wanted = read(sent)
    assert read(sent) == wanted


def test_a_usual_head_is_read_so():
    """And one that has not come whole yet is left as it is."""
    stream = io.BufferedReader(io.BytesIO(PLAIN))
    head = usual_head(stream)
    assert (head.status, head.reason, head.length) == (200, "OK", 2)
    assert stream.read() == b"{}"
    part = io.BufferedReader(io.BytesIO(PLAIN[:30]))
    assert usual_head(part) is None
    assert part.read() == PLAIN[:30]
