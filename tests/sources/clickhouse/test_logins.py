"""Logging in to ClickHouse: passwords, tokens, certificates, URLs."""

from __future__ import annotations

import pytest

from servers.certificates import Authority
from smartico_sync.config.models import SourceConfig
from smartico_sync.errors import ConfigError, SourceRefused, SourceUnreachable
from smartico_sync.sources.clickhouse.login import Login

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("user", "password"), [("reader", "wrong"), ("nobody", "wrong")])
def test_a_refused_login_says_what_to_check(server, configured, user, password):
    """SourceRefused, without the password."""
    with pytest.raises(SourceRefused, match="user or password is refused") as refused:
        configured(server.text(user=user, password=password)).facts()
    assert password not in refused.value.message


def test_a_database_that_is_not_there_is_told(server, configured):
    """Before the first view is looked for."""
    with pytest.raises(SourceRefused, match="database does not exist"):
        configured(server.text("nowhere")).facts()


def test_a_token_logs_in(server, configured, tmp_path):
    """ClickHouse Cloud's tokens come from a file, which may change."""
    (tmp_path / "token").write_text("t0ken\n")
    configured(server.text(access_token_file=tmp_path / "token")).facts()
    assert server.told()[-1]["user"] == "reader"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("clickhouse://u:p@h/d?max_thread=1", "max_thread"), ("clickhouse://u:p@h:x/d", "port is not a number"),
        ("clickhouse:///d", "names no host"), ("clickhouse://u@h/d?secure=maybe", "secure is neither on nor off"),
        ("clickhouse://u@h/d?connect_timeout=soon", "connect_timeout is not a number"),
        ("clickhouse://u@h/d?ca_file=/nowhere.pem", "No such file"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_work_is_a_configuration_error(configured, url, words):
    """Told before the first poll; unknown parameters with those that are known."""
    with pytest.raises(ConfigError, match=words) as wrong:
        configured(url)
    assert words != "max_thread" or "max_threads" in wrong.value.hint


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("clickhouse://u@localhost/d", ("http", 8123)), ("clickhouse://u@h/d?secure=true", ("https", 8443)),
        ("clickhouse://u@h:8443/d", ("https", 8443)), ("clickhouse://u@abc.eu-west-1.aws.clickhouse.cloud/d", ("https", 8443)),
        ("clickhouse://u@localhost:443/d?secure=false", ("http", 443)), ("clickhouse://u@localhost:9999/d", ("http", 9999)),
    ],
)  # fmt: skip
def test_ports_and_tls_are_what_the_url_means(url, expected):
    """As the driver has them: 8443 with TLS, 8123 without."""
    login = Login(SourceConfig(url=url))
    ((host, port),) = login.hosts()
    assert (login.arguments(host, port)["interface"], port) == expected


@pytest.fixture
def secured(private_clickhouse, tmp_path):
    """A server with TLS: its port, its authority, and a certificate of the user `reader`."""
    authority = Authority(tmp_path)
    pair = authority.issue("localhost", address="127.0.0.1")
    stand_in = private_clickhouse(pair.certificate, pair.key, authority.certificate)
    return stand_in, authority, authority.issue("reader")


def test_tls_is_verified_and_a_certificate_may_be_the_login(secured, server, configured, tmp_path):
    """With the right CA and a password, with a client certificate instead of one; with another CA not at all."""
    stand_in, authority, client = secured
    port, ca = stand_in.told["port"], authority.certificate
    assert configured(server.text(port=port, secure="true", ca_file=ca)).facts().version
    url = f"clickhouse://reader@127.0.0.1:{port}/?secure=true"
    options = {"ca_file": str(ca), "client_cert": str(client.certificate), "client_key": str(client.key)}
    assert configured(url, options=options).facts().version
    both = configured(server.text(port=port, secure="true"), options=options)
    assert both.facts().version
    other = Authority(tmp_path, "other")
    with pytest.raises(SourceUnreachable, match="no TLS connection: the certificate is of an unknown authority"):
        configured(server.text(port=port, secure="true", ca_file=other.certificate)).facts()
    unverified = configured(server.text(port=port), encryption="unverified")
    assert unverified.facts().version
    with pytest.raises(SourceUnreachable):
        configured(server.text(port=port)).facts()
    with pytest.raises(SourceUnreachable, match="no TLS connection"):
        configured(server.text(secure="true")).facts()
