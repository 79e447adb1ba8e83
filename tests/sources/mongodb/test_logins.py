"""Logging in to MongoDB: passwords, roles, certificates, URLs."""

from __future__ import annotations

import pytest

from servers.certificates import Authority
from servers.mongodb import FINDER, OWNER, READER, STRANGER, Mongo
from smartico_sync.core.position import Position
from smartico_sync.core.relation import Relation
from smartico_sync.errors import ConfigError, SourceRefused, SourceUnreachable
from sources.reading import page

BETS = Relation("bets", "cur", ("id",), relation="bets")


def logged_in(server, user, **parameters):
    from urllib.parse import quote

    return Mongo(ports=server.ports, login=f"{user[0]}:{quote(user[1], safe='')}@").url(
        "casino", authSource="admin", **parameters
    )


def test_a_login_may_read_and_no_more(private_mongodb, configured):
    """A password of any characters works; facts() warns of a user that may write, and not of one that may only read."""
    server = private_mongodb(users=[OWNER, READER, STRANGER])
    with Mongo(logged_in(server, OWNER)).owner() as client:
        client.casino.bets.insert_one({"cur": 1, "id": 1})
    source = configured(logged_in(server, READER))
    assert page(source, BETS).height == 1
    assert source.facts().warnings == ()
    (warning,) = configured(logged_in(server, OWNER)).facts().warnings
    assert warning.startswith("owner may do more than read: insert on any database.*")
    assert "role read" in warning
    with pytest.raises(SourceRefused) as refused:
        configured(logged_in(server, STRANGER)).facts()
    assert "grantRolesToUser" in refused.value.hint


def test_the_right_to_find_is_enough(private_mongodb, configured):
    """A role that may find in the views and do nothing else: described, read, checked and named."""
    server = private_mongodb(users=[OWNER, FINDER])
    with Mongo(logged_in(server, OWNER)).owner() as client:
        client.casino.bets.insert_one({"cur": 1, "id": 1})
    source = configured(logged_in(server, FINDER))
    described = source.describe(BETS)
    with source.reading(described) as reading:
        assert reading.page(None, 9).height == 1
        assert reading.page(Position("1", ("1",)), 9).height == 0
    assert source.facts().warnings == ()
    assert source.plan(described, None, 9).text
    assert source.relations() == ("bets",)


def test_a_wrong_password_is_refused_and_not_shown(private_mongodb, configured):
    """The login is refused with the place to look at; neither password nor its shape is told."""
    server = private_mongodb(users=[READER])
    with pytest.raises(SourceRefused) as refused:
        configured(logged_in(server, ("reader", "wr0ng", ""))).facts()
    assert "authSource" in refused.value.hint
    assert "wr0ng" not in str(refused.value) + refused.value.hint


def test_a_server_without_logins_is_told(on_mongodb, emulated):
    """Whoever reaches it may write: that is a warning."""
    assert any("nobody logged in" in warning for warning in on_mongodb.source().facts().warnings)


def bundle(pair, path):
    path.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
    path.chmod(0o600)
    return path


def test_tls_with_certificates_of_both_sides(private_mongodb, configured, tmp_path):
    """The server's certificate is verified by tlsCAFile; the client's logs in by itself with MONGODB-X509."""
    authority = Authority(tmp_path)
    served = bundle(authority.issue("localhost", address="127.0.0.1"), tmp_path / "served.pem")
    mine = bundle(authority.issue("smartico-reader"), tmp_path / "mine.pem")
    tls = {"certificate": str(served), "authority": str(authority.certificate)}
    server = private_mongodb(users=[OWNER], tls=tls)
    files = {"tls": "true", "tlsCAFile": authority.certificate, "tlsCertificateKeyFile": mine}
    with Mongo(logged_in(server, OWNER, **files)).owner() as client:
        client.casino.bets.insert_one({"cur": 1, "id": 1})
    x509 = {"authMechanism": "MONGODB-X509", "authSource": "$external"}
    assert page(configured(server.url("casino", **files, **x509)), BETS).height == 1
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    wrong = {**files, "tlsCAFile": other.certificate, "serverSelectionTimeoutMS": 500}
    with pytest.raises(SourceUnreachable) as refused:
        configured(server.url("casino", **wrong), statement_timeout="500ms").facts()
    assert "tlsCAFile" in refused.value.hint
    plain = configured(server.url("casino", serverSelectionTimeoutMS=500), statement_timeout="500ms")
    with pytest.raises(SourceUnreachable):
        plain.facts()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mongodb://h/casino?colour=red", "colour"),
        ("mongodb://h/casino?sample=all", "sample"),
        ("mongodb://h", "no database"),
        ("mongodb:///casino", "no host"),
        ("mongodb://h/casino?readPreference=best", "readPreference"),
        ("mongodb://u:hush@h/casino?maxStalenessSeconds=x", "maxStalenessSeconds"),
        ("mongodb://h/casino?tls=true&tlsCAFile=/nowhere.pem", "tlsCAFile"),
        ("mongodb://h:port/casino", "port"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_before_the_first_poll(configured, url, told):
    """The parameter is named, and the known ones; secrets are not."""
    with pytest.raises(ConfigError) as wrong:
        configured(url)
    assert told.lower() in f"{wrong.value.message} {wrong.value.hint}".lower()
    assert "hush" not in f"{wrong.value.message} {wrong.value.hint}"


def test_urls_of_all_kinds_are_taken(configured):
    """Several hosts, IPv6, options of writers, options of the source, and SRV records, which are looked up later."""
    login = configured(
        "mongodb://u:p@a:27018,[::1]:27019/casino?retryWrites=true&w=majority&ssl=true", options={"replicaSet": "rs0"}
    )._servers.login
    address = login.address()
    assert address.startswith("mongodb://a:27018,[::1]:27019/casino?")
    assert "replicaSet=rs0" in address
    assert "tls=true" in address
    assert "maxStalenessSeconds=120" in address
    assert "w=" not in address
    assert "p@" not in address
    assert "maxStaleness" not in configured("mongodb://h/casino?readPreference=primary")._servers.login.address()
    assert (
        configured("mongodb+srv://cluster.example/casino")
        ._servers.login.address()
        .startswith("mongodb+srv://cluster.example/casino?")
    )
