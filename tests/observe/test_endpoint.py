"""The endpoint lives among strangers: few connections for a short time, for those who mean it."""

from __future__ import annotations

import socket
import struct
import threading
from types import SimpleNamespace

import httpx
import pytest

from observe.conftest import at, facts
from smartico_sync.errors import StateLocked
from smartico_sync.observe import endpoint as endpoints
from smartico_sync.observe import glance, server
from smartico_sync.observe.endpoint import Endpoint
from smartico_sync.observe.glance import Glance
from smartico_sync.observe.server import MOST_CONNECTIONS, Access, listening
from smartico_sync.observe.status_board import StatusBoard
from waiting import until


@pytest.fixture
def serving():
    """Make an endpoint over one view."""
    made = []

    def started(listen="127.0.0.1:0", access=endpoints.ANYBODY):
        board = StatusBoard(lambda: at(0))
        board.put(facts())
        made.append(Endpoint(listen, board, tuple, access))
        return made[-1]

    yield started
    for endpoint in made:
        endpoint.close()


def place(endpoint):
    return endpoint.server.server_address[:2]


def get(endpoint, path="/metrics", **headers):
    return httpx.get(endpoint.url + path, headers=headers, trust_env=False)


def test_those_who_say_nothing_keep_nobody_out(serving):
    """However many connections idle, monitoring is answered, and no more than so many are open."""
    endpoint = serving()
    idle = [socket.create_connection(place(endpoint)) for _ in range(4 * MOST_CONNECTIONS)]
    assert get(endpoint).status_code == 200
    assert len(endpoint.server._open) <= MOST_CONNECTIONS
    closed = []
    until(lambda: len(closed) >= 3 * MOST_CONNECTIONS or closed.extend(gone(idle, closed)))
    for each in idle:
        each.close()


def gone(connections, known):
    """Those that the endpoint has closed."""
    found = []
    for each in connections:
        each.setblocking(False)
        try:
            if each not in known and not each.recv(1, socket.MSG_PEEK):
                found.append(each)
        except BlockingIOError:
            continue
    return found


@pytest.mark.parametrize("drip", [b"", b"GET /metrics HTTP/1.1\r\nX: "], ids=["silent", "dripping"])
def test_a_request_has_an_end(serving, monkeypatch, drip):
    """Whoever says nothing, or a byte now and then, is let go."""
    monkeypatch.setattr(server, "LONGEST_S", 0.2)
    endpoint = serving()
    with socket.create_connection(place(endpoint)) as slow:
        slow.sendall(drip)
        until(lambda: drips(slow, drip))


def drips(slow, drip):
    """Send a byte more, if any are sent; whether the connection was closed."""
    try:
        if drip:
            slow.sendall(b"x")
        slow.settimeout(0.05)
        return not slow.recv(1)
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.mark.parametrize("request_", [b"", b"GET /metrics HTTP/1.1\r\n", b"GET /metrics HTTP/1.1\r\n\r\n"])
def test_who_goes_away_is_no_news(serving, capfd, request_):
    """A connection that is reset at any moment leaves no traceback."""
    endpoint = serving()
    for _ in range(20):
        with socket.create_connection(place(endpoint)) as rude:
            rude.sendall(request_)
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    until(lambda: not endpoint.server._open)
    assert get(endpoint).status_code == 200
    told = capfd.readouterr()
    assert "Traceback" not in told.err + told.out


