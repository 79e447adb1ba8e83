"""BigQuery's connections beyond the contract: URLs, credentials, restarts."""

from __future__ import annotations

import json

import google.auth
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.api_core.retry import retry_unary
from google.auth import exceptions as auth

from smartico_sync.config.models import SourceConfig
from smartico_sync.core.relation import Relation
from smartico_sync.errors import ConfigError, SourceUnreachable
from smartico_sync.sources.bigquery.login import SCOPES, Login
from stand_ins.process import StandIn

BETS = Relation("bets", "id", ("id",), relation="bets")
pytestmark = [
    pytest.mark.slow,
    # The client's own way to read through the Storage API; what it shall become one day is another package.
    pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning"),
]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("bigquery://project/ds?locatoin=EU", "locatoin"),
        ("bigquery:///ds", "names no project"),
        ("bigquery://project/ds?maximum_bytes_billed=5", "maximum_bytes_billed"),
        ("bigquery://project/ds?storage_api=sometimes", "storage_api"),
        ("bigquery://project/ds?host=h&port=x", "port is not a number"),
        ("bigquery://project/ds?credentials_file=/nowhere.json", "No such file"),
    ],
)
def test_a_url_that_cannot_work_is_a_configuration_error(configured, url, words):
    """Told before the first poll, and without asking anybody."""
    with pytest.raises(ConfigError, match=words):
        configured(url)


def test_a_service_accounts_key_is_used_with_a_narrow_scope(tmp_path):
    """credentials_file is read by the driver, asks for BigQuery alone, and what is no such key is told."""
    key = rsa.generate_private_key(65_537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account", "client_email": "reader@casino.iam.gserviceaccount.com", "private_key": key.decode(),
        "token_uri": "https://oauth2.googleapis.com/token", "project_id": "other", "private_key_id": "1",
    }  # fmt: skip
    file = tmp_path / "key.json"
    file.write_text(json.dumps(account))
    config = SourceConfig(url=f"bigquery://casino/crm?credentials_file={file}&quota_project=pays&location=EU")
    login = Login(config)
    with login.client() as client:
        assert (client.project, client.location) == ("casino", "EU")
        credentials = client._credentials
        assert credentials.service_account_email == account["client_email"]
        assert credentials.quota_project_id == "pays"
        assert tuple(credentials.scopes) == SCOPES
    assert "PRIVATE" not in repr(login)
    for content, words in (("{", "not JSON"), ('{"type": "authorized_user"}', "not the key of a service account")):
        file.write_text(content)
        with pytest.raises(ConfigError, match=words):
            Login(config).check()


def test_without_a_key_the_environments_credentials_are_used(configured, monkeypatch):
    """Application Default Credentials; where there are none, the way to name some is told."""

    def none(scopes):
        assert scopes == SCOPES
        raise auth.DefaultCredentialsError("/home/secret-user/.config is empty")

    monkeypatch.setattr(google.auth, "default", none)
    with pytest.raises(ConfigError, match="no credentials") as wrong:
        configured("bigquery://project/ds").facts()
    assert "secret-user" not in wrong.value.message + wrong.value.hint
    assert "credentials_file" in wrong.value.hint


def test_nobody_there_is_unreachable(configured, monkeypatch):
    """A port where nobody listens; the client does not try again by itself, which it would do for minutes."""
    slept = []
    monkeypatch.setattr(retry_unary.time, "sleep", slept.append)
    with pytest.raises(SourceUnreachable, match="nobody answers"):
        configured("bigquery://project/ds?host=127.0.0.1&port=1&protocol=http").facts()
    assert slept == []


def test_a_server_that_restarts_is_found_again(project, configured, proxied):
    """Connections are made anew when they broke."""
    running = [StandIn.start("bigquery")]
    try:
        proxy = proxied(running[0].told["port"])
        source = configured(project.text(port=proxy.port))
        assert source.facts().version
        running[0].stop()
        with pytest.raises(SourceUnreachable):
            source.facts()
        running[0] = StandIn.start("bigquery")
        proxy.target = running[0].told["port"]
        assert source.facts().version
    finally:
        running[0].stop()
