"""Faults on demand: what goes wrong, how often, decided without acting.

KIND[=VALUE][:SHARE]      SHARE of the requests, 0 to 1; all of them when absent

latency=100ms             wait before accepting
hold[=60s]                read the request and accept it that much later, or after `POST /release`, whether its client is there or not
429[=2s]  500 502 503 504 refuse the request; VALUE is sent as Retry-After
denied[=401|403|200]      access denied, with that HTTP status
garbage                   HTTP 200 that is not JSON; nothing is accepted
reset-before              break the connection, nothing is accepted
reset-after               accept, then break the connection
hang-after[=60s]          accept, then answer nothing for that long
slow-drip[=2s]            accept, then answer byte by byte over that long
refuse=0.1                refuse that share of the events, the same ones each time they come
quote=0.1                 likewise, with messages that repeat the values of the event, each in another way
refuse-property=NAME      refuse the events that hold that property, which is told as unknown
unknown-users             refuse (10001) what comes for a player whose profile never came
unknown-brand[=NAME]      refuse (125) the events of that brand, or of all
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal
from zlib import crc32

from msgspec import Struct

from smartico_sync.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["EXAMPLES", "NONE", "Decision", "Fault", "decide", "parse", "refuses"]

HANG_S = 60.0  # twice the daemon's default timeout
HOLD_S = 3600.0  # longer than any rehearsal: `POST /release` ends it
DRIP_S = 2.0  # slow enough to see, fast enough to end
EXAMPLES = "latency=100ms, 429=2s:0.1, 503:0.05, reset-after:0.02, refuse=0.01"

STATUSES = frozenset({"429", "500", "502", "503", "504"})
DENIALS = frozenset({"401", "403", "200"})
BEFORE = STATUSES | {"denied", "garbage", "reset-before"}
AFTER = frozenset({"reset-after", "hang-after", "slow-drip"})
SHARED = frozenset({"refuse", "quote"})  # VALUE is a share of the events
NAMED = frozenset({"refuse-property"})  # VALUE is needed, and a name
JUDGING = SHARED | NAMED | {"unknown-users", "unknown-brand"}
TIMED = STATUSES | {"latency", "hold", "hang-after", "slow-drip"}
KINDS = BEFORE | AFTER | JUDGING | {"latency", "hold"}
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}

Outcome = Literal["accept", "before", "after"]


class Fault(Struct, frozen=True):
    """One parsed fault. `seconds` holds a duration, `value` any other value as text; `share` lies in (0, 1]."""

    kind: str
    value: str = ""
    seconds: float | None = None
    share: float = 1.0

    def __str__(self) -> str:
        return f"{self.kind}{'=' + self.value if self.value else ''}{f':{self.share:g}' if self.share < 1 else ''}"


class Decision(Struct, frozen=True):
    """What happens to one request.

    First `latency_s` passes, then `hold_s` unless what is held is released. `before` then answers in place of accepting; otherwise the events are judged with `refuse` and
    `quote` (shares of events), `users` and `brand` (None: any brand is known; empty: none is), `properties` are unknown, and `after`
    spoils the answer.
    """

    latency_s: float = 0.0
    hold_s: float = 0.0
    before: Fault | None = None
    after: Fault | None = None
    refuse: float = 0.0
    quote: float = 0.0
    users: Literal["any", "known"] = "any"
    brand: str | None = None
    properties: frozenset[str] = frozenset()


NONE = Decision()


def parse(text: str) -> Fault:
    """`KIND[=VALUE][:SHARE]` as a fault; ConfigError says what is expected."""
    match = re.fullmatch(r"(?P<kind>[a-z0-9-]+)(?:=(?P<value>[^:]+))?(?::(?P<share>[0-9.]+))?", text.strip())
    if match is None:
        raise ConfigError(f"not a fault: {text!r}", hint=f"KIND[=VALUE][:SHARE], for example {EXAMPLES}")
    kind, value = match["kind"], match["value"] or ""
    if kind not in KINDS:
        known = ", ".join(sorted(KINDS))
        raise ConfigError(f"unknown fault {kind!r}", hint=f"one of {known}")
    share = part(match["share"] or "1", text)
    if kind in SHARED:
        return Fault(kind, f"{part(value or '1', text):g}", share=share)
    if kind == "denied" and value and value not in DENIALS:
        raise ConfigError(f"fault {text!r}: unknown status", hint="denied, denied=401, denied=403 or denied=200")
    if kind == "latency" and not value:
        raise ConfigError(f"fault {text!r}: how long?", hint="latency=100ms")
    if kind in NAMED and not value:
        raise ConfigError(f"fault {text!r}: which one?", hint=f"{kind}=core_custom_prop1")
    if value and kind not in TIMED | NAMED | {"denied", "unknown-brand"}:
        raise ConfigError(
            f"fault {text!r}: {kind} takes no value", hint=f"{kind}, or {kind}:0.1 for a tenth of the requests"
        )
    return Fault(kind, value, duration(value, text) if kind in TIMED and value else None, share)


def part(text: str, fault: str) -> float:
    """Read a share within (0, 1]."""
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise ConfigError(f"fault {fault!r}: {text} is not a share", hint="a number above 0, up to 1, such as 0.2")
    return share


def duration(text: str, fault: str) -> float:
    """Read a duration as seconds."""
    match = re.fullmatch(r"([0-9]{1,6})(ms|s|m)", text)
    if match is None:
        raise ConfigError(
            f"fault {fault!r}: {text} is not a duration", hint="a whole number and its unit: 200ms, 5s, 1m"
        )
    return int(match[1]) * SECONDS[match[2]]


def decide(faults: Iterable[Fault], draw: Callable[[], float]) -> Decision:
    """Choose what happens to one request. `draw` gives a number in [0, 1) and is asked once per fault with a share < 1.

    Latencies add up, and the longest hold counts; of the faults that replace the answer the first one drawn wins, likewise of those that spoil it.
    """
    latency, hold, users, brand = 0.0, 0.0, False, None
    properties: set[str] = set()
    shares = dict.fromkeys(SHARED, 0.0)
    before: Fault | None = None
    after: Fault | None = None
    for fault in faults:
        if fault.share < 1 and draw() >= fault.share:
            continue
        if fault.kind == "latency":
            latency += fault.seconds or 0.0
        elif fault.kind == "hold":
            hold = max(hold, HOLD_S if fault.seconds is None else fault.seconds)
        elif fault.kind in SHARED:
            shares[fault.kind] = max(shares[fault.kind], float(fault.value))
        elif fault.kind in NAMED:
            properties.add(fault.value)
        elif fault.kind == "unknown-users":
            users = True
        elif fault.kind == "unknown-brand":
            brand = fault.value
        elif fault.kind in AFTER:
            after = after or fault
        else:
            before = before or fault
    return Decision(
        latency,
        hold,
        before,
        after,
        shares["refuse"],
        shares["quote"],
        users="known" if users else "any",
        brand=brand,
        properties=frozenset(properties),
    )


def refuses(eid: str, share: float, seed: int) -> bool:
    """Whether an event is among the refused: the same answer each time the same eid comes."""
    return crc32(eid.encode(errors="replace"), seed & 0xFFFFFFFF) < share * 2**32
