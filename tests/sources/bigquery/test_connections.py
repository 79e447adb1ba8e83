"""BigQuery's connections: URLs, credentials, a bad network, restarts, time limits."""

from __future__ import annotations

import json
import threading

import google.auth
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.api_core.retry import retry_unary
from google.auth import exceptions as auth

from smartico_sync.config.models import SourceConfig
from smartico_sync.core.relation import Relation
from smartico_sync.errors import ConfigError, SourceCancelled, SourceError, SourceUnreachable
from smartico_sync.sources.bigquery.login import SCOPES, Login
from stand_ins.process import StandIn
from waiting import until

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


def test_a_black_hole_is_noticed(on_bigquery, project, configured, proxied):
    """A network that swallows everything ends the question in time, and the next one after it is mended works."""
    on_bigquery.execute("CREATE TABLE bets (id INT64)")
    proxy = proxied(project.port)
    dataset = on_bigquery.url.split("?")[0].rpartition("/")[2]
    source = configured(project.text(dataset, port=proxy.port), statement_timeout="1s")
    described = source.describe(BETS)
    proxy.black_hole()
    with pytest.raises(SourceUnreachable, match="in time"), source.reading(described) as reading:
        reading.page(None, 5)
    proxy.mend()
    with source.reading(described) as reading:
        assert reading.page(None, 5).height == 0


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


def test_the_server_ends_what_takes_too_long(on_bigquery, project):
    """statement_timeout is the server's own: SourceCancelled, and the source goes on."""
    source = on_bigquery.source(statement_timeout="1s")
    described = source.describe(Relation("slow", "id", (), query="SELECT EMULATED_WAIT(0) AS id"))
    slow = Relation("slow", "id", (), query="SELECT EMULATED_WAIT(20) AS id", columns=described.columns)
    with pytest.raises(SourceCancelled, match="statement_timeout"), source.reading(slow) as reading:
        reading.page(None, 5)
    assert source.facts().version


def test_closing_ends_what_is_under_way(on_bigquery, project):
    """close() does not wait for a query: who waits for it is told so, and not that the query took too long."""
    source = on_bigquery.source(statement_timeout="5s")
    described = source.describe(Relation("slow", "id", (), query="SELECT EMULATED_WAIT(0) AS id"))
    slow = Relation("slow", "id", (), query="SELECT EMULATED_WAIT(9) AS id", columns=described.columns)
    failures = []

    def read():
        try:
            with source.reading(slow) as reading:
                reading.page(None, 5)
        except SourceError as failure:
            failures.append(failure)

    reader = threading.Thread(target=read)
    reader.start()
    until(lambda: any("EMULATED_WAIT(9)" in text for text in project.queries()))
    source.close()
    reader.join()
    assert [type(failure) for failure in failures] == [SourceUnreachable]
