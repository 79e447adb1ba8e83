"""BigQuery's failures, told as ours and without a value."""

from __future__ import annotations

import concurrent.futures

import pytest
import requests.exceptions
from google.api_core import exceptions
from google.auth import exceptions as auth

from smartico_sync.core.position import Position
from smartico_sync.core.relation import Column, Relation
from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.bigquery.failures import failure

BETS = Relation("bets", "id", ("id",), relation="bets")
pytestmark = [
    pytest.mark.slow,
    # The client's own way to read through the Storage API; what it shall become one day is another package.
    pytest.mark.filterwarnings("ignore:Retrieving Arrow record batches:PendingDeprecationWarning"),
]


def test_a_view_that_fails_for_a_row_shows_no_value(on_bigquery):
    """BigQuery's message quotes the value that failed; ours does not."""
    on_bigquery.execute("CREATE TABLE raw (id STRING)", "INSERT INTO raw VALUES ('secret-mail')")
    source = on_bigquery.source()
    columns = (Column("id", "INT64", "integer"),)
    relation = Relation("bets", "id", ("id",), query="SELECT CAST(id AS INT64) AS id FROM raw", columns=columns)
    with pytest.raises(ViewBroken, match="cannot be computed") as broken, source.reading(relation) as reading:
        reading.page(None, 5)
    assert "secret" not in broken.value.message + broken.value.hint


def test_a_column_dropped_later_is_named(on_bigquery):
    """A view that loses a column after describe(): ViewBroken that names it and its neighbours, on one connection too."""
    on_bigquery.execute("CREATE TABLE bets (id INT64, amount INT64, amount_real INT64)")
    source = on_bigquery.source(pool=1)
    described = source.describe(BETS)
    on_bigquery.execute("ALTER TABLE bets DROP COLUMN amount")
    with pytest.raises(ViewBroken, match="'amount'") as broken, source.reading(described) as reading:
        reading.page(None, 5)
    assert "amount_real" in broken.value.hint


def answered(kind, reason, message="Bad int64 value: s3cret"):
    return kind(message, errors=[{"reason": reason, "message": message}])


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (answered(exceptions.BadRequest, "invalidQuery"), ViewBroken, "cannot be computed"),
        (
            answered(
                exceptions.BadRequest, "invalidQuery", "Unrecognized name: dt_updated; Did you mean dt_update? at [1:8]"
            ),
            ViewBroken,
            "dt_updated",
        ),
        (
            answered(exceptions.NotFound, "notFound", "Not found: Table p:d.t was not found in location US"),
            ViewBroken,
            "p:d.t",
        ),
        (
            answered(
                exceptions.Forbidden, "accessDenied", "User does not have bigquery.jobs.create permission in project p"
            ),
            SourceRefused,
            "bigquery.jobs.create",
        ),
        (
            answered(exceptions.Forbidden, "accessDenied", "Access Denied: Table s3cret"),
            SourceRefused,
            "permission is denied",
        ),
        (answered(exceptions.Forbidden, "quotaExceeded"), SourceRefused, "quota"),
        (answered(exceptions.Forbidden, "rateLimitExceeded"), SourceUnreachable, "cannot serve us"),
        (answered(exceptions.BadRequest, "resourcesExceeded"), SourceCancelled, "too large"),
        (answered(exceptions.BadRequest, "bytesBilledLimitExceeded"), SourceRefused, "maximum_bytes_billed"),
        (answered(exceptions.ClientError, "stopped"), SourceCancelled, "statement_timeout"),
        (answered(exceptions.ServiceUnavailable, "backendError"), SourceUnreachable, "cannot serve us"),
        (exceptions.Unauthorized("s3cret"), SourceRefused, "credentials are refused"),
        (auth.RefreshError("invalid_grant: s3cret"), SourceRefused, "credentials are refused"),
        (auth.TransportError("s3cret"), SourceUnreachable, "nobody answers"),
        (requests.exceptions.SSLError("s3cret"), SourceUnreachable, "TLS"),
        (requests.exceptions.ReadTimeout("s3cret"), SourceUnreachable, "in time"),
        (requests.exceptions.ConnectionError("Failed to resolve s3cret"), SourceUnreachable, "host name"),
        (concurrent.futures.TimeoutError(), SourceCancelled, "statement_timeout"),
        (exceptions.Conflict("s3cret"), SourceError, "failed"),
    ],
)
def test_failures_are_told_as_ours(error, kind, words):
    """Each by what the daemon does about it, with a hint, and never in the server's own words, which may hold values."""
    told = failure(error, "source replica", "view bets")
    assert type(told) is kind
    assert words in told.message
    assert told.hint
    assert "s3cret" not in told.message + told.hint


def test_a_position_that_is_no_value_is_told(on_bigquery):
    """A watermark of another type, after a key became BYTES, is a failure of ours and not of the driver."""
    on_bigquery.execute("CREATE TABLE bets (id INT64, k BYTES)")
    source = on_bigquery.source()
    described = source.describe(Relation("bets", "id", ("k",), relation="bets"))
    with pytest.raises(SourceError, match="no value of its column"), source.reading(described) as reading:
        reading.page(Position("1", ("zz",)), 5)
