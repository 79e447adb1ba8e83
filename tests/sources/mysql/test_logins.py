"""Logging in to MySQL and MariaDB: TLS, URLs, rights, and what the server says of itself."""

from __future__ import annotations

import pytest

from servers.certificates import Authority
from servers.mariadb import PASSWORD, Server
from smartico_sync.core.relation import Relation
from smartico_sync.errors import ConfigError, SourceRefused, SourceUnreachable

BETS = Relation("bets", "id", ("id",), relation="bets")


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """A server with TLS, a user who must show a certificate, and the authority of both."""
    if reason := Server.missing():
        pytest.skip(reason)
    authority = Authority(tmp_path_factory.mktemp("tls"))
    pair, client = authority.issue("localhost"), authority.issue("reader")
    server = Server.create(
        f"--ssl-ca={authority.certificate}", f"--ssl-cert={pair.certificate}", f"--ssl-key={pair.key}"
    )
    server.admin(f"CREATE USER certified@'127.0.0.1' IDENTIFIED BY '{PASSWORD}' REQUIRE X509")
    yield server, authority, client
    server.remove()


def test_tls_is_used_where_it_is_offered(secure, configured):
    """Without a word about TLS the connection is encrypted, unverified; `ssl_mode=DISABLED` leaves it out."""
    server, *_ = secure

    def cipher(url):
        source = configured(url)
        with source._pool.link() as session:
            return session.run("SHOW SESSION STATUS LIKE 'Ssl_cipher'", "the test").rows[0][1]

    assert cipher(server.url())
    assert not cipher(server.url() + "?ssl_mode=DISABLED")
    assert cipher(server.url() + "?ssl_mode=REQUIRED")


def test_certificates_are_verified_as_told(secure, configured, tmp_path):
    """ssl_ca verifies the chain and the host's name; VERIFY_CA the chain alone; another authority is not trusted."""
    server, authority, _ = secure
    named = server.url().replace("127.0.0.1", "localhost")
    server.admin(f"CREATE USER IF NOT EXISTS reader@'localhost' IDENTIFIED BY '{PASSWORD}'")
    assert configured(f"{named}?ssl_ca={authority.certificate}").facts().version
    with pytest.raises(SourceUnreachable, match="TLS"):
        configured(f"{server.url()}?ssl_ca={authority.certificate}").facts()
    assert configured(f"{server.url()}?ssl_ca={authority.certificate}&ssl_mode=VERIFY_CA").facts().version
    with pytest.raises(SourceUnreachable, match="TLS") as refused:
        configured(f"{server.url()}?ssl_ca={Authority(tmp_path, 'stranger').certificate}&ssl_mode=VERIFY_CA").facts()
    assert "ssl_ca" in refused.value.hint


def test_a_client_certificate_lets_in(secure, configured):
    """A user who must show a certificate: refused without, let in with ssl_cert and ssl_key."""
    server, authority, client = secure
    url = server.url(user="certified") + f"?ssl_ca={authority.certificate}&ssl_mode=VERIFY_CA"
    with pytest.raises(SourceRefused):
        configured(url).facts()
    assert configured(f"{url}&ssl_cert={client.certificate}&ssl_key={client.key}").facts().version


def test_a_server_without_tls_says_so(real_engine, configured):
    """`ssl_mode=REQUIRED` against a server that offers none: SourceUnreachable, and what to set."""
    with pytest.raises(SourceUnreachable, match="no TLS") as told:
        configured(real_engine.url + "?ssl_mode=REQUIRED").facts()
    assert "`encryption: off`" in told.value.hint


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        ("?sslmood=1", "sslmood"), ("?ssl_mode=MAYBE", "MAYBE"), ("?ssl_ca=/none.pem", "cannot be read"),
        ("?server_public_key=/none", "/none"), ("?connect_timeout=soon", "not a number"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_work_is_told_at_once(configured, tail, words):
    """ConfigError before anything is opened, without the password, with what to write instead."""
    with pytest.raises(ConfigError, match=words) as told:
        configured(f"mysql://r:sesame@h/d{tail}")
    assert "sesame" not in told.value.message + told.value.hint
    assert told.value.hint
    with pytest.raises(ConfigError, match="not a number"):
        configured("mysql://r:sesame@h:x/d")


def test_no_permission_is_refused(real_engine, stranger, configured):
    """A view that the user may not read: SourceRefused, and what to grant; it is not among the relations."""
    real_engine.execute("CREATE TABLE bets (id INT)", "CREATE TABLE other (id INT)")
    source = configured(stranger("SELECT ON other"))
    with pytest.raises(SourceRefused) as refused:
        source.describe(BETS)
    assert "GRANT SELECT" in refused.value.hint
    assert source.relations() == (f"{real_engine.database.name}.other",)


def test_rights_beyond_reading_are_told(real_engine, stranger, configured):
    """A user that may only SELECT draws no warning; one that may write draws one that names the right."""
    real_engine.execute("CREATE TABLE bets (id INT)")

    def rights(*granted):
        return [told for told in configured(stranger(*granted)).facts().warnings if "no time limit" not in told]

    assert rights("SELECT ON bets") == []
    (warning,) = rights("DELETE, INSERT ON bets")
    assert "INSERT, DELETE" in warning or "DELETE, INSERT" in warning
    assert f"{real_engine.database.name}.bets" in warning


def test_facts_tell_the_server(engine):
    """Version, the server's own zone, and why there is no fence."""
    facts = engine.source().facts()
    assert facts.fence
    assert facts.timezone == "+02:00"
    assert facts.version[0].isdigit()
    assert facts.replay_lag_ms is None
    assert any("no time limit" in warning for warning in facts.warnings) is facts.version.startswith("5.6.")
