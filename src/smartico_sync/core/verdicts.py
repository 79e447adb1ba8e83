"""What an answer of the ingest API means for each event of the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import field

from smartico_sync.core.answer_errors import DUPLICATE, Refused, attributed, named_properties, parsed, told_code
from smartico_sync.core.discreet import Discreet
from smartico_sync.core.reason_codes import UNKNOWN_BRAND, UNKNOWN_USER
from smartico_sync.core.redaction import from_api

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Cause", "Decision", "Outcome", "Verdict", "judge", "of_the_api"]

ACCEPTED = 0
DENIED = frozenset({4, 10000})
RETRY_STATUS = frozenset({408, 421, 425, 429})  # and all from 500 on
NO_SUCH_URL = frozenset({404, 405, 410, *range(300, 400)})  # an ingest API answers a POST, and sends nobody elsewhere
NOTHING_FITS = 413
PROXY_LOGIN = 407

Outcome = Literal[
    "answered",
    "timeout",
    "not connected",
    "broken",
    "turned away",  # by a proxy
]
Decision = Literal["done", "retry", "unknown", "halt", "brand", "bisect"]
Cause = Literal[
    "",  # the API itself, or nobody knows
    "token",
    "url",
    "network",
    "proxy",
    "certificate expired",
    "certificate of another host",
    "unknown authority",
    "descriptors",  # this process may open no more files
]


class Verdict(Discreet, frozen=True):
    """What to do with a request.

    done: every event is delivered but those in `refused`, `duplicates`, `brands` and `vague`, by their place. retry: all
    again later. unknown: it may have been accepted, all again with the same eids. halt: nothing will be accepted before an operator
    mends the `cause`. brand: the API does not know the brand of the request. bisect: some event is refused, and only halves of the
    request can tell which. `cause`: what an operator has to look at, where there is something.
    `brands` are events whose brand the API does not know. `vague` are those of players of whom some event is refused, and
    the answer does not say which; what was accepted of them is a duplicate when it is sent again. `blurred` are those of the
    duplicates that are named only by a player who has several events here: some of them may be new. `names`: as in Refused, of a
    request that is bisected.
    """

    unprinted = frozenset({"names"})

    decision: Decision
    reason: str = ""
    code: int = 0
    refused: Mapping[int, Refused] = field(default_factory=dict)
    duplicates: frozenset[int] = frozenset()
    brands: frozenset[int] = frozenset()
    vague: frozenset[int] = frozenset()
    blurred: frozenset[int] = frozenset()
    cause: Cause = ""
    names: tuple[str, ...] = ()


def judge(
    eids: Sequence[str],
    users: Sequence[str],
    outcome: Outcome,
    status: int,
    body: bytes,
    *,
    reason: str = "",
    cause: Cause = "",
) -> Verdict:
    """Judge one answer, or why there is none (`reason`, `cause`).

    Never raises, and nothing is delivered unless the answer says so with `err_code` 0.
    """
    if outcome != "answered" or status == PROXY_LOGIN:
        return unanswered(outcome, status, reason, cause)
    if status in RETRY_STATUS or status >= 500:
        return Verdict("retry", f"HTTP {status}", status)
    if status in NO_SUCH_URL:
        return Verdict("halt", f"HTTP {status}", status, cause="url")
    answer = parsed(body)
    code = told_code(answer)
    message = str(answer.get("err_msg") or answer.get("errMsg") or "")
    said = from_api(message)
    if status in (401, 403) or code in DENIED:
        return Verdict("halt", said or "access denied", code or status, cause="token")
    if code == UNKNOWN_BRAND:
        return Verdict("brand", said or "unknown ext_brand_id", UNKNOWN_BRAND)
    if status == NOTHING_FITS:
        return Verdict("bisect", "the body is too large", status)
    named, vague, stray = attributed(answer, eids, users)
    if stray is not None and code is not None and status in (200, 400, 422):
        return Verdict("bisect", stray.reason, stray.code, names=stray.names)
    if status == 200 and code == ACCEPTED:
        return shared(named, vague, "done")
    if status in (200, 400, 422) and code is not None and code > 0:
        if named:
            return shared(named, vague, "retry", said)
        if code == DUPLICATE and len(eids) == 1:
            return Verdict("done", duplicates=frozenset({0}))
        return Verdict("bisect", said or f"err_code {code}", code, names=named_properties(message))
    if status == 400:
        return Verdict("bisect", said or "HTTP 400", 400, names=named_properties(message))
    return Verdict("retry", f"an answer nobody can read (HTTP {status})", status, cause="url")


def unanswered(outcome: Outcome, status: int, reason: str, cause: Cause) -> Verdict:
    """Judge what is no answer of the API's."""
    if outcome == "timeout":
        return Verdict("unknown", reason or "no answer in time", cause=cause)
    if outcome == "broken":
        return Verdict("unknown", reason or "the connection broke before the answer", cause=cause)
    if outcome == "not connected":
        return Verdict("retry", reason or "no connection", cause=cause)
    return Verdict("halt", reason or f"HTTP {status}", status, cause="proxy")


def shared(named: dict[int, Refused], vague: set[int], decision: Literal["done", "retry"], reason: str = "") -> Verdict:
    """A verdict with the named events told apart; with `retry` the unnamed ones go again at once, without the refused.

    `vague` are places that have their name from a player of several events. What concerns the player concerns all of them;
    and a duplicate among accepted events was delivered, whichever it is.
    """
    denied = next((why for why in named.values() if why.code in DENIED), None)
    if denied is not None:
        return Verdict("halt", denied.reason, denied.code, cause="token")
    blurred = frozenset(place for place in vague if named[place].code == DUPLICATE)
    certain = {UNKNOWN_USER, DUPLICATE} if decision == "done" else {UNKNOWN_USER}
    vague = {place for place in vague if named[place].code not in certain}
    if any(named[place].code == UNKNOWN_BRAND for place in vague):
        return Verdict("brand", "unknown ext_brand_id", UNKNOWN_BRAND)  # players of several brands may have one id
    told = {place: why for place, why in named.items() if place not in vague}
    duplicates = frozenset(place for place, why in told.items() if why.code == DUPLICATE)
    brands = frozenset(place for place, why in told.items() if why.code == UNKNOWN_BRAND)
    refused = {place: why for place, why in told.items() if place not in duplicates | brands}
    return Verdict(decision, reason, 0, refused, duplicates, brands, frozenset(vague), blurred & duplicates)


def of_the_api(body: bytes) -> bool:
    """Whether an answer is the ingest API's: it tells a code by the name that the API has for it."""
    return told_code(parsed(body)) is not None
