"""Logging in to Redshift: rights, URLs, AWS's credentials, TLS."""

from __future__ import annotations

import pytest
import redshift_connector

from servers.certificates import Authority
from smartico_sync.config.models import SourceConfig
from smartico_sync.core.relation import Relation
from smartico_sync.errors import ConfigError, SourceRefused, SourceUnreachable
from smartico_sync.sources.redshift.login import Login
from stand_ins.process import StandIn


def test_no_permission_is_refused(redshift, configured):
    """A view that the user may not read: SourceRefused, and what to grant."""
    redshift.execute(
        "CREATE SCHEMA crm", "CREATE TABLE crm.bets (id int)", "SET password_encryption = md5; CREATE ROLE stranger LOGIN PASSWORD 'p'"
    )  # fmt: skip
    try:
        url = redshift.url.replace(redshift.url.split("//")[1].split("@")[0], "stranger:p")
        source = configured(url)
        with pytest.raises(SourceRefused) as refused:
            source.describe(Relation("bets", "id", ("id",), relation="crm.bets"))
        assert "GRANT SELECT" in refused.value.hint
        assert source.relations() == ()
        source.close()
    finally:
        redshift.execute("DROP ROLE stranger")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redshift://r:sesame@h/d?sslmood=1", "sslmood"), ("redshift://r:sesame@h/d?sslmode=require", "require"),
        ("redshift://r:sesame@h:x/d", "not a number"), ("redshift://r:sesame@/d", "no host"),
        ("redshift://r:sesame@h/d?iam=perhaps", "neither on nor off"), ("redshift://r:sesame@h/d?timeout=1", "timeout"),
        ("redshift://r:sesame@h/d?connect_timeout=soon", "not a number"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_work_is_told_at_once(configured, url, words):
    """ConfigError before anything is opened, without the password, with what to write instead."""
    with pytest.raises(ConfigError, match=words) as told:
        configured(url)
    assert "sesame" not in told.value.message + told.value.hint
    assert told.value.hint


def test_aws_logins_reach_the_driver():
    """Everything that the driver knows of IAM passes through, as the types that it wants."""
    login = Login(
        SourceConfig(
            url="redshift://@/casino?iam=on&cluster_identifier=main&region=eu-west-1&db_user=reader&db_groups=crm, bi&auto_create=off"
            "&profile=prod"
        )
    )
    told = login.arguments(("", 5439))
    assert told == {
        "iam": True, "cluster_identifier": "main", "region": "eu-west-1", "db_user": "reader", "db_groups": ["crm", "bi"],
        "auto_create": False, "profile": "prod", "database": "casino", "port": 5439, "timeout": 10, "sslmode": "verify-full",
        "application_name": "smartico-sync", "tcp_keepalive_idle": 30, "tcp_keepalive_interval": 10, "tcp_keepalive_count": 3,
    }  # fmt: skip
    assert login.hosts() == (("", 5439),)


def test_aws_saying_no_is_a_refusal(configured, monkeypatch):
    """Whatever AWS's own library raises while it looks for credentials: SourceRefused, without its words."""
    from botocore.exceptions import ClientError, NoCredentialsError

    causes = [
        NoCredentialsError(),
        ClientError({"Error": {"Code": "AccessDenied", "Message": "secret"}}, "GetClusterCredentials"),
        redshift_connector.error.InterfaceError("Connection parameter db_user must be specified, secret"),
    ]
    source = configured("redshift://@h/d?iam=on&region=eu-west-1")

    def refuse(**_):
        raise causes.pop()

    monkeypatch.setattr(redshift_connector, "connect", refuse)
    while causes:
        with pytest.raises(SourceRefused) as refused:
            source.facts()
        assert "secret" not in refused.value.message + refused.value.hint
        assert "GetClusterCredentials" in refused.value.hint


@pytest.fixture
def secure(redshift, redshift_server, tmp_path):
    """The URL of a gate that offers TLS, and its authority."""
    authority = Authority(tmp_path)
    pair = authority.issue("localhost")
    gate = StandIn.start("redshift", redshift_server[0].port, pair.certificate, pair.key)
    yield redshift.through(gate.told["port"], "localhost"), authority
    gate.stop()


def test_tls_is_verified_to_the_name(secure, configured, monkeypatch):
    """verify-full unless said otherwise: an unknown authority or another host's certificate is no connection, a known one is."""
    url, authority = secure
    with pytest.raises(SourceUnreachable, match="TLS"):
        configured(url).facts()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    assert configured(url).facts().version
    other = url.replace("localhost", "127.0.0.1")
    with pytest.raises(SourceUnreachable, match="TLS"):
        configured(other).facts()
    assert configured(other + "?sslmode=verify-ca").facts().version


def test_a_server_without_tls_says_so(redshift, configured):
    """The driver asks for TLS by itself; a server that has none is told."""
    with pytest.raises(SourceUnreachable, match="no TLS"):
        configured(redshift.through(redshift.port)).facts()
