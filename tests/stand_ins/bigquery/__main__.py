"""bqemulator, with what it lacks of BigQuery where this project's source looks at it.

jobs.query that fails with an HTTP error, knows a default dataset and tells when it was created; results that the Storage API can read;
bytes as parameters; bytes that a query would read; `maximumBytesBilled` (a table whose name begins with `dear` has 20 GB);
`jobTimeoutMs` and EMULATED_WAIT(seconds); permissions; the query of a view. `GET /told` answers with the last requests, `POST /told` with
`{"storage": "refused"}` takes the right to the Storage API away.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from uuid import uuid4

import duckdb
import duckdb_extension_spatial

# What it logs goes to the standard output, which is for one line only.
speak = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
# DuckDB looks for its extensions at home, and must not look for them anywhere else.
HOME = Path(tempfile.mkdtemp(prefix="sync-bigquery-"))
os.environ["HOME"] = str(HOME)
extension = next(Path(duckdb_extension_spatial.__file__).parent.rglob("spatial.duckdb_extension"))
(platform,) = duckdb.sql("PRAGMA platform").fetchone()
place = HOME / ".duckdb" / "extensions" / f"v{duckdb.__version__}" / platform
place.mkdir(parents=True)
(place / extension.name).symlink_to(extension)

import bqemulator.server  # noqa: E402  - looks for home at once
import grpc  # noqa: E402
from bqemulator.api.routes import jobs, tables  # noqa: E402
from bqemulator.config import Settings  # noqa: E402
from bqemulator.domain.errors import DomainError  # noqa: E402
from bqemulator.grpc_api.read_servicer import BigQueryReadHandler  # noqa: E402
from bqemulator.row_access.identity import resolve_caller_from_headers  # noqa: E402
from bqemulator.sql import parameters  # noqa: E402
from bqemulator.storage.arrow_bridge import arrow_table_to_bq_rows  # noqa: E402
from bqemulator.storage.engine import DuckDBEngine  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import JSONResponse  # noqa: E402

told: deque = deque(maxlen=1_000)
rights = {"storage": "granted"}
STATUS = {"notFound": 404, "accessDenied": 403, "stopped": 499, "duplicate": 409}  # all others are 400
DEAR = 20_000_000_000
ROW = 100  # bytes


def refused(reason: str, message: str) -> JSONResponse:
    code = STATUS.get(reason, 400)
    errors = [{"message": message, "domain": "global", "reason": reason}]
    return JSONResponse({"error": {"code": code, "message": message, "errors": errors}}, code)


class Front:
    """Answers some requests itself, and hands on the rest."""

    def __init__(self, app, context) -> None:
        self.app, self.context = app, context

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request, path, method = Request(scope, receive), scope["path"], scope["method"]
        if path == "/told":
            rights.update(await request.json() if method == "POST" else {})
            answer = JSONResponse(list(told))
        elif method == "POST" and (found := re.fullmatch(r"/bigquery/v2/projects/([^/]+)/(queries|jobs)", path)):
            body = await request.json()
            told.append(body)
            answer = await self.asked(found[1], found[2], body)
        elif method == "POST" and path.endswith(":testIamPermissions"):
            answer = JSONResponse({"permissions": (await request.json())["permissions"]})
        else:
            await self.app(scope, receive, send)
            return
        await answer(scope, receive, send)

    async def asked(self, project: str, way: str, body: dict) -> JSONResponse:
        """A query, by jobs.query or jobs.insert."""
        config = body["configuration"] if way == "jobs" else {"query": body}
        given = {**config, **config["query"]}
        dry = bool(given.get("dryRun"))
        text = given["query"]
        if wait := re.search(r"EMULATED_WAIT\((\d+)\)", text):
            limit_s = int(given.get("jobTimeoutMs") or 10**9) / 1000
            await asyncio.sleep(0 if dry else min(int(wait[1]), limit_s))
            if int(wait[1]) > limit_s and not dry:
                return refused("stopped", f"Job execution was cancelled: Job timed out after {limit_s} s")
            config["query"]["query"] = text.replace(wait[0], "1")
        size = self.size(text)
        if not dry and size > int(given.get("maximumBytesBilled") or DEAR * 10):
            return refused(
                "bytesBilledLimitExceeded", f"Query exceeded limit for bytes billed. {size} or higher required."
            )
        job_id = (body.get("jobReference") or {}).get("jobId") or f"job_{uuid4().hex}"
        created = int(time.time() * 1000)
        try:
            done = await jobs._handle_query_job(
                project,
                job_id,
                config,
                dry_run=dry,
                ctx=self.context,
                caller=resolve_caller_from_headers({}),
                now=self.context.clock.now(),
            )
        except DomainError as error:
            result = jobs._domain_error_to_error_result(error)
            return refused(result["reason"], result["message"])
        if isinstance(done, dict):
            done["statistics"] |= {"totalBytesProcessed": str(size), "creationTime": str(created)}
            done["statistics"]["query"] |= {"totalBytesProcessed": str(size), "statementType": "SELECT"}
            return JSONResponse(done)
        self.context.catalog.upsert_job(done)
        if way == "jobs":
            jobs._merge_executor_config(config, done.configuration)
            return JSONResponse(jobs._build_job_response(project, job_id, done, config))
        if done.error_result:
            return refused(done.error_result["reason"], done.error_result["message"])
        return self.answered(project, job_id, created, int(given.get("maxResults") or 10_000))

    def answered(self, project: str, job_id: str, created: int, most: int) -> JSONResponse:
        """The first page of a query that is done."""
        table = jobs.JOB_RESULTS[job_id]
        answer = {
            "kind": "bigquery#queryResponse",
            "jobReference": {"projectId": project, "jobId": job_id, "location": "US"},
            "jobComplete": True,
            "creationTime": str(created),
            "totalBytesProcessed": "0",
            "schema": {"fields": jobs.JOB_SCHEMAS.get(job_id, [])},
            "rows": arrow_table_to_bq_rows(table, limit=most),
            "totalRows": str(table.num_rows),
        }
        if table.num_rows > most:
            answer["pageToken"] = str(most)
        return JSONResponse(answer)

    def size(self, text: str) -> int:
        """What a query reads: the whole of each table it names."""
        if "`dear" in text:
            return DEAR
        names = set(re.findall(r"`(\w+)`", text))
        tables = self.context.engine.execute("SELECT table_name, estimated_size FROM duckdb_tables()").fetchall()
        return sum(rows * ROW for name, rows in tables if name in names)


fetched, sessions = DuckDBEngine.fetch_arrow, BigQueryReadHandler._handle_create_read_session
described = tables._table_to_rest


def fetch_arrow(self, sql, *arguments):
    """A table, or the result of a query, which the stand-in only calls a table."""
    anonymous = re.search(r'"anon(\w+)"', sql)
    if anonymous is None:
        return fetched(self, sql, *arguments)
    return next(table for job, table in jobs.JOB_RESULTS.items() if job.replace("-", "") == anonymous[1])


def table_to_rest(table):
    """A table, and of a view its query."""
    view = {"view": {"query": table.view_query, "useLegacySql": False}} if table.table_type == "VIEW" else {}
    return described(table) | view


def create_read_session(self, request, context):
    """Unless the right has been taken away."""
    if rights["storage"] == "refused":
        context.set_code(grpc.StatusCode.PERMISSION_DENIED)
        context.set_details("bigquery.readsessions.create")
        return b""
    return sessions(self, request, context)


async def main() -> None:
    """Serve until the standard input is closed."""
    DuckDBEngine.fetch_arrow = fetch_arrow
    tables._table_to_rest = table_to_rest
    BigQueryReadHandler._handle_create_read_session = create_read_session
    parameters._SCALAR_CONVERTERS["BYTES"] = base64.b64decode
    make = bqemulator.server.create_app
    bqemulator.server.create_app = lambda context: Front(make(context), context)
    settings = Settings(
        rest_port=0, grpc_port=0, enable_format_extensions=False, log_level="error", query_cache_ttl_seconds=0
    )
    server = bqemulator.server.EmulatorServer(settings)
    await server.start()
    print(json.dumps({"port": server.rest_port, "storage": server.grpc_port}), file=speak, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)  # nothing is to be saved, and some of its threads would not end


asyncio.run(main())
