"""The proxies of the environment: which one, and what is told when it is in the way."""

from __future__ import annotations

import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.conftest import backing_off, problem_of, some_events
from servers.certificates import Authority
from servers.gateway import Gateway
from servers.plain import always, answer
from smartico_sync.delivery.proxies import proxy_for
from smartico_sync.errors import ConfigError, DeliveryHalted, DriverMissing
from waiting import until

API = "https://apis6.smartico.ai/api/external/events/v2"
VARIABLES = [
    name
    for low in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "request_method")
    for name in (low, low.upper())
]


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    """No proxy but the test's own."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def gateway():
    """Start a proxy: `proxy = gateway(port, login="user:password")`."""
    started = []

    def start(target, **more):
        started.append(Gateway(target, **more))
        return started[-1]

    yield start
    for each in started:
        each.close()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p:3128"}, "http://p:3128"),
        ({"https_proxy": "p:3128"}, "http://p:3128"),
        ({"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:2"}, "http://lower:2"),
        ({"HTTPS_PROXY": "http://upper:1", "https_proxy": ""}, None),
        ({"HTTP_PROXY": "http://p:1"}, None),
        ({"ALL_PROXY": "socks5h://p"}, "socks5h://p:1080"),
        ({"ALL_PROXY": "http://a:1", "HTTPS_PROXY": "https://b"}, "https://b:443"),
        ({"HTTPS_PROXY": "http://[fd00::1]:3128"}, "http://[fd00::1]:3128"),
        ({"HTTPS_PROXY": " http://p:3128/ "}, "http://p:3128"),
    ],
)
def test_which_proxy(environ, expected):
    """The scheme's own goes before the one for all, lower case before upper case."""
    found = proxy_for(API, environ)
    assert (found and found.origin) == expected


