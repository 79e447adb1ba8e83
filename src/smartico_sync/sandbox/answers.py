"""What the ingest API answers, in both dialects that have been seen."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlencode
from uuid import UUID
from zlib import crc32

import orjson
from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BRAND_UNKNOWN",
    "PARSE_ERROR",
    "Answer",
    "Dialect",
    "ErrorKeys",
    "denied",
    "judged",
    "plain",
    "quoting",
    "unparsable",
]

Dialect = Literal["event_errors", "failed_events"]
ErrorKeys = Literal["eid", "user_ext_id"]

PARSE_ERROR = 2
ACCESS_DENIED = 4
BRAND_UNKNOWN = 125
MESSAGES = {BRAND_UNKNOWN: "Unknown ext_brand_id", 10001: "User not found", 20056: "Duplicate eid"}


class Answer(Struct, frozen=True):
    """One HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


def stamped(number: int, **more: object) -> dict[str, Any]:
    """Begin an answer's body; `pd` is of disputed meaning and only there to be ignored."""
    return {"req_id": str(UUID(int=number)), "pd": number % 50, **more}


def judged(
    number: int, events: list[Any], errors: Mapping[int, tuple[int, str]], dialect: Dialect, keys: ErrorKeys
) -> Answer:
    """Answer a request that was judged; `errors` maps an event's index to its code and message (empty: the code's own).

    `failed_events` names events that could not be parsed with HTTP 400, and then nothing of the request is accepted.
    """
    if not errors:
        return Answer(200, orjson.dumps(stamped(number, err_code=0)))
    if len(errors) == len(events) and {code for code, _ in errors.values()} == {BRAND_UNKNOWN}:
        return Answer(200, orjson.dumps(stamped(number, err_code=BRAND_UNKNOWN, err_msg=MESSAGES[BRAND_UNKNOWN])))
    unparsed = {index: message for index, (code, message) in errors.items() if code == PARSE_ERROR}
    if dialect == "failed_events" and unparsed:
        failed: dict[str, list[str]] = {}
        for index, message in unparsed.items():
            failed.setdefault(named(events[index], keys), []).append(message)
        return Answer(400, orjson.dumps(stamped(number, failed_events=failed, err_code=PARSE_ERROR)))
    listed: dict[str, list[dict[str, Any]]] = {}
    for index, (code, message) in errors.items():
        entry = {"error_message": message or MESSAGES.get(code, "Error"), "error_code": code}
        listed.setdefault(named(events[index], keys), []).append(entry)
    return Answer(200, orjson.dumps(stamped(number, err_code=0, event_errors=listed)))


def named(event: Any, keys: ErrorKeys) -> str:
    """Name an event in an answer: by its eid (or its player), as far as it has one."""
    fields = (keys, "eid", "user_ext_id")
    values = (event.get(name) for name in fields) if isinstance(event, dict) else iter(())
    return next((str(value) for value in values if isinstance(value, (str, int)) and value != ""), "unknown")


def quoting(event: dict[str, Any]) -> str:
    """Refuse an event in words that repeat its values: plainly, shouting, as JSON or text of a URL, or encoded."""
    said = {"user": event["user_ext_id"], **event["payload"]}
    values = [str(value) for value in said.values()]
    ways = (
        f"Property {list(said)[-1]} faled to parse value {values[-1]}, error: refused with {' '.join(values)}",
        f"Duplicate contact {', '.join(values)}",
        f"DUPLICATE CONTACT {' '.join(values).upper()}",
        f"Cannot store {orjson.dumps(said).decode()} of {said['user']}",
        f"Rejected by the gateway: {urlencode(said, quote_via=quote)}",
        f"Undeliverable {' '.join(b64encode(value.encode()).decode() for value in values)}",
        f"No such contact <{'> <'.join(values)}>",
    )
    return ways[crc32(event["eid"].encode(errors="replace")) % len(ways)]


def unparsable(number: int, reason: str) -> Answer:
    """Refuse a body that is no array of events."""
    return Answer(400, orjson.dumps(stamped(number, err_code=PARSE_ERROR, err_msg=reason)))


def denied(status: int) -> Answer:
    """Refuse whoever asks, in the other spelling of the fields."""
    body = {"duration": 1, "errCode": ACCESS_DENIED, "errMsg": "Access denied/Access denied", "cid": 99999}
    return Answer(status, orjson.dumps(body))


def plain(status: int, text: str, retry_after: float | None = None) -> Answer:
    """Answer in plain text, as gateways in front of an API do."""
    headers = {} if retry_after is None else {"Retry-After": f"{max(0, round(retry_after))}"}
    return Answer(status, text.encode(), "text/plain; charset=utf-8", headers)
