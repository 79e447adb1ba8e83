"""What ClickHouse and its driver say when they fail, told as our failures. Neither values nor secrets get through."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import urllib3.exceptions
from clickhouse_connect.driver import exceptions

from smartico_sync.errors import (
    ConfigError,
    SourceCancelled,
    SourceError,
    SourceRefused,
    SourceUnreachable,
    SyncError,
    ViewBroken,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FAILURES", "connecting", "failure"]

# What the driver lets through.
FAILURES: tuple[type[Exception], ...] = (exceptions.ClickHouseError, urllib3.exceptions.HTTPError, OSError)
LOGIN = {
    192: "nobody has that name", 193: "user or password is refused", 194: "user or password is refused",
    195: "the user may not come from this machine's address", 516: "user or password is refused",
    492: "the user or the role is unknown", 511: "the user or the role is unknown", 512: "the user may not take that role",
}  # fmt: skip
SLOWER = {
    158: "the query reads more rows than the profile allows", 159: "the query ran longer than statement_timeout, or max_execution_time",
    160: "the query would run longer than max_execution_time", 202: "the server runs too many queries already",
    209: "a server of the cluster did not answer in time", 236: "the server ended the query",
    241: "the query needs more memory than it may have", 289: "this replica has not caught up yet",
    307: "the query reads more bytes than the profile allows", 394: "somebody ended the query",
    396: "the answer is larger than the profile allows", 439: "the server has no thread left for the query",
}  # fmt: skip
AWAY = {
    203: "no connection to a shard is free", 210: "a server of the cluster does not answer", 225: "the server has no Keeper",
    279: "no replica of a shard answers", 369: "every replica is further behind than allowed", 519: "no replica of a shard is there",
    999: "the server cannot reach Keeper",
}  # fmt: skip
GONE = {60: "a table or view", 81: "a database", 218: "a table or view"}
COLUMNS = (8, 10, 16, 36, 47, 352)
COMPILED = (42, 43, 44, 46, 48, 50, 53, 62, 63, 70, 179, 181, 184, 206, 207, 215, 386)
SETTING = (115, 452)
COMPARE = "compare the view with views.yaml: `sync check`"
STATUSES = {401: "the login is refused", 403: "the login is refused", 407: "the proxy wants a login"}


def failure(error: BaseException, place: str, what: str) -> SourceError:
    """The failure of a query."""
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return _answered(code, str(error), place, what)
    status = re.search(r"HTTP status (\d{3})", str(error))
    if status:
        number = int(status[1])
        if number in STATUSES:
            return SourceRefused(
                f"{place}: {STATUSES[number]} ({number})", hint="check user and password of the source"
            )
        return SourceUnreachable(
            f"{place}: {what}: somebody else answers, with HTTP status {number}",
            hint="is a balancer or a proxy in between, and has it a server? ClickHouse listens for HTTP on 8123, for HTTPS on 8443",
        )
    return _silent(error, place, what)


def connecting(error: BaseException, place: str) -> SyncError:
    """A failure to connect."""
    if getattr(error, "code", None) == 81:
        return SourceRefused(
            f"{place}: the database does not exist, or the user may not see it", hint="check the url's path"
        )
    if isinstance(error, exceptions.ProgrammingError) or (
        isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError)
    ):
        return ConfigError(
            f"{place}: the driver cannot use the url's parameters", hint="see docs/databases/clickhouse.md"
        )
    return failure(error, place, "connecting")


def _answered(code: int, told: str, place: str, what: str) -> SourceError:
    """By ClickHouse's own number. Its words may quote values, so only names are taken from them."""
    if code in LOGIN:
        return SourceRefused(f"{place}: {LOGIN[code]} ({code})", hint="check user and password of the source")
    if code in SLOWER:
        return SourceCancelled(
            f"{place}: {what}: {SLOWER[code]} ({code})",
            hint="tried again, with a smaller page; `sync check` tells what a poll reads",
        )
    if code in AWAY:
        return SourceUnreachable(
            f"{place}: {what}: {AWAY[code]} ({code})", hint="see system.clusters and system.replicas"
        )
    if code in (291, 497):
        wanted = re.search(r"the grant ([A-Z][A-Z ]*)(?:\([^)]*\))? ON ([\w.`*\"]+)", told)
        right = f": {wanted[1].strip()} on {wanted[2]} is needed" if wanted else ""
        grant = (
            f"GRANT {wanted[1].strip()} ON {wanted[2]} TO the user"
            if wanted
            else "GRANT SELECT ON the view TO the user"
        )
        return SourceRefused(
            f"{place}: {what}: permission denied{right} ({code})",
            hint=f"{grant}; a view may also have SQL SECURITY DEFINER",
        )
    if code == 164:
        named = re.search(r"Cannot modify '(\w+)' setting", told)
        if named:
            return _setting(named[1], place, what, code)
        return SourceRefused(f"{place}: {what}: this session only asks ({code})", hint="a view must only read")
    if code in SETTING:
        named = re.search(r"[Ss]etting '?(\w+)'?", told)
        return _setting(named[1] if named else "one of them", place, what, code)
    if code == 201:
        return SourceRefused(
            f"{place}: {what}: the user's quota is used up ({code})", hint="see SHOW QUOTA; or poll less often"
        )
    if code in GONE:
        missing = re.search(r"(?:identifier|Table|Database) [`']?([\w.\-]+)", told)
        named_ = f" {missing[1]}, which" if missing else " what"
        return ViewBroken(
            f"{place}: {what} reads{named_} is not there ({code})", hint="does it exist, under that very name?"
        )
    if code in COLUMNS:
        missing = re.search(r"(?:identifier|column|Column:?) [`']?([\w.\-]+)", told)
        column = f" {missing[1]}" if missing else " a column"
        return ViewBroken(f"{place}: {what} names{column}, which is not there ({code})", hint=COMPARE)
    if code == 457:
        return SourceError(
            f"{place}: {what}: a position is no value of its column's type ({code})", hint="`sync watermark show`"
        )
    if code in COMPILED:
        return ViewBroken(f"{place}: {what}: the server cannot compile it ({code})", hint="run the query: by hand")
    # Most other numbers say that a value cannot be parsed, divided or cast, and quote it.
    return ViewBroken(
        f"{place}: {what}: the view cannot be computed ({code})",
        hint="SELECT from the view by hand to see ClickHouse's own words; a row's value may be in them",
    )


