"""What a server, or something in front of it, does to the bytes of an answer: no event is lost, doubled in the count, or waits for ever."""

from __future__ import annotations

import socket
import struct
import threading
import time

import pytest

from delivery.conftest import problem_of, some_events
from servers.plain import ACCEPTED, answer
from smartico_sync.delivery import exchange, request
from waiting import until


def first(odd, *, times=1):
    """Answer the first requests oddly, all others well; `odd(peer)` after the request was read."""
    left = [times]
    lock = threading.Lock()

    def serve(peer):
        while peer.read() is not None:
            with lock:
                now = left[0] > 0
                left[0] -= now
            if now:
                odd(peer)
            else:
                peer.write(answer())

    return serve


def delivers(router, server, events=10, **more):
    """Deliver some events whatever happens on the way; the destination's status afterwards."""
    delivery = router(server.url, **more)
    receipt = delivery.send("deposits", some_events(events)).result(30)
    assert receipt.delivered + receipt.duplicates == events
    (status,) = delivery.status()
    assert all(thread.is_alive() for thread in delivery.default.threads)
    return status


@pytest.mark.parametrize("name", ["X-Näme", "X-Name", "Set-Cookie", "Content-Type", "Retry-After", "Date"])
def test_a_header_with_any_byte_is_an_answer(plain_server, router, name):
    """Servers write names of people and places into headers, in whatever encoding."""
    odd = answer(headers="".join(f"{name}: b\xfcro{chr(byte)}\r\n" for byte in (0x80, 0x85, 0xA0, 0xFF)))
    status = delivers(router, plain_server(first(lambda peer: peer.write(odd))))
    assert status.requests == {"done": 1}


def test_a_worker_survives_what_nobody_foresaw(plain_server, router, monkeypatch, capsys):
    """An exception below a worker is told, counted and tried again; it is never silent, and ends no thread."""
    real, times = request.Request.eids, [0]

    def now_and_then(self):
        times[0] += 1
        if times[0] < 4:
            raise RuntimeError("a value of a row")
        return real.fget(self)

    monkeypatch.setattr(request.Request, "eids", property(now_and_then))
    server = plain_server(first(lambda peer: peer.write(answer())))
    status = delivers(router, server)
    assert status.requests == {"internal_error": 3, "done": 1}
    told = capsys.readouterr().out
    assert told.count("delivery.internal_error") == 3
    assert "RuntimeError, now_and_then line" in told
    assert "a value of a row" not in told


@pytest.mark.parametrize("times", [1, 20])
def test_a_view_is_not_called_well_while_workers_stumble(plain_server, router, monkeypatch, times):
    """As long as it goes on, what cannot wait is told why."""
    monkeypatch.setattr(request.Request, "eids", property(lambda self: 1 / 0))
    delivery = router(plain_server(first(lambda peer: peer.write(answer()))).url)
    pending = delivery.send("deposits", some_events(10))
    until(lambda: delivery.status()[0].requests.get("internal_error", 0) >= times, 0.01)
    until(lambda: (problem := delivery.problem()) is not None and "ZeroDivisionError" in problem.message, 0.01)
    until(lambda: delivery.status()[0].state == "backing_off", 0.01)
    assert not pending.done()


@pytest.mark.parametrize("interim", ["100 Continue", "102 Processing", "103 Early Hints", "199 Whatever"])
@pytest.mark.parametrize("count", [1, 5])
def test_interim_answers_are_not_the_answer(plain_server, router, interim, count):
    """The final answer counts, and nothing is left on the connection that the next request could read."""
    before = f"HTTP/1.1 {interim}\r\nLink: </style.css>; rel=preload\r\n\r\n".encode() * count
    server = plain_server(first(lambda peer: peer.write(before + answer()), times=100))
    status = delivers(router, server, 200, max_in_flight=1)
    assert set(status.requests) == {"done"}
    assert server.connections == 1


def test_another_protocol_is_no_answer(plain_server, router):
    """HTTP 101 is an error, and its connection is not used again."""
    odd = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" + answer(b'{"err_code": 2}')
    server = plain_server(first(lambda peer: peer.write(odd)))
    assert delivers(router, server, max_in_flight=1).requests == {"unknown": 1, "done": 1}
    assert server.connections == 2


@pytest.mark.parametrize(
    "odd",
    [
        answer() + answer(b'{"err_code": 4}'),
        answer(b"x" * 70_000) + answer(b'{"err_code": 4}'),
        b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n" + ACCEPTED,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 15\r\n\r\n" + ACCEPTED,
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"err\r\nZZ\r\n',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{"err\r\n0\r\n\r\n',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"",
    ],
    ids=str,
)
def test_the_next_request_never_reads_what_was_left(plain_server, router, odd):
    """Too much, too little, or nonsense: it concerns its own request, and the next one has a connection of its own."""

    def spoilt(peer):
        peer.write(odd)
        if not odd or b"Length: 40" in odd or b"HTTP" not in odd:
            peer.sock.shutdown(socket.SHUT_RDWR)

    server = plain_server(first(spoilt))
    status = delivers(router, server, 100, max_in_flight=1)
    assert "halt" not in status.requests
    assert server.connections >= 1