def has_ipv6():
    """Whether this machine has the loopback address of IPv6: some containers do not."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
@pytest.mark.parametrize("listen", ["[::1]:0", "[::]:0"])
def test_ipv6_is_an_address_like_any_other(serving, listen):
    """Also the one that means all, which takes IPv4 too."""
    endpoint = serving(listen)
    port = place(endpoint)[1]
    assert httpx.get(f"http://[::1]:{port}/healthz", trust_env=False).status_code == 200
    if listen.startswith("[::]"):
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
    assert listening("[fd00::1]:8080") == ("fd00::1", 8080)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200), ("[::1]:8080", 200), ("10.0.0.7", 200), ("localhost:8080", 200), ("smartico-sync:8080", 200),
        ("sync.example.com:8080", 200), ("SYNC.example.com", 200), ("evil.example", 421), ("evil.example:8080", 421),
        ("127.0.0.1.evil.example", 421), ("localhost.evil.example:80", 421),
    ],
)  # fmt: skip
def test_a_page_of_somebody_else_cannot_read_the_status(serving, host, status):
    """A web page's name that was made to lead here is refused, and what to do if it is right is told."""
    endpoint = serving(access=Access(frozenset({"sync.example.com"})))
    for path in ("/", "/status.json", "/metrics", "/healthz"):
        answer = get(endpoint, path, Host=host)
        assert answer.status_code == status
        assert status == 200 or "`hosts:` under `health:`" in answer.text


def test_a_bearer_token_keeps_what_is_known_from_others(serving):
    """Without it probes learn yes or no, and nobody learns more; a token that changed counts at once."""
    tokens = SimpleNamespace(now="first")
    endpoint = serving(access=Access(token=lambda: tokens.now))
    for path in ("/", "/status.json", "/metrics", "/nothing"):
        assert get(endpoint, path).status_code == 401
        assert get(endpoint, path, Authorization="Bearer wrong").status_code == 401
        assert get(endpoint, path, Authorization="Basic first").status_code == 401
    assert get(endpoint, Authorization="Bearer first").status_code == 200
    assert get(endpoint, "/healthz").json() == {"alive": "alive", "ready": "starting"}
    assert "findings" in get(endpoint, "/readyz", Authorization="bearer first").json()
    tokens.now = "second"
    assert get(endpoint, Authorization="Bearer first").status_code == 401
    assert get(endpoint, Authorization="Bearer second").status_code == 200


def test_an_address_that_is_taken_is_tried_again(serving, monkeypatch):
    """The daemon delivers without a page, and has one once the address is free."""
    monkeypatch.setattr(endpoints, "RETRY_S", 0.02)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        endpoint = serving(f"127.0.0.1:{port}")
        assert endpoint.server is None
        assert "cannot listen" in endpoint.problem
    until(lambda: endpoint.server is not None)
    assert get(endpoint).status_code == 200


def test_a_start_that_waits_is_life(serving):
    """Whoever waits for a lock is neither stuck nor ready, however long it takes, and says what it waits for."""
    endpoint = serving()
    endpoint.board.clock = lambda: at(10_000_000)
    assert get(endpoint, "/healthz").status_code == 503
    endpoint.starting, endpoint.waits_for = "yes", StateLocked("it is in use", hint="stop it first")
    assert get(endpoint, "/healthz").status_code == 200
    assert get(endpoint, "/readyz").status_code == 503
    assert get(endpoint, "/readyz").json()["findings"][0]["message"] == "it is in use"


def test_nobody_who_looks_waits_for_a_state_that_hangs(serving, monkeypatch):
    """Metrics, status and pages are answered from what is known: the size as it was last, and one question is under way."""
    endpoint, mended, asked = serving(), threading.Event(), []
    mended.set()

    def sizes():
        asked.append(1)
        mended.wait()
        return SimpleNamespace(bytes=50, free_bytes=5)

    endpoint.sizes = Glance(sizes)
    assert "smartico_sync_state_bytes 50" in get(endpoint).text
    mended.clear()
    monkeypatch.setattr(glance, "MOMENT_S", 0.01)
    endpoint.dead_letters = lambda _: mended.wait() or ()
    (view,) = endpoint.board.views()
    for _ in range(3):
        assert "smartico_sync_state_bytes 50" in get(endpoint).text
        assert get(endpoint, "/status.json").json()["state"] == {"bytes": 50, "free_bytes": 5}
        assert get(endpoint, f"/views/{view.name}").status_code == 200
    assert len(asked) == 2
    mended.set()
