"""Logging in to Oracle: certificates, wallets, descriptors, URLs."""

from __future__ import annotations

import ssl

import pytest

from servers.certificates import Authority
from smartico_sync.core.relation import Relation
from smartico_sync.errors import (
    ConfigError,
    SourceUnreachable,
)
from sources.oracle.answers import ID, says
from waiting import until

BETS = Relation("bets", "id", ("id",), relation="bets")


@pytest.fixture
def secure(listener, tmp_path):
    """A listener that wants tcps and a client certificate, and the authority of both."""
    authority = Authority(tmp_path)
    server = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate, server.key)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    heard, _ = listener(says([ID]), tls=context)
    return heard.url().replace("127.0.0.1", "localhost"), authority, authority.issue("reader")


def test_certificates_in_files_serve(secure, configured):
    """ssl_ca, ssl_cert and ssl_key: tcps with both sides known to each other."""
    url, authority, client = secure
    files = f"?ssl_ca={authority.certificate}&ssl_cert={client.certificate}&ssl_key={client.key}"
    assert configured(url + files).describe(BETS).columns


def test_a_wallet_serves(secure, configured, tmp_path):
    """wallet_location: the certificates of both sides in one ewallet.pem."""
    url, authority, client = secure
    wallet = tmp_path / "wallet"
    wallet.mkdir()
    parts = (client.key, client.certificate, authority.certificate)
    (wallet / "ewallet.pem").write_text("".join(part.read_text() for part in parts))
    assert configured(f"{url}?wallet_location={wallet}").describe(BETS).columns


def test_a_stranger_is_not_trusted(secure, configured, tmp_path):
    """Another authority's certificate, or another host's: no connection, and the hint says where to look."""
    url, authority, client = secure
    (tmp_path / "other").mkdir()
    files = f"&ssl_cert={client.certificate}&ssl_key={client.key}"
    with pytest.raises(SourceUnreachable, match="TLS"):
        configured(f"{url}?ssl_ca={Authority(tmp_path / 'other').certificate}{files}").facts()
    with pytest.raises(SourceUnreachable, match="for another host"):
        configured(f"{url.replace('localhost', '127.0.0.1')}?ssl_ca={authority.certificate}{files}").facts()


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        ("?sid=ORCL", "(SID=ORCL)"), ("casino_ro", "(SERVICE_NAME=casino_ro)"), ("casino?server_type=pooled", "(SERVER=pooled)"),
        ("casino?sdu=16384", "(SDU=16384)"), ("casino?instance_name=one", "(INSTANCE_NAME=one)"),
    ],
)  # fmt: skip
def test_parameters_reach_the_listener(listener, configured, tail, words):
    """What the URL says about the database arrives in the driver's connect string."""
    heard, _ = listener(refuse=12514)
    with pytest.raises(SourceUnreachable):
        configured(heard.url(service=tail)).facts()
    until(lambda: heard.told)
    assert words.lower() in heard.told[0].lower()


def test_a_whole_descriptor_may_be_given(listener, configured, tmp_path):
    """dsn: a descriptor, or a name in tnsnames.ora, as DBAs hand them out."""
    heard, _ = listener(says([ID]))
    place = (
        f"(DESCRIPTION=(ADDRESS=(PROTOCOL=tcp)(HOST=127.0.0.1)(PORT={heard.port}))(CONNECT_DATA=(SERVICE_NAME=casino)))"
    )
    login = heard.url().partition("@127")[0]
    assert configured(f"{login}@/", options={"dsn": place}).describe(BETS).columns
    (tmp_path / "tnsnames.ora").write_text(f"CASINO_RO = {place}\n")
    assert configured(f"{login}@/?dsn=CASINO_RO&config_dir={tmp_path}").describe(BETS).columns


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("oracle://r:sesame@h/", "no service"), ("oracle://r:sesame@h/s?sslmood=1", "sslmood"),
        ("oracle://r:sesame@h/s?protocol=http", "http"), ("oracle://r:sesame@h/s?sdu=big", "not a number"),
        ("oracle://r:sesame@h/s?ssl_server_dn_match=maybe", "neither on nor off"), ("oracle://r:sesame@h/s?ssl_ca=/none", "certificate"),
        ("oracle://r:sesame@h:x/s", "cannot use"), ("oracle://r:sesame@/?dsn=NAME&config_dir=/none", "cannot use"),
        ("oracle://r:sesame@h/s?server_type=none", "cannot use"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_work_is_told_at_once(configured, url, words):
    """ConfigError before anything is opened, without the password, with what to write instead."""
    with pytest.raises(ConfigError, match=words) as told:
        configured(url)
    assert "sesame" not in told.value.message + told.value.hint
    assert told.value.hint
