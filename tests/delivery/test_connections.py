"""When a connection is used again, and when it is not; and what TLS says."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
import time

import pytest

from delivery.conftest import backing_off, problem_of, some_events
from servers.certificates import Authority
from servers.plain import always, answer
from smartico_sync.delivery import exchange, failures


def one_by_one(delivery, count, pause_s=0.0):
    """Several sends, one after the other."""
    for number in range(count):
        receipt = delivery.send("deposits", some_events(10, players=1, start=10 * number)).result(30)
        assert receipt.delivered + receipt.duplicates == 10
        time.sleep(pause_s)


@pytest.mark.parametrize("limit", ["IDLE_S", "AGE_S"])
def test_an_old_or_long_idle_connection_is_not_used_again(plain_server, router, monkeypatch, limit):
    """Whatever is in between may have forgotten it, and the name may lead elsewhere by now."""
    server = plain_server(always())
    delivery = router(server.url)
    one_by_one(delivery, 3)
    assert server.connections == 1
    monkeypatch.setattr(exchange, limit, 0.0)
    one_by_one(delivery, 3)
    assert server.connections == 4


def test_limits_of_a_connection():
    """Below what NAT tables and load balancers remember, and below what a moved name may take."""
    assert exchange.IDLE_S <= 30
    assert exchange.AGE_S <= 600


def test_the_kernel_looks_after_connections(plain_server, router):
    """TCP keep-alive is on, and begins before anything in between forgets."""
    made = []
    original = exchange.Exchange._new_conn

    def remember(self):
        made.append(original(self))
        return made[-1]

    exchange.Exchange._new_conn = remember
    try:
        one_by_one(router(plain_server(always()).url), 1)
    finally:
        exchange.Exchange._new_conn = original
    assert made[0].getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert made[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) < 30
    assert made[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_after_a_timeout_all_idle_connections_are_left(plain_server, router):
    """Where one is dead the others may be: a load balancer forgot them all."""
    together, dead = threading.Barrier(4), threading.Event()

    def serve(peer):
        while peer.read() is not None:
            if peer.number < 4:
                if dead.is_set():
                    time.sleep(5)
                    return
                together.wait(10)
            peer.write(answer())

    server = plain_server(serve)
    delivery = router(server.url, max_in_flight=4)
    sends = [delivery.send("deposits", some_events(10, players=1000, start=start)) for start in (0, 100, 200, 300)]
    assert all(send.result(30).delivered == 10 for send in sends)
    dead.set()
    one_by_one(delivery, 3)
    assert delivery.status()[0].requests == {"done": 7, "unknown": 1}


@pytest.mark.parametrize("status", ["421 Misdirected Request", "500 Oops", "502 Bad Gateway", "503 Gone for now"])
def test_an_old_front_end_is_left(plain_server, router, status):
    """What it answers may be because it is not the one to ask any more: the next request goes over another connection."""

    def serve(peer):
        while peer.read() is not None:
            peer.write(answer(b"", status) if peer.number == 0 else answer())

    delivery = router(plain_server(serve).url, max_in_flight=1)
    one_by_one(delivery, 3)
    assert delivery.status()[0].requests == {"retry": 1, "done": 3}


@pytest.mark.parametrize("status", ["404 Not Found", "405 Method Not Allowed", "301 Moved", "302 Found", "308 Moved"])
def test_a_wrong_url_is_said_to_be_wrong(plain_server, router, status):
    """It is critical, names the key to correct, and nothing is sent elsewhere."""
    other = plain_server(always())
    server = plain_server(always(status))
    delivery = router(server.url)
    with pytest.raises(Exception, match=status[:3]) as caught:
        delivery.send("deposits", some_events(10)).result(30)
    assert "smartico.url" in caught.value.hint
    (halt,) = delivery.status()[0].halts
    assert "smartico.url" in halt[1]
    assert "token" not in halt[0]
    assert other.connections == 0


def test_a_brands_own_url_and_token_are_named(plain_server, router):
    """The hint names the keys that are wrong, not those of all."""
    brands = {
        "A": {"url": plain_server(always("404 No")).url},
        "B": {"url": plain_server(always("401 No")).url, "token": "x"},
    }
    delivery = router(plain_server(always()).url, brands=brands)
    events = some_events(10)
    for name, key in (("A", "smartico.brands.A.url"), ("B", "smartico.brands.B.token")):
        frame = events.frame.with_columns(events.frame["@brand"].str.replace("b", name).alias("@brand"))
        with pytest.raises(Exception, match=r"404|401") as caught:
            delivery.send("deposits", type(events)(frame, events.raw)).result(30)
        assert key in caught.value.hint


def test_the_machines_trust_store_counts(plain_server, router, authority):
    """What it trusts is trusted."""
    server = plain_server(always(), tls=authority.issue("localhost", address="127.0.0.1").tls())
    delivery = router(server.url)
    one_by_one(delivery, 3)
    assert server.connections == 1


@pytest.mark.parametrize(
    ("what", "told", "hint"),
    [
        ("expired", "has expired", "renewed"),
        ("early", "not valid yet", "clock"),
        ("other host", "is for another host", "smartico.url"),
        ("unknown", "unknown authority", "SSL_CERT_FILE"),
        ("no TLS", "no TLS connection", "smartico.url"),
    ],
)
def test_a_bad_certificate_is_told_as_what_it_is(
    plain_server, router, authority, tmp_path, monkeypatch, what, told, hint
):
    """Not as "no connection": an operator reads what to do, and that what he told other tools is not read."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/proxy.pem")
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    (tmp_path / "other").mkdir()
    pairs = {
        "expired": lambda: authority.issue("localhost", address="127.0.0.1", days=(-3, -1)),
        "early": lambda: authority.issue("localhost", address="127.0.0.1", days=(1, 3)),
        "other host": lambda: authority.issue("elsewhere.example"),
        "unknown": lambda: Authority(tmp_path / "other").issue("localhost", address="127.0.0.1"),
    }
    serve = always() if what in pairs else lambda peer: peer.write(answer(b"", "400 What?"))
    server = plain_server(serve, tls=pairs[what]().tls() if what in pairs else None)
    delivery = router(server.url.replace("http:", "https:"))
    pending = delivery.send("deposits", some_events(10))
    problem = problem_of(delivery)
    assert told in problem.message
    assert hint in problem.hint
    assert ("REQUESTS_CA_BUNDLE, set here, is for other tools" in problem.hint) == (what == "unknown")
    status = backing_off(delivery)
    assert (told in status.last_error, hint in status.hint) == (True, True)
    assert not pending.done()
    (probe,) = delivery.probe()
    assert told in probe.wrong
    assert hint in probe.hint


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://no-such-host.invalid/", "the name no-such-host.invalid"),
        ("http://127.0.0.1:1/", "127.0.0.1:1: the connection is refused"),
    ],
)
def test_no_connection_is_told_with_its_reason(router, url, told):
    """The host, and what is the matter with it."""
    (probe,) = router(url).probe()
    assert told in probe.wrong
    assert "smartico.url" in probe.hint


