"""The errors that an answer of the ingest API tells: of which event each is, under whatever names and in whatever shape."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from smartico_sync.core.discreet import Discreet
from smartico_sync.core.redaction import HEARD, from_api

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["DUPLICATE", "Refused", "attributed", "named_properties", "parsed", "told_code"]

UNPARSED = 2
DUPLICATE = 20056
INTEGER = re.compile(r"-?[0-9]{1,11}")
SPEAKS_OF_ERRORS = re.compile("err|fail|reject|refus|invalid", re.IGNORECASE)
# How an error may name a property; what is named may also be a value, so it counts only where the event has such a property.
NAMES_PROPERTY = re.compile(
    r"\b(?:propert(?:y|ies)|fields?|attributes?)\b[\s:=\"'`\[(<]{0,4}([!+^-]?[A-Za-z_][A-Za-z0-9_.]{0,127})"
    r"|[\"'`\[(<]([!+^-]?[A-Za-z_][A-Za-z0-9_.]{0,127})[\"'`\])>]",
    re.IGNORECASE,
)
DEEPEST = 50  # parts within parts: nobody looks further, nor calls it a success
MOST_NAMES = 8  # of one error
SPEAKS_OF_ALL = re.compile("^err(or)?_?(code|msg|message)$", re.IGNORECASE)  # of what it stands in
CODES = ("error_code", "errorCode", "err_code", "errCode")
NO_ERROR = frozenset({"", "none", "null", "nil", "no", "no error", "no errors", "false", "ok", "success"})
SAYS_NO = frozenset({"success", "successful", "accepted", "ok"})


class Refused(Discreet, frozen=True):
    """Why one event was refused; `reason` holds no value. `names`: what the error may call a property, in its order."""

    unprinted = frozenset({"names"})

    code: int
    reason: str
    names: tuple[str, ...] = ()


DELIVERED_BEFORE = Refused(DUPLICATE, "duplicate")  # after a rewind there are millions: no word of the API is looked at


def parsed(body: bytes) -> dict[str, Any]:
    """The answer as an object; empty when it is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


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


def listed(answer: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, list[Refused]]]:
    """Every error of an answer, under whatever name and however deep, with its event's id, its user, or what nobody knows.

    Names that speak of errors or failures hold them by key, in a list, in words, or only their number; what stands under other
    names holds them where it tells a code that is no success, or says that it is none.
    """
    if SAYS_NO.intersection(name for name, value in answer.items() if value is False):
        yield "", [Refused(UNPARSED, "refused")]
    for name, value in answer.items():
        if not SPEAKS_OF_ERRORS.search(name):
            yield from within(name, value, depth)
        elif SPEAKS_OF_ALL.search(name):
            continue
        elif isinstance(value, dict):
            yield from ((key, why) for key, told in value.items() if (why := refusals(told)))
        elif isinstance(value, list):
            yield from ((named_in(told), why) for told in value if (why := refusals(told)))
        elif isinstance(value, str) and value.strip(" .0").lower() not in NO_ERROR:
            yield "", [refusal(value)]
        elif isinstance(value, int | float) and value > 0:
            yield "", [Refused(UNPARSED, f"{name}: {value}" if value is not True else "refused")]


def within(name: str, value: Any, depth: int) -> Iterator[tuple[str, list[Refused]]]:
    """The errors in a part of an answer whose name speaks of none: what it tells of one event, or further parts."""
    if depth > DEEPEST:
        yield "", [Refused(UNPARSED, "parts within parts")]
    elif isinstance(value, list):
        for part in value:
            yield from within("", part, depth + 1)
    elif isinstance(value, dict):
        if first_integer(value, *CODES):
            yield named_in(value) or name, [refusal(value)]
        else:
            yield from ((key or named_in(value) or name, why) for key, why in listed(value, depth + 1))


def named_in(error: Any) -> str:
    """What an error of a list says of itself: its event, else its user."""
    if isinstance(error, dict):
        for name in ("eid", "event_id", "eventId", "user_ext_id", "userExtId", "ext_user_id"):
            value = error.get(name)
            if isinstance(value, str | int) and not isinstance(value, bool):
                return str(value)
    return ""


def refusals(value: Any) -> list[Refused]:
    """The errors that are listed under one key; none where each is a success in so many words: its code is 0, and nothing is said."""
    errors = value if isinstance(value, list) and value else [value]
    return [
        refusal(error)
        for error in errors
        if not (isinstance(error, dict) and code_of(error) == 0 and not said_by(error))
    ]


def code_of(error: Mapping[str, Any]) -> int | None:
    """The code of one error."""
    return first_integer(error, *CODES, "code")


def said_by(error: Mapping[str, Any]) -> str:
    """What is said of one error."""
    names = ("error_message", "errorMessage", "err_msg", "errMsg", "message")
    return next((str(error[name]) for name in names if error.get(name)), "")


def refusal(error: Any) -> Refused:
    """One error; `UNPARSED` where the API gives only a sentence."""
    if isinstance(error, dict):
        code = code_of(error)
        if code == DUPLICATE:
            return DELIVERED_BEFORE
        said = said_by(error)
        return Refused(UNPARSED if code is None else code, from_api(said) or "refused", named_properties(said))
    return Refused(UNPARSED, from_api(str(error)) or "refused", named_properties(str(error)))


def named_properties(message: str) -> tuple[str, ...]:
    """What a message may call a property, in its order."""
    found = (first or second for first, second in NAMES_PROPERTY.findall(message[:HEARD]))
    return tuple(dict.fromkeys(found))[:MOST_NAMES]
