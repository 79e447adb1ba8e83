"""What of an answer concerns delivery beside its body: how long to wait, and how it is packed."""

from __future__ import annotations

import gzip
import math
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.conftest import some_events
from servers.plain import ACCEPTED, answer
from smartico_sync.delivery.client import retry_after

NOW = 1_780_000_000.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("2.", 2.0),
        ("99999999999", 99999999999.0),
        ("9" * 400, math.inf),
        (formatdate(NOW + 90, usegmt=True), 90.0),
        (formatdate(NOW + 90), 90.0),
        (formatdate(NOW - 90, usegmt=True), 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("", 0.0),
        ("-5", 0.0),
        ("+5", 0.0),
        ("1e3", 0.0),
        ("nan", 0.0),
        ("inf", 0.0),
        ("soon", 0.0),
        ("7 s", 0.0),
        ("\u0663", 0.0),
        ("\u00b2", 0.0),
        ("Fri, 99 Foo 99999 99:99:99 GMT", 0.0),
    ],
)
def test_retry_after(value, seconds):
    """A number of seconds or a date; anything else asks for nothing."""
    assert retry_after({"Retry-After": value}, NOW) == pytest.approx(seconds, abs=1)


def test_a_date_counts_from_the_servers_clock():
    """So that it does not matter how wrong ours is."""
    headers = {"Retry-After": formatdate(NOW + 30, usegmt=True), "Date": formatdate(NOW, usegmt=True)}
    assert retry_after(headers, NOW - 86_400) == 30.0


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_header_is_a_wait(value, date):
    """Whatever stands there, it is a number of seconds that is not negative."""
    assert retry_after({"Retry-After": value, "Date": date}, NOW) >= 0.0


@pytest.mark.parametrize("value", ["\u0663", "\u00b2", "1.5", "9" * 400, formatdate(NOW), "caf\xe9"])
def test_no_header_ends_a_worker(plain_server, router, value):
    """Sent as Latin-1 or UTF-8, with an answer that is tried again."""
    odd = answer(b"", "503 Busy").replace(b"\r\n", b"\r\nRetry-After: " + value.encode() + b"\r\n", 1)

    def serve(peer):
        while peer.read() is not None:
            peer.write(odd)

    delivery = router(plain_server(serve).url)
    delivery.send("deposits", some_events(10))
    (probe,) = delivery.probe()
    assert probe.wrong == "HTTP 503"
    assert all(thread.is_alive() for thread in delivery.default.threads)
    assert "internal_error" not in delivery.status()[0].requests


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", ACCEPTED),
        ("br", ACCEPTED),
        ("gzip, deflate", ACCEPTED),
        ("deflate", ACCEPTED),
        ("nonsense", ACCEPTED),
        ("gzip", gzip.compress(ACCEPTED, mtime=0)),
        ("", gzip.compress(ACCEPTED, mtime=0)),
    ],
)
def test_an_answer_is_read_however_it_says_it_is_packed(plain_server, router, encoding, body):
    """We ask for `identity`; some compress all the same, and some only say so."""
    heads = []

    def serve(peer):
        while peer.read() is not None:
            heads.append(peer.head)
            peer.write(answer(body, headers=f"Content-Encoding: {encoding}\r\n" if encoding else ""))

    delivery = router(plain_server(serve).url)
    assert delivery.send("deposits", some_events(10)).result(30).delivered == 10
    assert b"accept-encoding: identity\r\n" in heads[0].lower() + b"\r\n"


@pytest.mark.parametrize(
    "body",
    [b"\x1f\x8b" + ACCEPTED, gzip.compress(b"x" * 10**8, mtime=0), gzip.compress(ACCEPTED, mtime=0)[:-9]],
    ids=["false", "bomb", "cut"],
)
def test_a_body_that_cannot_be_unpacked_is_no_acceptance(plain_server, router, body):
    """Nor does it take memory without a limit."""

    def serve(peer):
        while peer.read() is not None:
            peer.write(answer(body, headers="Content-Encoding: gzip\r\n"))

    (probe,) = router(plain_server(serve).url).probe()
    assert "nobody can read" in probe.wrong or not probe.wrong