def _setting(name: str, place: str, what: str, code: int) -> SourceError:
    if name == "max_execution_time":
        return SourceRefused(
            f"{place}: {what}: the user's profile allows no statement_timeout that long ({code})",
            hint="lower statement_timeout of the source, or raise the profile's MAX of max_execution_time",
        )
    return SourceRefused(
        f"{place}: {what}: the user may not choose the setting {name}, or not so ({code})",
        hint="leave it out of the url, or let the user's settings profile allow it (readonly = 2, CHANGEABLE_IN_READONLY, MAX)",
    )


def _silent(error: BaseException, place: str, what: str) -> SourceError:
    """Nobody answers, or nobody that we understand."""
    kinds = {type(cause) for cause in _causes(error)}
    told = " ".join(str(cause) for cause in _causes(error))
    if urllib3.exceptions.SSLError in kinds or "SSL" in told or "certificate" in told:
        return SourceUnreachable(
            f"{place}: no TLS connection, or not with that certificate",
            hint="ca_file names the CA of the server, client_cert and client_key are ours; HTTPS is on 8443, HTTP on 8123",
        )
    if urllib3.exceptions.NameResolutionError in kinds or "resolve" in told:
        return SourceUnreachable(
            f"{place}: the host name is unknown", hint="check host in the url, and this machine's DNS"
        )
    if kinds & {urllib3.exceptions.ConnectTimeoutError, urllib3.exceptions.ReadTimeoutError, TimeoutError}:
        return SourceUnreachable(
            f"{place}: {what}: nobody answered in time",
            hint="check host, port and firewall; statement_timeout sets how long to wait",
        )
    if "Unexpected response" in told or "response headers" in told:
        return SourceUnreachable(
            f"{place}: that is not ClickHouse's HTTP port",
            hint="it is 8123, or 8443 with TLS; 9000 and 9440 speak another language",
        )
    return SourceUnreachable(
        f"{place}: {what}: nobody answers, or the connection broke",
        hint="is the server running, and is that its HTTP port (8123, or 8443 with TLS)?",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, urllib3's own reasons among them."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        cause = todo.pop()
        if cause is None or any(cause is other for other in seen):
            continue
        seen.append(cause)
        reason = getattr(cause, "reason", None)
        todo += [cause.__cause__, cause.__context__, reason if isinstance(reason, BaseException) else None]
    yield from seen
