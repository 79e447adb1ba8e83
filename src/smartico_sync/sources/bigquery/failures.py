"""What BigQuery and its client say when they fail, told as our failures. Neither values nor secrets get through."""

from __future__ import annotations

import concurrent.futures
import re
from typing import Any

import requests.exceptions
from google.api_core import exceptions
from google.auth import exceptions as auth

from smartico_sync.errors import ConfigError, SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.kit.failures import BY_HAND, COMPARE, SMALLER, alike, failure_of
from smartico_sync.sources.kit.network_failures import Hints, unreachable

__all__ = ["FAILURES", "failure"]

# What the client lets through.
FAILURES: tuple[type[Exception], ...] = (
    exceptions.GoogleAPIError,
    auth.GoogleAuthError,
    requests.exceptions.RequestException,
    concurrent.futures.TimeoutError,
    ConnectionError,
)
BUSY = (
    "backendError", "internalError", "rateLimitExceeded", "jobBackendError", "jobInternalError",
    "jobRateLimitExceeded",
)  # fmt: skip
FORBIDDEN = ("quotaExceeded", "billingNotEnabled", "billingTierLimitExceeded", "blocked", "policyViolation")
SLOW = "raise `statement_timeout` of the source; `smartico-sync check` tells what a poll reads"
QUOTAS = "see IAM & Admin, Quotas, in the console of the project that the url names"
# By BigQuery's own word for the reason.
TABLE = {
    **alike(SourceCancelled, SLOW, "the query ran longer than `statement_timeout`", ("stopped", "timeout")),
    **alike(SourceCancelled, SMALLER, "the query is too large", ("resourcesExceeded", "responseTooLarge")),
    **alike(SourceUnreachable, "https://status.cloud.google.com", "BigQuery cannot serve us now", BUSY),
    **alike(SourceRefused, QUOTAS, "a quota, a policy or the billing of the project forbids it", FORBIDDEN),
}  # fmt: skip
PERMISSION = re.compile(r"\bbigquery\.\w+\.\w+\b")
ROLES = {
    "bigquery.jobs.create": "GRANT roles/bigquery.jobUser on the project that the url names",
    "bigquery.readsessions.create": "GRANT roles/bigquery.readSessionUser on the project, or set storage_api=never",
}
GRANT = "GRANT roles/bigquery.dataViewer on the dataset, or authorise the view"
HINTS = Hints(
    tls="a proxy of your own may be in between: REQUESTS_CA_BUNDLE names its CA",
    late="check proxy and firewall",
    refused="check network, proxy and firewall",
    broken="check network, proxy and firewall",
)


def failure(error: BaseException, place: str, what: str) -> ConfigError | SourceError:
    """The failure of a request."""
    if isinstance(error, auth.DefaultCredentialsError):
        return ConfigError(
            f"{place}: no credentials", hint="name credentials_file in the url, or set GOOGLE_APPLICATION_CREDENTIALS"
        )
    if isinstance(error, auth.RefreshError) or (
        isinstance(error, exceptions.Unauthorized) or _reason(error) in ("authError", "required")
    ):
        return SourceRefused(
            f"{place}: the credentials are refused", hint="is the key still valid, and this machine's clock right?"
        )
    if isinstance(error, concurrent.futures.TimeoutError):
        return failure_of(TABLE, "timeout", place, what)
    if isinstance(error, exceptions.GoogleAPICallError):
        return _answered(error, place, what)
    return unreachable(error, f"{place}: {what}", HINTS)


def _answered(error: exceptions.GoogleAPICallError, place: str, what: str) -> SourceError:
    """By BigQuery's own word for the reason, else by the status."""
    reason, told = _reason(error), str(error.message or "")
    if "timed out" in told:
        reason = "timeout"
    if reason == "bytesBilledLimitExceeded":
        needed = re.search(r"(\d+) or higher", told)
        size = f"; it would read {int(needed[1]) / 1e9:,.1f} GB" if needed else ""
        return SourceRefused(
            f"{place}: {what}: the query would cost more than `maximum_bytes_billed` allows{size}",
            hint="partition the table by the cursor, start later (`start_from:`), or raise `maximum_bytes_billed` of the source",
        )
    if reason not in TABLE and isinstance(error, exceptions.ServerError | exceptions.TooManyRequests):
        return failure_of(TABLE, "backendError", place, what, shown=reason or str(error.code))
    if reason in TABLE:
        return failure_of(TABLE, reason, place, what)
    if isinstance(error, exceptions.Forbidden):
        permission = PERMISSION.search(told)
        named = f", {permission[0]}," if permission else ""
        return SourceRefused(
            f"{place}: {what}: permission{named} is denied", hint=ROLES.get(permission[0] if permission else "", GRANT)
        )
    if isinstance(error, exceptions.NotFound):
        missing = re.search(r"Not found: (?:Table|View|Dataset|Project|Routine) ([\w:.\-]+)", told)
        named = f" {missing[1]}, which" if missing else " what"
        return ViewBroken(
            f"{place}: {what} reads{named} is not there",
            hint="does it exist, and in the location of the source? location=EU, for instance",
        )
    unknown = re.search(r"Unrecognized name: ([\w.`]+)", told)
    if unknown:
        return ViewBroken(f"{place}: {what} names {unknown[1]}, which is not there", hint=COMPARE)
    if isinstance(error, exceptions.BadRequest):
        # These messages quote the value that failed, or the text that cannot be parsed.
        return ViewBroken(f"{place}: {what}: the view cannot be computed ({reason or error.code})", hint=BY_HAND)
    return SourceError(
        f"{place}: {what}: BigQuery failed ({reason or error.code})", hint="see the project's job history"
    )


def _reason(error: Any) -> str:
    details = getattr(error, "errors", None) or [{}]
    first = details[0]
    return str(first.get("reason", "")) if isinstance(first, dict) else ""
