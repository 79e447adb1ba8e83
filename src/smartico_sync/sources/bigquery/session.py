"""One client of BigQuery that never waits longer than it was told to, and only asks."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import pyarrow as pa
from google.api_core.exceptions import Forbidden
from google.api_core.retry import Retry
from google.cloud.bigquery import QueryJob, QueryJobConfig
from msgspec import Struct

from smartico_sync.sources.bigquery.failures import FAILURES, failure
from smartico_sync.sources.kit.failures import only_asks
from smartico_sync.sources.kit.intake import counted_tables
from smartico_sync.sources.sql.warehouse import WarehouseSession

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from google.cloud import bigquery, bigquery_storage
    from google.cloud.bigquery import ScalarQueryParameter, SchemaField
    from google.cloud.bigquery.table import RowIterator, TableReference

    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.bigquery.login import Login
    from smartico_sync.sources.kit.abandonable import UnattendedCalls
    from smartico_sync.sources.kit.intake import Intake
    from smartico_sync.sources.kit.server_clock import ServerClock
    from smartico_sync.sources.protocol import Nulls

__all__ = ["NEVER", "AnswerCache", "Estimate", "Session", "Storage"]

# The client logs what fails with the query and its values; what is wrong is told by the failure.
for name in ("google.cloud.bigquery", "google.api_core", "google.auth"):
    logging.getLogger(name).propagate = False
    logging.getLogger(name).addHandler(logging.NullHandler())
QUESTION = re.compile(r"(?:\s|/\*.*?\*/)*SELECT\b", re.DOTALL | re.IGNORECASE)
NOW = "SELECT UNIX_MILLIS(CURRENT_TIMESTAMP())"
# The daemon tries again, and tells meanwhile; the client would for ten minutes.
NEVER = Retry(predicate=lambda _: False)
FIRST_ROWS = 1_000  # rows that come with the answer; more of them arrive faster by Arrow than as JSON
T = TypeVar("T")


class Storage:
    """Whether large answers may come through the Storage API: known for the whole source once it was refused."""

    def __init__(self, login: Login) -> None:
        self.login = login
        self._client: bigquery_storage.BigQueryReadClient | None = None
        self.refused = False

    def client(self) -> bigquery_storage.BigQueryReadClient | None:
        """A client that all sessions share; None where there is none to use."""
        if self.refused or self.login.storage == "never":
            return None
        if self._client is None:
            self._client = self.login.storage_client()
        return self._client

    def close(self) -> None:
        """Close the channel."""
        if self._client is not None:
            self._client.transport.close()  # type: ignore[no-untyped-call]


class AnswerCache:
    """Answers that are asked for again and again, and would be billed each time; kept for the whole source."""

    def __init__(self) -> None:
        self.heads: dict[Relation, str] = {}
        self.nulls: dict[tuple[Relation, Nulls], tuple[float, int]] = {}


class Estimate(Struct, frozen=True):
    """What a query would give and cost."""

    fields: Sequence[SchemaField]
    size: int
    tables: tuple[TableReference, ...]


class Session(WarehouseSession):
    """A client. BigQuery has no read-only session, so what is not a question is refused here."""

    failures = FAILURES
    failure = staticmethod(failure)
    cast = "to STRING"

    def __init__(
        self, storage: Storage, cache: AnswerCache, clock: ServerClock, unattended: UnattendedCalls, place: str
    ) -> None:
        self.login = login = storage.login
        super().__init__(clock, unattended, place, 2 * login.silence_s)
        self._silence_s = login.silence_s
        self.storage = storage
        self.cache = cache
        self.most_bytes: int | None = login.limits().get("maximum_bytes_billed")
        try:
            self._client = self._call(login.client, "connecting")
        except BaseException:
            super().close()
            raise

    def tables(
        self, statement: str, parameters: Sequence[ScalarQueryParameter], what: str, intake: Intake | None = None
    ) -> list[pa.Table]:
        """A query's answer as Arrow tables, none when there is no row. `what` names the view for messages.

        RowsTooWide where they are more than the `intake` takes.
        """
        self._only_asks(statement, what)

        def ask() -> list[pa.Table]:
            storage = self.storage.client()
            rows = self._client.query_and_wait(
                statement,
                job_config=QueryJobConfig(query_parameters=list(parameters)),
                api_timeout=self._silence_s,
                wait_timeout=self._silence_s,
                retry=NEVER,
                job_retry=NEVER,
                page_size=FIRST_ROWS if storage is not None else None,
            )
            if rows.created is not None:
                self.clock.tell(int(rows.created.timestamp() * 1000))
            batches = self._batches(rows, storage, intake)
            return [pa.Table.from_batches(batches)] if batches else []

        return self._call(ask, what)

    def _batches(
        self, rows: RowIterator, storage: bigquery_storage.BigQueryReadClient | None, intake: Intake | None
    ) -> list[pa.RecordBatch]:
        """In order, through the Storage API where it may be used and is worth it."""
        try:
            return counted_tables(rows.to_arrow_iterable(storage, max_stream_count=1, timeout=self._silence_s), intake)
        except Forbidden:
            if storage is None:
                raise
            self.storage.refused = True
            # An iterator begins once only; the job's answer can be asked for again, and is not computed anew.
            job = self._client.get_job(str(rows.job_id), location=rows.location, timeout=self._silence_s, retry=NEVER)
            if not isinstance(job, QueryJob):  # never: it is the one that has just answered
                raise
            return counted_tables(job.result(timeout=self._silence_s, retry=NEVER).to_arrow_iterable(), intake)

    def estimate(self, statement: str, parameters: Sequence[ScalarQueryParameter], what: str) -> Estimate:
        """Compile a query without running it, which costs nothing."""
        self._only_asks(statement, what)

        def ask() -> Estimate:
            job = self._client.query(
                statement,
                job_config=QueryJobConfig(query_parameters=list(parameters), dry_run=True),
                timeout=self._silence_s,
                retry=NEVER,
                job_retry=None,
            )
            return Estimate(job.schema or (), int(job.total_bytes_processed or 0), tuple(job.referenced_tables))

        return self._call(ask, what)

    def call(self, ask: Callable[[bigquery.Client, float], T], what: str) -> T:
        """Anything else that the client can be asked, with the time that it may take."""
        return self._call(lambda: ask(self._client, self._silence_s), what)

    def _ask_now(self, what: str) -> int:
        """A query of no table is billed for no byte."""
        return int(self.tables(NOW, (), what)[0].column(0)[0].as_py())

    def _only_asks(self, statement: str, what: str) -> None:
        if not QUESTION.match(statement):
            raise only_asks(self._place, what)

    def usable(self) -> bool:
        """Whether the session is worth another question: its connections are made anew when they break."""
        return not self._calls.abandoned

    def close(self) -> None:
        """Close the connections; never raises, never waits."""
        super().close()
        with suppress(*FAILURES):
            self._client.close()  # type: ignore[no-untyped-call]