@pytest.mark.parametrize("closing", ["reset", "close", "open"])
@pytest.mark.parametrize(("code", "decision"), [(413, "bisect"), (401, "halt")])
def test_an_answer_before_the_body_was_read_is_read(plain_server, router, closing, code, decision):
    """A server that refuses by the head answers while we still write, and may close or read no more: its answer counts."""
    big = some_events(2000, players=1)
    refused = []

    def serve(peer):
        while True:
            head, rest = peer.read_head()
            if not head:
                return
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            if length > 200_000 or code == 401:
                refused.append(length)
                peer.write(answer(b"", f"{code} No"))
                if closing == "open":
                    time.sleep(2)
                if closing == "reset":
                    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            while len(rest) < length:
                rest += peer.sock.recv(65_536)
            peer.write(answer())

    frame = big.frame.with_columns(acc_last_deposit_payment_method=big.frame["@row"].cast(str) + "x" * 500)
    server = plain_server(serve)
    delivery = router(server.url, batch_events=2000, max_in_flight=1, timeout=1000)
    pending = delivery.send("deposits", type(big)(frame, big.raw))
    if decision == "halt":
        with pytest.raises(Exception, match="401"):
            pending.result(30)
    else:
        assert pending.result(60).delivered == 2000
    assert refused
    assert set(delivery.status()[0].requests) <= {decision, "done"}


@pytest.mark.parametrize("where", ["head", "interim", "body", "chunks", "trailers", "closing body"])
def test_one_deadline_for_the_whole_answer(plain_server, router, where):
    """However slowly bytes drip, the request ends by its timeout; the events go again."""
    drips = {
        "head": (b"", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000),
        "interim": (b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100),
        "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b" " * 1000),
        "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 300),
        "trailers": (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nf\r\n" + ACCEPTED + b"\r\n0\r\n",
            b"X: y\r\n" * 300,
        ),
        "closing body": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" " * 1000),
    }
    at_once, slowly = drips[where]
    over = threading.Event()

    def dripping(peer):
        peer.write(at_once)
        try:
            peer.drip(slowly, 0.05)
        except OSError:
            over.set()

    status = delivers(router, plain_server(first(dripping)))
    assert status.requests == {"unknown": 1, "done": 1}
    assert over.wait(60), "the connection is given up"


def test_one_deadline_for_a_request_that_nobody_reads(plain_server, router):
    """A peer that takes bytes slowly, or none, holds a request no longer than its timeout."""

    def serve(peer):
        if peer.number == 0:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            for _ in range(20):
                time.sleep(0.1)
                peer.sock.recv(1024)
        else:
            first(lambda peer: peer.write(answer()))(peer)

    events = some_events(2000, players=1)
    frame = events.frame.with_columns(acc_last_deposit_payment_method=events.frame["@row"].cast(str) + "x" * 5000)
    delivery = router(plain_server(serve).url, batch_events=2000, max_in_flight=1)
    receipt = delivery.send("deposits", type(events)(frame, events.raw)).result(30)
    assert receipt.delivered == 2000


def test_an_answer_without_end_is_given_up(plain_server, router, monkeypatch):
    """Neither memory nor time is spent on it without a limit, in whichever part of the answer it is."""
    monkeypatch.setattr(exchange, "MOST_ANSWER_BYTES", 200_000)
    for endless in (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"FFFF\r\n" + b" " * 65_535 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ",
    ):

        def flood(peer, endless=endless):
            peer.write(endless)
            while True:
                peer.write(b" " * 65_536)

        status = delivers(router, plain_server(first(flood)), timeout=20_000)
        assert status.requests == {"unknown": 1, "done": 1}


def test_connections_are_kept_alive_as_many_as_were_in_flight(plain_server, router):
    """Requests one after the other share a connection; twelve at once have twelve, which are used again."""
    together = threading.Barrier(12)

    def serve(peer):
        while peer.read() is not None:
            together.wait(10)
            peer.write(answer())

    server = plain_server(serve)
    delivery = router(server.url, batch_events=50, timeout=20_000)
    for start in range(0, 3000, 600):
        sends = [
            delivery.send("deposits", some_events(1, players=1000, start=start + part)) for part in range(0, 600, 50)
        ]
        assert sum(send.result(30).delivered for send in sends) == 12
    assert server.connections == 12


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"", "the connection was closed without an answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "the connection broke before the answer was complete"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{", "before the answer was complete"),
    ],
    ids=["nothing", "another protocol", "half a body", "half a chunk"],
)
def test_what_was_no_answer_is_told_as_what_it_was(plain_server, router, said, told):
    """Silence, another protocol and half an answer send an operator to different places."""
    delivery = router(plain_server(lambda peer: peer.read() and peer.write(said)).url)
    delivery.send("deposits", some_events(10))
    assert told in problem_of(delivery).message