def test_a_handshake_without_an_answer_ends(plain_server, router):
    """A server that takes the connection and says nothing holds nobody for ever, and no batch is made smaller for it."""
    server = plain_server(lambda peer: time.sleep(5))
    delivery = router(server.url.replace("http:", "https:"), timeout=200)
    (probe,) = delivery.probe()
    assert "nobody answers in time" in probe.wrong


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_an_early_answer_is_read_over_tls_too(plain_server, router, authority, version):
    """413 or 401 before the body was read, then the connection is closed."""
    context = authority.issue("localhost", address="127.0.0.1").tls()
    context.maximum_version = version

    def serve(peer):
        while True:
            head, rest = peer.read_head()
            if not head:
                return
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            if length > 300_000:
                peer.write(answer(b"", "413 Too much"))
                return
            while len(rest) < length:
                rest += peer.sock.recv(65_536)
            peer.write(answer())

    events = some_events(2000, players=1)
    frame = events.frame.with_columns(acc_last_deposit_payment_method=events.frame["@row"].cast(str) + "x" * 5000)
    delivery = router(plain_server(serve, tls=context).url, batch_events=2000, max_in_flight=1, timeout=2000)
    assert delivery.send("deposits", type(events)(frame, events.raw)).result(60).delivered == 2000
    assert set(delivery.status()[0].requests) == {"bisect", "done"}


def test_every_failure_has_words(router):
    """Also one that nobody foresaw; that of this process is not looked for in the network."""
    full = OSError(errno.EMFILE, "Too many open files")
    assert failures.unconnected(full, "host:1") == (
        "no connection to host:1: this process may open no more files", "descriptors",
    )  # fmt: skip
    assert "LimitNOFILE" in router("http://127.0.0.1:1/").default.client.hint("descriptors")
    assert failures.unconnected(OSError(), "host:1") == ("no connection to host:1", "network")


@pytest.mark.parametrize(
    ("holds", "told"),
    [(None, "name a file of certificates"), ("no certificate", "name a file of certificates"), ("other", "add the authority's certificate to")],
)  # fmt: skip
def test_a_file_of_authorities_that_does_not_help_is_told(
    plain_server, router, authority, tmp_path, monkeypatch, holds, told
):
    """Whoever has set SSL_CERT_FILE is not told to set it."""
    named = tmp_path / "named.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(named))
    if holds == "other":
        (tmp_path / "other").mkdir()
        named.write_bytes(Authority(tmp_path / "other").certificate.read_bytes())
    elif holds is not None:
        named.write_text(holds)
    server = plain_server(always(), tls=authority.issue("localhost", address="127.0.0.1").tls())
    (probe,) = router(server.url).probe()
    assert "unknown authority" in probe.wrong
    assert told in probe.hint
    assert str(named) in probe.hint
