"""What dlt makes of it: its `sql_database` source, columns as Arrow, and a destination that posts what a plain loop posts.

dlt keeps how far the cursor is, between runs, and tries a failed batch again. It knows no late commits, no order of a player, no
fingerprint of a profile, no ids beside those that the loop makes, no limit of requests a minute, and encrypts nothing itself.

In an environment of its own, because dlt pins what we do not: see the Makefile.
Usage: python -m bench.dlt_loop casino|users DATABASE_URL API_URL
"""

from __future__ import annotations

import sys
import tempfile

import dlt
import httpx
import orjson
from dlt.sources.sql_database import sql_table

from bench.data import CASINO, USERS
from bench.plain import BATCH, casino, users


def main(what: str, database: str, api: str) -> None:
    """Send the whole view."""
    made = {"casino": casino, "users": users}[what]
    view, order = {"casino": (CASINO, "id"), "users": (USERS, "dt_update")}[what]
    client = httpx.Client(headers={"Authorization": "bench", "Content-Type": "application/json"})

    @dlt.destination(batch_size=BATCH, loader_file_format="parquet", name="ingest", naming_convention="direct")
    def ingest(items, _):
        """One request."""
        rows = zip(*(column.to_pylist() for column in items.columns), strict=True)
        client.post(api, content=orjson.dumps([made(row) for row in rows])).raise_for_status()

    with tempfile.TemporaryDirectory(prefix="smartico-sync-dlt-") as home:
        rows = sql_table(
            database.replace("postgresql://", "postgresql+psycopg://", 1),
            table=view,
            incremental=dlt.sources.incremental(order),
            backend="pyarrow",
            chunk_size=10_000,
        )
        pipeline = dlt.pipeline("bench", destination=ingest, pipelines_dir=home)
        pipeline.run(rows, loader_file_format="parquet").raise_on_failed_jobs()


if __name__ == "__main__":
    main(*sys.argv[1:])
