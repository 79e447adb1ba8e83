"""What the wrapper around bqemulator adds, asked by the bare client."""

from __future__ import annotations

import pytest
from google.api_core.exceptions import BadRequest, ClientError, Forbidden
from google.cloud.bigquery import QueryJobConfig, ScalarQueryParameter

pytestmark = pytest.mark.slow


@pytest.fixture
def client(bigquery_dataset):
    """A client whose default dataset is the test's."""
    if not bigquery_dataset.project.port:
        pytest.skip("a real project does not stand in")
    with bigquery_dataset.project.owner(bigquery_dataset.name) as client:
        yield client


def test_a_query_that_fails_is_an_http_error(client):
    """With BigQuery's reason."""
    with pytest.raises(BadRequest) as failed:
        client.query_and_wait("SELECT nothing FROM UNNEST([1]) AS x")
    assert failed.value.errors[0]["reason"] == "invalidQuery"


def test_bytes_and_texts_are_parameters(client):
    """They arrive as what they are."""
    values = [ScalarQueryParameter("b", "BYTES", b"\x00\xff"), ScalarQueryParameter("s", "STRING", "'é%\\")]
    (row,) = client.query_and_wait("SELECT @b AS b, @s AS s", job_config=QueryJobConfig(query_parameters=values))
    assert row.values() == (b"\x00\xff", "'é%\\")


def test_limits_are_kept(client, bigquery_dataset):
    """Of bytes, where a table is called dear; and of time."""
    bigquery_dataset.execute("CREATE TABLE dear_bets (id INT64)")
    with pytest.raises((BadRequest, Forbidden)) as dear:
        client.query_and_wait("SELECT id FROM `dear_bets`", job_config=QueryJobConfig(maximum_bytes_billed=10**9))
    assert dear.value.errors[0]["reason"] == "bytesBilledLimitExceeded"
    with pytest.raises(ClientError) as slow:
        client.query_and_wait("SELECT EMULATED_WAIT(20) AS x", job_config=QueryJobConfig(job_timeout_ms=200))
    assert slow.value.errors[0]["reason"] == "stopped"


def test_it_tells_what_it_was_told(client, bigquery_dataset):
    """The last requests, as they arrived."""
    client.query_and_wait("SELECT 17 AS x")
    assert bigquery_dataset.project.told()[-1]["query"] == "SELECT 17 AS x"
