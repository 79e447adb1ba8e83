"""A daemon whose API stands behind something that does to answers what front ends, proxies and firewalls do: a server of plain sockets."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from contextlib import suppress
from itertools import chain, cycle

import pytest

from daemon.deposits import DEPOSITS, VIEW, insert
from servers.plain import ACCEPTED, PlainServer, answer

ROWS = 600
REFUSED = answer(b'{"err_code": 4, "err_message": "somebody else\'s"}')
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n" + ACCEPTED + b"\r\n0\r\nX-Sum: 1\r\n\r\n"


def reset(peer):
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.sock.close()


def idle(peer):
    """The answer, and a moment later what some say to a connection that they find idle; it may meet the next request."""
    peer.write(answer())
    time.sleep(0.05)
    peer.write(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    peer.sock.shutdown(socket.SHUT_RDWR)


def drip(peer):
    """Trailers that take longer than any timeout."""
    peer.write(CHUNKED.partition(b"X-Sum")[0])
    with suppress(OSError):
        peer.drip(b"X-Sum: 1" * 100, 0.05)


# What is done after the whole request was read.
ODD = (
    lambda peer: peer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 2 + answer()),
    lambda peer: peer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + answer()),
    lambda peer: peer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" + REFUSED),
    lambda peer: peer.write(answer() + REFUSED),
    idle,
    reset,
    drip,
    lambda peer: (peer.write(answer()), peer.sock.shutdown(socket.SHUT_RDWR)),
    lambda peer: peer.write(answer(b"<html>sign in</html>")),
    lambda peer: peer.write(answer(b"", "503 Busy", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n")),
    lambda peer: peer.write(answer(b"", "429 Slow Down", "Retry-After: 0.3\r\n")),
    lambda peer: peer.write(answer(headers="Content-Encoding: gzip\r\n")),
    lambda peer: peer.write(CHUNKED),
    lambda peer: peer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + ACCEPTED),
    lambda peer: peer.write(b"SSH-2.0-OpenSSH_9.2\r\n"),
)


class FrontEnd:
    """Each odd thing once, in turn with answers as they should be, some of them too early; keeps which events it read."""

    def __init__(self) -> None:
        turns = chain.from_iterable((odd, None) for odd in ODD)
        self.odd, self.lock, self.read = cycle(turns), threading.Lock(), set()
        self.early = 2  # requests that are refused by their head

    def serve(self, peer):
        while (body := self.body(peer)) is not None:
            with self.lock:
                odd = next(self.odd)
                self.read |= {event["eid"] for event in json.loads(body)}
            if odd is None:
                peer.write(answer())
            else:
                odd(peer)

    def body(self, peer):
        """A request's body; None at the end, or where it is refused before it was read."""
        head, rest = peer.read_head(64)  # so that most of the body is still to come
        if not head:
            return None
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        with self.lock:
            early = self.early > 0 and len(rest) < length
            self.early -= early
        if early:
            peer.write(answer(b"", "413 Too Large"))
            return None
        while len(rest) < length:
            piece = peer.sock.recv(65_536)
            if not piece:
                return None
            rest += piece
        return rest


@pytest.mark.slow
def test_every_row_arrives_whatever_a_front_end_does_to_the_answers(operator, postgresql):
    """No answer is taken for another request's, none for an acceptance that is none, and no request waits for ever."""
    postgresql.execute(*DEPOSITS)
    insert(postgresql, *range(ROWS))
    postgresql.execute("UPDATE deposits SET user_ext_id = transaction_id")  # whoever waits, waits alone
    front = FrontEnd()
    server = PlainServer(front.serve)
    try:
        operator.configure(postgresql.url, f"  - {VIEW % ''}\n", timeout="1s", batch_events="30", max_in_flight="6")
        operator.config.write_text(operator.config.read_text().replace(operator.sandbox.url, server.url))
        done = operator.sync("run", "--once")
    finally:
        server.close()
    assert done.returncode == 0, done.stderr
    assert len(front.read) == ROWS
    (counts,) = (row["counts"] for row in json.loads(operator.sync("watermark", "show", "--json").stdout))
    assert counts["delivered"] == ROWS
    assert front.early < 2, "no request was refused early"
