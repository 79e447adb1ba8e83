"""What ClickHouse and its driver say when they fail, told as our failures. Neither values nor secrets get through."""

from __future__ import annotations

import re

import urllib3.exceptions
from clickhouse_connect.driver import exceptions

from smartico_sync.errors import ConfigError, SourceCancelled, SourceError, SourceRefused, SourceUnreachable, ViewBroken
from smartico_sync.sources.kit.failures import COMPARE, RUN, alike, failure_of, meanings
from smartico_sync.sources.kit.network_failures import LESS, Hints, unreachable

__all__ = ["FAILURES", "connecting", "failure"]

# What the driver lets through.
FAILURES: tuple[type[Exception], ...] = (exceptions.ClickHouseError, urllib3.exceptions.HTTPError, OSError)
LOGIN = "check user and password of the source"
GONE = (60, 81, 218)
COLUMNS = (8, 10, 16, 36, 47, 352)
COMPILED = (42, 43, 44, 46, 48, 50, 53, 62, 63, 70, 179, 181, 184, 206, 207, 215, 386)
DENIED, SETTING = (291, 497), (115, 164, 452)
# Most other numbers say that a value cannot be parsed, divided or cast, and quote it.
TABLE = {
    **meanings(SourceRefused, LOGIN, {
        192: "nobody has that name", 193: "user or password is refused", 194: "user or password is refused",
        195: "the user may not come from this machine's address", 516: "user or password is refused",
        492: "the user or the role is unknown", 511: "the user or the role is unknown", 512: "the user may not take that role",
    }, "server"),
    **meanings(SourceCancelled, "tried again, with a smaller page; `smartico-sync check` tells what a poll reads", {
        158: "the query reads more rows than the profile allows",
        159: "the query ran longer than `statement_timeout`, or max_execution_time",
        160: "the query would run longer than max_execution_time", 202: "the server runs too many queries already",
        209: "a server of the cluster did not answer in time", 236: "the server ended the query",
        241: "the query needs more memory than it may have", 289: "this replica has not caught up yet",
        307: "the query reads more bytes than the profile allows", 394: "somebody ended the query",
        396: "the answer is larger than the profile allows", 439: "the server has no thread left for the query",
    }),
    **meanings(SourceUnreachable, "see system.clusters and system.replicas", {
        203: "no connection to a shard is free", 210: "a server of the cluster does not answer",
        225: "the server has no Keeper", 279: "no replica of a shard answers",
        369: "every replica is further behind than allowed", 519: "no replica of a shard is there",
        999: "the server cannot reach Keeper",
    }),
    **meanings(SourceRefused, "see SHOW QUOTA; or poll less often", {201: "the user's quota is used up"}),
    **meanings(SourceRefused, "a view must only read", {164: "this session only asks"}),
    **meanings(SourceError, "`smartico-sync watermark show`", {457: "a position is no value of its column's type"}),
    **alike(ViewBroken, RUN, "the server cannot compile it", COMPILED),
    **alike(ViewBroken, "does it exist, under that very name?", "reads", GONE, "subject"),
    **alike(ViewBroken, COMPARE, "names", COLUMNS, "subject"),
}  # fmt: skip
STATUSES = {401: "the login is refused", 403: "the login is refused", 407: "the proxy wants a login"}
HINTS = Hints(
    tls=f"ca_file names the CA of the server, client_cert and client_key are ours; HTTPS is on 8443, HTTP on 8123{LESS}",
    late="check host, port and firewall; `statement_timeout` sets how long to wait",
    refused="is the server running, and is that its HTTP port (8123, or 8443 with TLS)?",
)


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


def connecting(error: BaseException, place: str) -> ConfigError | SourceError:
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
    if code in DENIED:
        wanted = re.search(r"the grant ([A-Z][A-Z ]*)(?:\([^)]*\))? ON ([\w.`*\"]+)", told)
        right, on = (wanted[1].strip(), wanted[2]) if wanted else ("SELECT", "the view")
        return SourceRefused(
            f"{place}: {what}: permission denied{f': {right} on {on} is needed' if wanted else ''} ({code})",
            hint=f"GRANT {right} ON {on} TO the user; a view may also have SQL SECURITY DEFINER",
        )
    if code in SETTING:
        setting = re.search(r"Cannot modify '(\w+)' setting" if code == 164 else r"[Ss]etting '?(\w+)'?", told)
        if setting or code != 164:
            return _setting(setting[1] if setting else "one of them", place, what, code)
    named = ""
    if code in GONE or code in COLUMNS:
        missing = re.search(
            rf"(?:identifier|{'Table|Database' if code in GONE else '[Cc]olumn:?'}) [`']?([\w.\-]+)", told
        )
        instead = "what is" if code in GONE else "a column, which is"
        named = f" {missing[1]}, which is not there" if missing else f" {instead} not there"
    return failure_of(TABLE, code, place, what, named=named)


def _setting(name: str, place: str, what: str, code: int) -> SourceError:
    if name == "max_execution_time":
        return SourceRefused(
            f"{place}: {what}: the user's profile allows no `statement_timeout` that long ({code})",
            hint="lower `statement_timeout` of the source, or raise the profile's MAX of max_execution_time",
        )
    return SourceRefused(
        f"{place}: {what}: the user may not choose the setting {name}, or not so ({code})",
        hint="leave it out of the url, or let the user's settings profile allow it (readonly = 2, CHANGEABLE_IN_READONLY, MAX)",
    )


def _silent(error: BaseException, place: str, what: str) -> SourceError:
    """Nobody answers, or nobody that we understand."""
    if "Unexpected response" in str(error) or "response headers" in str(error):
        return SourceUnreachable(
            f"{place}: that is not ClickHouse's HTTP port",
            hint="it is 8123, or 8443 with TLS; 9000 and 9440 speak another language",
        )
    return unreachable(error, f"{place}: {what}", HINTS)
