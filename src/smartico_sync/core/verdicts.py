"""What an answer of the ingest API means for each event of the request."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from smartico_sync.core.reason_codes import UNKNOWN_BRAND, UNKNOWN_USER
from smartico_sync.core.redaction import HEARD, from_api

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Cause", "Decision", "Outcome", "Refused", "Verdict", "judge", "of_the_api"]

ACCEPTED = 0
UNPARSED = 2
DENIED = frozenset({4, 10000})
DUPLICATE = 20056
RETRY_STATUS = frozenset({408, 421, 425, 429})  # and all from 500 on
NO_SUCH_URL = frozenset({404, 405, 410, *range(300, 400)})  # an ingest API answers a POST, and sends nobody elsewhere
NOTHING_FITS = 413
PROXY_LOGIN = 407
INTEGER = re.compile(r"-?[0-9]{1,11}")
SPEAKS_OF_ERRORS = re.compile("err|fail|reject|refus|invalid", re.IGNORECASE)
# How an error may name a property; what is named may also be a value, so it counts only where the event has such a property.
NAMES_PROPERTY = re.compile(
    r"\b(?:propert(?:y|ies)|fields?|attributes?)\b[\s:=\"'`\[(<]{0,4}([!+^-]?[A-Za-z_][A-Za-z0-9_.]{0,127})"
    r"|[\"'`\[(<]([!+^-]?[A-Za-z_][A-Za-z0-9_.]{0,127})[\"'`\])>]",
    re.IGNORECASE,
)
MOST_NAMES = 8  # of one error
SPEAKS_OF_ALL = re.compile("^err(or)?_?(code|msg|message)$", re.IGNORECASE)  # of the whole answer

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


@dataclass(frozen=True, slots=True)
class Refused:
    """Why one event was refused; `reason` holds no value. `names`: what the error may call a property, in its order."""

    code: int
    reason: str
    names: tuple[str, ...] = field(default=(), repr=False)


DELIVERED_BEFORE = Refused(DUPLICATE, "duplicate")  # after a rewind there are millions: no word of the API is looked at


@dataclass(frozen=True, slots=True)
class Verdict:
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

    decision: Decision
    reason: str = ""
    code: int = 0
    refused: Mapping[int, Refused] = field(default_factory=dict)
    duplicates: frozenset[int] = frozenset()
    brands: frozenset[int] = frozenset()
    vague: frozenset[int] = frozenset()
    blurred: frozenset[int] = frozenset()
    cause: Cause = ""
    names: tuple[str, ...] = field(default=(), repr=False)


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


def parsed(body: bytes) -> dict[str, Any]:
    """The answer as an object; empty when it is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def of_the_api(body: bytes) -> bool:
    """Whether an answer is the ingest API's: it tells a code by the name that the API has for it."""
    return told_code(parsed(body)) is not None


def first_integer(answer: Mapping[str, Any], *names: str) -> int | None:
    """The first of these that is an integer, also when it is written as text."""
    for name in names:
        value = answer.get(name)
        if isinstance(value, bool):
            continue
        if isinstance(value, int):
            return value
        if isinstance(value, str) and INTEGER.fullmatch(value):
            return int(value)
    return None


def told_code(answer: Mapping[str, Any]) -> int | None:
    """The code of the whole answer; where two are told, the one that is no success."""
    codes = [first_integer(answer, name) for name in ("err_code", "errCode")]
    return next((code for code in codes if code), next((code for code in codes if code is not None), None))


def attributed(
    answer: Mapping[str, Any], eids: Sequence[str], users: Sequence[str]
) -> tuple[dict[int, Refused], set[int], Refused | None]:
    """Errors by the place of their event: keys are matched with eids first, then with user ids.

    Also the places of events that share such a user id with others, so that one of them may be meant, or several; and an
    error that fits no event, None when there is none. With one event every error is that event's.
    """
    errors: dict[int, Refused] = {}
    vague: set[int] = set()
    stray: Refused | None = None
    by_eid: dict[str, int] | None = None
    by_user: dict[str, list[int]] = {}
    for key, whys in listed(answer):
        # On success nobody looks at the events: making their ids costs more than the request.
        if by_eid is None:
            by_eid = {eid: place for place, eid in enumerate(eids)}
        place = 0 if len(by_eid) == 1 else by_eid.get(key.lower())
        # Among several errors of one event there may be one that refuses it.
        why = next((why for why in whys if why.code != DUPLICATE), whys[0])
        if place is not None:
            if place not in errors or errors[place].code == DUPLICATE or place in vague:
                errors[place] = why
            vague.discard(place)
            continue
        if not by_user:
            for number, user in enumerate(users):
                by_user.setdefault(user, []).append(number)
        places = by_user.get(key, [])
        if not places or (key.isdecimal() and int(key) < len(by_eid)):
            stray = stray or why  # a small number may be a user's, or count the events
            continue
        errors.update(dict.fromkeys(places, why))
        if len(places) > 1:
            vague.update(places)
    return errors, vague, stray


def listed(answer: Mapping[str, Any]) -> Iterator[tuple[str, list[Refused]]]:
    """Every error of an answer, under whatever name, with what it is told of: an eid, a user, or something nobody knows.

    Names that speak of errors or failures hold them by key, in a list, or only their number.
    """
    for name, value in answer.items():
        if not SPEAKS_OF_ERRORS.search(name) or SPEAKS_OF_ALL.search(name):
            continue
        if isinstance(value, dict):
            yield from ((key, refusals(told)) for key, told in value.items())
        elif isinstance(value, list):
            yield from ((named_in(told), [refusal(told)]) for told in value)
        elif isinstance(value, int) and value > 0:
            yield "", [Refused(UNPARSED, f"{name}: {value}" if value is not True else "refused")]


def named_in(error: Any) -> str:
    """What an error of a list says of itself: its event, else its user."""
    if isinstance(error, dict):
        for name in ("eid", "event_id", "eventId", "user_ext_id", "userExtId", "ext_user_id"):
            if isinstance(error.get(name), str):
                return str(error[name])
    return ""


def refusals(value: Any) -> list[Refused]:
    """The errors that are listed under one key, at least one."""
    return [refusal(error) for error in value] if isinstance(value, list) and value else [refusal(value)]


def refusal(error: Any) -> Refused:
    """One error; `UNPARSED` where the API gives only a sentence."""
    if isinstance(error, dict):
        code = first_integer(error, "error_code", "errorCode", "err_code", "code")
        if code == DUPLICATE:
            return DELIVERED_BEFORE
        said = str(error.get("error_message") or error.get("errorMessage") or error.get("message") or "")
        return Refused(UNPARSED if code is None else code, from_api(said) or "refused", named_properties(said))
    return Refused(UNPARSED, from_api(str(error)) or "refused", named_properties(str(error)))


def named_properties(message: str) -> tuple[str, ...]:
    """What a message may call a property, in its order."""
    found = (first or second for first, second in NAMES_PROPERTY.findall(message[:HEARD]))
    return tuple(dict.fromkeys(found))[:MOST_NAMES]
