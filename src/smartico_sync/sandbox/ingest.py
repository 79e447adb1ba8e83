"""One request, judged: from bytes to an answer."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from contextlib import contextmanager
from itertools import count
from operator import itemgetter
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import orjson
from msgspec.structs import replace

from smartico_sync.catalogue.events import creates_user
from smartico_sync.sandbox.accepted_events import AcceptedEvents, packed, player, split
from smartico_sync.sandbox.answers import (
    BRAND_UNKNOWN,
    PARSE_ERROR,
    Answer,
    Dialect,
    ErrorKeys,
    judged,
    quoting,
    unparsable,
)
from smartico_sync.sandbox.contract import NEEDS, OPERATORS, Contract, without
from smartico_sync.sandbox.faults import Decision, Fault, decide, refuses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from smartico_sync.sandbox.limits import Limits, Ticket

__all__ = ["Check", "Ingest"]

Check = Literal["full", "count"]

Errors = dict[int, tuple[int, str]]
# The envelope as compact writers put it; a quote inside a JSON string is escaped, so this matches no value.
ENVELOPE = re.compile(
    rb'\{"eid":"([^"\\]+)","event_date":\d+,"ext_brand_id":"[^"\\]*","user_ext_id":"[^"\\]*","event_type":"([^"\\]*)","payload":\{'
)
PAYLOAD = b'"payload":{'
identity = itemgetter("ext_brand_id", "user_ext_id", "event_type")


class Ingest:
    """Judges requests and counts; thread-safe. What it parses it parses outside its lock.

    `check` full: the whole contract, order per player, one request per player. count: eids and types
    only, and transactions are not kept for `/events`.
    """

    def __init__(
        self,
        *,
        log: Path | None,
        faults: Iterable[Fault],
        check: Check,
        dialect: Dialect,
        error_keys: ErrorKeys,
        seed: int,
        limits: Limits,
    ) -> None:
        self.accepted_events = AcceptedEvents(log, order="watched" if check == "full" else "ignored")
        self.contract = Contract()
        self.limits = limits
        self.check = check
        self.dialect: Dialect = dialect
        self.error_keys: ErrorKeys = error_keys
        self.seed = seed
        self.random = Random(seed)  # noqa: S311 - faults are to be repeatable, not secret
        self.faults = tuple(faults)
        self.lock = threading.Lock()
        self.numbers = count(1)
        self.received = 0
        self.accepted = 0
        self.refused: Counter[int] = Counter()
        self.returned = 0
        self.answers: Counter[str] = Counter()
        self.faulted: Counter[str] = Counter()
        self.bytes = 0
        self.held = 0
        self.started = time.monotonic()

    def enter(self, ticket: Ticket) -> bool:
        """Let a request in, or refuse it for breaking a limit."""
        with self.lock:
            return self.limits.enter(ticket, time.monotonic())

    def leave(self, ticket: Ticket) -> None:
        """Give the request's place back; idempotent."""
        with self.lock:
            self.limits.leave(ticket)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Count a request as held."""
        with self.lock:
            self.held += 1
        try:
            yield
        finally:
            with self.lock:
                self.held -= 1

    def draw(self) -> Decision:
        """Decide what happens to the next request."""
        with self.lock:
            decision = decide(self.faults, self.random.random)
            if decision.latency_s:
                self.faulted["latency"] += 1
            if decision.hold_s:
                self.faulted["hold"] += 1
            for fault in (decision.before, decision.after):
                if fault is not None:
                    self.faulted[fault.kind] += 1
            return decision

    def judge(self, body: bytes, decision: Decision, ticket: Ticket, wait: Callable[[float], object]) -> Answer:
        """Accept what may be accepted, written and flushed before the answer exists."""
        number = next(self.numbers)
        if self.check == "count" and not (self.accepted_events.log or troubles(decision)):
            wait(decision.latency_s)
            if decision.users == "any" and self.glanced(body):
                return judged(number, [], {}, self.dialect, self.error_keys)
            decision = replace(decision, latency_s=0.0, hold_s=0.0)
        try:
            events = orjson.loads(body)
        except ValueError:
            return unparsable(number, "the body is not JSON")
        if not isinstance(events, list):
            return unparsable(number, "the body must be an array of events")
        errors, violations = self.inspected(events, decision)
        self.troubled(events, errors, decision)
        good = [index for index in range(len(events)) if index not in errors] if errors else range(len(events))
        chosen = [events[index] for index in good] if errors else events
        raw = split(body) if self.accepted_events.log is not None else None
        kept = [raw[index] for index in good] if raw is not None else None
        if self.check == "full":
            players = frozenset(map(player, chosen))
            with self.lock:
                self.limits.carry(ticket, players)
        wait(decision.latency_s)
        # Nobody outside knows whether a refused batch is taken in part: the careful answer is that it is not.
        whole = self.dialect == "failed_events" and any(code == PARSE_ERROR for code, _ in errors.values())
        with self.lock:
            refused = {} if whole else self.accepted_events.accept(chosen, kept, users=decision.users)
            errors.update((good[place], (code, "")) for place, code in refused.items())
            self.received += len(events)
            self.bytes += len(body)
            self.refused.update(code for code, _ in errors.values())
            self.returned += len(chosen) if whole else 0
            self.accepted += 0 if whole else len(chosen) - len(refused)
            self.limits.violations.update(violations)
        return judged(number, events, errors, self.dialect, self.error_keys)

    def glanced(self, body: bytes) -> bool:
        """Accept a compact body of new transactions by its eids, without parsing it; False leaves it to a closer look."""
        found = ENVELOPE.findall(body)
        if not found or len(found) != body.count(PAYLOAD) or body[:1] + body[-1:] != b"[]":
            return False
        eids, names = zip(*found, strict=True)
        types = Counter(name.decode() for name in names)
        if any(map(creates_user, types)):
            return False
        keys = packed(b",".join(eids).decode(errors="replace").split(","))
        with self.lock:
            if not self.accepted_events.glance(keys, types):
                return False
            self.received += len(keys)
            self.accepted += len(keys)
            self.bytes += len(body)
        return True

    def inspected(self, events: list[Any], decision: Decision) -> tuple[Errors, Counter[str]]:
        """Tell what the contract says of each event; who leaves out what is refused on demand does as he is told."""
        if self.check == "count" and identified(events):
            return {}, Counter()
        found = self.contract.findings(events)
        errors = {index: (PARSE_ERROR, finding.reason) for index, finding in found.items() if finding.reason}
        excused = {"", *(without(event_type, name) for name in decision.properties for event_type in NEEDS)}
        told = (finding.violation for finding in found.values())
        return errors, Counter(violation for violation in told if violation not in excused)

    def troubled(self, events: list[Any], errors: Errors, decision: Decision) -> None:
        """Add the refusals that were asked for."""
        if not troubles(decision):
            return
        for index, event in enumerate(events):
            if index in errors:
                continue
            if decision.brand is not None and decision.brand in {"", event["ext_brand_id"]}:
                errors[index] = (BRAND_UNKNOWN, "")
            elif unknown := next((n for n in event["payload"] if n.lstrip(OPERATORS) in decision.properties), ""):
                errors[index] = (PARSE_ERROR, f"Property {unknown} is unknown")
            elif decision.refuse and refuses(event["eid"], decision.refuse, self.seed):
                errors[index] = (PARSE_ERROR, "Property refused on demand")
            elif decision.quote and refuses(event["eid"], decision.quote, self.seed):
                errors[index] = (PARSE_ERROR, quoting(event))

    def answered(self, kind: str) -> None:
        """Count an answer by its HTTP status, or by what came in its place."""
        with self.lock:
            self.answers[kind] += 1

    def stats(self) -> dict[str, Any]:
        """Everything counted since the start; `received == accepted + duplicates + refused + returned`.

        `returned` are clean events of a request that was refused as a whole. `by_event_type`, `eids` and `players`
        include what the log held at the start.
        """
        with self.lock:
            accepted_events, limits = self.accepted_events, self.limits
            violations = dict(limits.violations)
            if accepted_events.misordered:
                violations["a profile older than the one before it"] = accepted_events.misordered
            return {
                "accepted": self.accepted,
                "duplicates": accepted_events.duplicates,
                "refused": {str(code): n for code, n in sorted(self.refused.items()) if code != 20056},
                "returned": self.returned,
                "received": self.received,
                "by_event_type": dict(sorted(accepted_events.types.items())),
                "eids": len(accepted_events.eids),
                "players": len(accepted_events.players),
                "requests": sum(self.answers.values()),
                "answers": dict(sorted(self.answers.items())),
                "bytes": self.bytes,
                "in_flight": len(limits.tickets),
                "max_in_flight": limits.peak,
                "held": self.held,
                "violations": violations,
                "order_violations": accepted_events.misordered,
                "faults": [str(fault) for fault in self.faults],
                "faulted": dict(sorted(self.faulted.items())),
                "seconds": round(time.monotonic() - self.started, 3),
            }


def troubles(decision: Decision) -> bool:
    """Whether events are to be refused that keep the contract."""
    return decision.brand is not None or decision.refuse > 0 or decision.quote > 0 or bool(decision.properties)


def identified(events: list[Any]) -> bool:
    """Whether every event has what counting needs."""
    try:
        set(map(identity, events))  # there, and hashable
        return {type(event["eid"]) for event in events} <= {str}
    except (KeyError, TypeError):
        return False