@pytest.mark.parametrize(
    ("url", "exempt", "direct"),
    [
        (API, "*", "yes"),
        (API, "apis6.smartico.ai", "yes"),
        (API, "smartico.ai", "yes"),
        (API, ".smartico.ai", "yes"),
        (API, "*.smartico.ai", "yes"),
        (API, "other.example, SMARTICO.AI.", "yes"),
        (API, "other.example smartico.ai", "yes"),
        (API, "smartico.ai:443", "yes"),
        (API, "smartico.ai:8443", "no"),
        (API, "martico.ai", "no"),
        (API, "ai.smartico", "no"),
        (API, "10.0.0.0/8", "no"),
        (API, ", ,", "no"),
        ("https://10.1.2.3/", "10.0.0.0/8", "yes"),
        ("https://10.1.2.3/", "10.1.2.3", "yes"),
        ("https://10.1.2.3:8443/", "10.1.2.3:8443", "yes"),
        ("https://11.1.2.3/", "10.0.0.0/8", "no"),
        ("https://[fd00::5]/", "fd00::/8", "yes"),
        ("https://[fd00::5]/", "[fd00:0:0::5]", "yes"),
        ("https://[fd00::5]:8443/", "[fd00::5]:8443", "yes"),
        ("https://[fd00::5]/", "[fd00::5]:8443", "no"),
        ("https://[fe80::5]/", "fd00::/8, ::1", "no"),
        ("https://localhost./", "localhost", "yes"),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_who_needs_none(url, exempt, direct, name):
    """NO_PROXY names hosts with what is below them, addresses and networks, each also with a port."""
    found = proxy_for(url, {"HTTPS_PROXY": "http://p:3128", name: exempt})
    assert (found is None) == (direct == "yes")


@given(
    st.text(max_size=40) | st.text("[]:/@%a.1-", max_size=12), st.text(max_size=40) | st.text("[]:/*,a.1", max_size=12)
)
def test_any_environment_is_read(value, exempt):
    """It names a proxy or it is a mistake of the configuration; what stands there is never shown."""
    told, found = "", None
    try:
        found = proxy_for(API, {"HTTPS_PROXY": value, "NO_PROXY": exempt})
    except ConfigError as error:
        told = error.message + error.hint
    assert not told or "HTTPS_PROXY" in told
    assert len(value) < 5 or value not in told
    assert found is None or found.port


@pytest.mark.parametrize(
    "value", ["ftp://user:hunter2@p:1", "http://user:hunter2@p:x", "http://user:hunter2@", "://hunter2"]
)
def test_what_is_no_proxy_is_a_mistake_of_the_configuration(router, plain_server, monkeypatch, value):
    """It is told by the name of the variable, and holds no secret."""
    monkeypatch.setenv("HTTP_PROXY", value)
    with pytest.raises(ConfigError) as caught:
        router("http://apis6.smartico.ai/")
    assert "HTTP_PROXY" in caught.value.message
    assert "hunter2" not in caught.value.message + caught.value.hint + repr(caught.value)


def delivered(delivery):
    """Deliver a few events, over kept connections."""
    for start in range(0, 30, 10):
        assert delivery.send("deposits", some_events(10, start=start)).result(30).delivered == 10


@pytest.mark.parametrize("kind", ["http", "https", "socks5", "socks5h"])
@pytest.mark.parametrize("target", ["http", "https"])
def test_delivery_through_a_proxy(router, plain_server, gateway, authority, monkeypatch, kind, target):
    """Of every kind, with a login whose signs are percent-encoded; certificates are verified by the machine's trust store."""
    pair = authority.issue("localhost", address="127.0.0.1")
    server = plain_server(always(), tls=pair.tls() if target == "https" else None)
    proxy = gateway(server.port, login="us er:p@ss:ö", tls=pair.tls() if kind == "https" else None)
    monkeypatch.setenv("ALL_PROXY", f"{kind}://us%20er:p%40ss%3A%C3%B6@127.0.0.1:{proxy.port}")
    delivered(router(server.url))
    way = {"http": "CONNECT 127" if target == "https" else "POST http://127"}.get(kind, "SOCKS 127")
    if kind == "https":
        way = "CONNECT 127" if target == "https" else "POST http://127"
    assert len(proxy.asked) == 1
    assert proxy.asked[0].startswith(way)


def test_socks5h_leaves_the_name_to_the_proxy(router, plain_server, gateway, monkeypatch):
    """Where no name server is at hand."""
    server = plain_server(always())
    proxy = gateway(server.port)
    monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{proxy.port}")
    delivered(router("http://api.invalid/events"))
    assert proxy.asked == ["SOCKS api.invalid:80"]


def test_socks_without_its_package(router, monkeypatch):
    """One line with the command that installs it."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "socks", None)
    with pytest.raises(DriverMissing) as caught:
        router("http://api.invalid/events")
    assert caught.value.hint == "pip install 'smartico-sync[socks]'"


@pytest.mark.parametrize("target", ["http", "https"])
@pytest.mark.parametrize("refusal", ["407", "403"])
def test_a_proxys_refusal_is_told_as_the_proxys(router, plain_server, gateway, monkeypatch, target, refusal):
    """Nobody looks for a wrong token because a proxy wants a login."""
    page = answer(b"<html>Access to this site is blocked", f"{refusal} Blocked")
    proxy = gateway(1, refusal=page) if refusal == "403" else gateway(1, login="user:password")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
    delivery = router(f"{target}://api.invalid/events")
    with pytest.raises(DeliveryHalted) as caught:
        delivery.send("deposits", some_events(10)).result(30)
    told = caught.value.message + caught.value.hint
    assert "proxy" in caught.value.message
    assert refusal in caught.value.message
    assert "token" not in told
    assert "ALL_PROXY" in caught.value.hint
    (probe,) = delivery.probe()
    assert "proxy" in probe.wrong


@pytest.mark.parametrize(
    "body", [b'{"error": "policy", "message": "blocked"}', b"{}", b'{"err_code": null}', b"[]", b"{broken"]
)
def test_a_proxys_refusal_in_json_is_the_proxys(router, gateway, monkeypatch, body):
    """What forwards plain HTTP may answer in the API's place, and some proxies speak JSON; only the API tells its codes."""
    proxy = gateway(1, refusal=answer(body, "403 Forbidden"))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    with pytest.raises(DeliveryHalted) as caught:
        router("http://api.invalid/events").send("deposits", some_events(10)).result(30)
    assert "proxy" in caught.value.message
    assert "token" not in caught.value.message + caught.value.hint


def test_a_refusal_of_the_api_through_a_proxy_is_the_apis(router, plain_server, gateway, monkeypatch):
    """What it says in its own words concerns the token."""
    server = plain_server(always("403 No", b'{"errCode": 4, "errMsg": "Access denied"}'))
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{gateway(server.port).port}")
    with pytest.raises(DeliveryHalted, match="token"):
        router(server.url).send("deposits", some_events(10)).result(30)


@pytest.mark.parametrize("what", ["nobody", "bad gateway", "silence"])
def test_a_proxy_that_does_not_work_is_tried_again(router, plain_server, gateway, monkeypatch, what):
    """It is unavailable, and the reason names it."""
    silent = plain_server(lambda peer: time.sleep(5))
    port = {
        "nobody": lambda: 1,
        "bad gateway": lambda: gateway(1, refusal=answer(b"", "502 Bad Gateway")).port,
        "silence": lambda: silent.port,
    }[what]()
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    delivery = router("https://api.invalid/events", timeout=300)
    (probe,) = delivery.probe()
    assert "proxy" in probe.wrong
    pending = delivery.send("deposits", some_events(10))
    assert "proxy" in problem_of(delivery).message
    assert backing_off(delivery)
    assert not pending.done()


def test_a_proxy_that_opens_tls_is_told_by_its_certificate(
    router, plain_server, gateway, authority, tmp_path, monkeypatch
):
    """Its authority is unknown to this machine until somebody names it."""
    (tmp_path / "corporate").mkdir()
    forged = Authority(tmp_path / "corporate").issue("localhost", address="127.0.0.1")
    server = plain_server(always(), tls=forged.tls())
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{gateway(server.port).port}")
    (probe,) = router(server.url).probe()
    assert "unknown authority" in probe.wrong
    assert "SSL_CERT_FILE" in probe.hint


@pytest.mark.parametrize(
    ("reply", "told", "state"),
    [
        (None, "the proxy: no connection to 127.0.0.1:1: the connection is refused", "backing_off"),
        (b"\x05\xff", "does not let us through: it does not accept the login", "halted"),
        (b"\x05\x00" + b"\x05\x02\x00\x01" + bytes(6), "does not let us through: its rules do not allow it", "halted"),
        (b"\x05\x00" + b"\x05\x04\x00\x01" + bytes(6), "does not reach api.invalid:80: no route", "backing_off"),
        (b"\x05\x00" + b"\x05\x05\x00\x01" + bytes(6), "api.invalid:80: the connection is refused", "backing_off"),
    ],
    ids=["nobody there", "login", "rules", "no route", "refused"],
)
def test_a_socks_proxy_says_why(router, plain_server, monkeypatch, reply, told, state):
    """Its answers are told in words: who refuses, the proxy or the host behind it."""

    def serve(peer):
        peer.sock.recv(3)
        peer.write(reply[:2])
        peer.sock.recv(64)
        peer.write(reply[2:])

    port = 1 if reply is None else plain_server(serve).port
    monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{port}")
    delivery = router("http://api.invalid/events")
    (probe,) = delivery.probe()
    assert told in probe.wrong
    delivery.send("deposits", some_events(10))
    until(lambda: delivery.status()[0].state == state, 0.01)
