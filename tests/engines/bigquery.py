"""BigQuery: a project of one's own where SYNC_TEST_BIGQUERY_URL names it, else bqemulator.

It has no indexes: it prunes partitions, which `plan` judges by bytes. It has no snapshot of several queries, so each
question of a reading has one of its own. It has one host, and the emulator knows nobody and drops nobody.
"""

from __future__ import annotations

import re
from datetime import date, datetime

from google.cloud.bigquery import QueryJobConfig, ScalarQueryParameter

from engines.engine import Engine
from servers.patient import patient
from smartico_sync.errors import SourceUnreachable
from smartico_sync.sources.bigquery.login import Login

WEIGHT = "heavy"
STAND_IN = "bqemulator over DuckDB"


class BigQuery(Engine):
    name = "bigquery"
    types = {
        "integer": "INT64",
        "text": "STRING",
        "timestamp": "DATETIME",
        "instant": "TIMESTAMP",
        "decimal": "BIGNUMERIC(38,10)",
        "float": "FLOAT64",
        "boolean": "BOOL",
        "date": "DATE",
    }
    awkward, odd = "a 'b' :c %", "My-Bets"
    lacks = frozenset({"indexes", "snapshots", "hosts", "users", "databases", "resets"})
    silent = "in time"
    closed = SourceUnreachable

    def __init__(self, dataset):
        super().__init__(dataset.url)
        self.execute = dataset.execute
        self.client = dataset.client
        self.project = dataset.project
        self.made = []

    def sleeping(self, seconds):
        return f"SELECT EMULATED_WAIT({seconds}) AS id"

    def asleep(self, seconds):
        return any(f"EMULATED_WAIT({seconds})" in text for text in self.project.queries())

    def quoted(self, name):
        return f"`{name}`"

    def place(self, name):
        return self.quoted(name.strip('"')) if name.startswith('"') else super().place(name)

    def literal(self, value):
        if isinstance(value, datetime):
            return f"{'TIMESTAMP' if value.tzinfo else 'DATETIME'} '{value.replace(tzinfo=None)}'"
        if isinstance(value, date):
            return f"DATE '{value}'"
        return super().literal(value)

    def insert(self, name, rows):
        """Texts that a constant would have to escape travel as parameters."""
        texts = []

        def written(value):
            if not isinstance(value, str) or re.fullmatch(r"[\w .:-]*", value, re.ASCII):
                return self.literal(value)
            texts.append(ScalarQueryParameter(f"t{len(texts)}", "STRING", value))
            return f"@t{len(texts) - 1}"

        values = [f"({', '.join(written(value) for value in row)})" for row in rows]
        if values:
            statement = f"INSERT INTO {self.place(name)} VALUES {', '.join(values)}"
            self.client.query_and_wait(statement, job_config=QueryJobConfig(query_parameters=texts))

    def rename(self, name, to):
        self.execute(f"CREATE TABLE {self.place(to)} AS SELECT * FROM {self.place(name)}")
        self.drop(name)

    def printed(self, number):
        """A decimal has no scale of its own."""
        return number.rstrip("0").rstrip(".")

    def schema(self, name):
        self.client.create_dataset(name)
        self.made.append(name)
        return name

    def close(self):
        super().close()
        for name in self.made:
            self.client.delete_dataset(name, delete_contents=True)


def serve(request):
    engine = BigQuery(request.getfixturevalue("bigquery_dataset"))
    yield engine
    engine.close()


def bare(url: str, query: str) -> int:
    """How many rows the driver alone fetches, by Arrow through the Storage API."""
    login = Login(patient(url))
    with login.client() as client, login.storage_client() as storage:
        rows = client.query(query).result()
        return sum(batch.num_rows for batch in rows.to_arrow_iterable(bqstorage_client=storage))
