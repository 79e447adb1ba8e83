"""Alerts: what changed in the daemon's health is posted to webhooks, each from a thread of its own; delivery never waits for one."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import structlog

from smartico_sync import __version__
from smartico_sync.core.backoff import Backoff
from smartico_sync.delivery.proxies import proxy_for
from smartico_sync.errors import SyncError, Unexpected
from smartico_sync.observe.alert_message import message
from smartico_sync.observe.finding import Finding
from smartico_sync.observe.journal import Change
from smartico_sync.observe.pending_alerts import PendingAlerts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.config.models import AlertReceiver
    from smartico_sync.observe.health import Health

__all__ = ["Alerts", "Receiver", "trial"]

BACKOFF = Backoff(
    (1.0, 5.0, 15.0, 60.0)
)  # of a receiver that is unavailable; then once a minute, for as long as there is something to tell
TIMEOUT_S = 10.0
MOST_ANSWER_BYTES = 1_000  # of an answer of which only the status counts
TRIED = "try it with: smartico-sync test-alerts; correct `alerts:`, then: smartico-sync reload"
TRIAL = Change("began", Finding("warning", "test", "this is a test: alerts arrive here", "nothing"))

log = structlog.get_logger()


class Receiver:
    """One webhook. `note` returns at once; a thread posts, and tries again, until `close`. Its URL is told nowhere, but for the host."""

    def __init__(self, name: str, config: AlertReceiver, environ: Mapping[str, str] = os.environ) -> None:
        import httpx  # noqa: PLC0415 - only where somebody is alerted

        from smartico_sync.delivery.transport import Transport  # noqa: PLC0415 - likewise

        self.name, self.config = name, config
        self.url = httpx.URL(config.url.get_secret_value().strip() if config.url is not None else "")
        self.host = self.url.host
        self.transport = Transport(str(self.url), timeout_s=TIMEOUT_S, proxy=proxy_for(str(self.url), environ))
        self.problem = ""
        self.failures = 0
        self.resume_at = 0.0
        self.ready = "starting"
        self.pending = PendingAlerts(config.severity)
        self.changed = threading.Condition()
        self.closing = False
        self.thread = threading.Thread(target=self.work, name=f"alerts-{name}", daemon=True)
        self.thread.start()

    def note(self, changes: Sequence[Change], ready: str) -> None:
        """Have changes told, once they have settled."""
        with self.changed:
            self.ready, now = ready, time.monotonic()
            for change in changes:
                self.pending.note(change, now)
            self.changed.notify()

    def work(self) -> None:
        """Post what is due, until the end."""
        while True:
            with self.changed:
                if self.closing:
                    return
                now = time.monotonic()
                due = self.pending.take(now) if now >= self.resume_at else []
                if not due:
                    soon = self.pending.next_due()
                    self.changed.wait(None if soon is None else max(0.0, max(soon, self.resume_at) - now))
                    continue
                body = message(
                    self.config.format, due, host=socket.gethostname(), ready=self.ready,
                    at_ms=time.time_ns() // 1_000_000, missing=self.pending.dropped,
                )  # fmt: skip
            problem = self.post(body)
            with self.changed:
                self.posted(len(due), problem)

    def posted(self, changes: int, problem: str) -> None:
        """A message arrived, or did not: then what it held waits, and is told with whatever changes until the next try."""
        if problem:
            if not self.problem:
                log.warning("alert.failed", receiver=self.name, host=self.host, reason=problem, hint=TRIED)
            self.problem = problem
            self.pending.failed(time.monotonic())
            self.resume_at = time.monotonic() + BACKOFF.pause(self.failures)
            self.failures += 1
            return
        if self.problem:
            log.info("alert.recovered", receiver=self.name, host=self.host, reason=self.problem)
        self.problem, self.failures, self.pending.dropped = "", 0, 0
        self.pending.taken()
        log.info("alert", receiver=self.name, host=self.host, changes=changes)

    def post(self, body: bytes) -> str:
        """Post one message; what went wrong, without the URL."""
        import httpx  # noqa: PLC0415 - see above

        from smartico_sync.delivery.failures import TurnedAway  # noqa: PLC0415 - likewise

        headers = {"Content-Type": "application/json", "User-Agent": f"smartico-sync/{__version__}"}
        try:
            request = httpx.Request("POST", self.url, headers=headers, content=body)
            with closing(self.transport.handle_request(request)) as answer:
                with suppress(httpx.HTTPError):
                    next(iter(answer.iter_raw(MOST_ANSWER_BYTES)), b"")
                return "" if answer.status_code < 300 else f"HTTP {answer.status_code}"
        except TurnedAway as error:
            return f"the proxy does not let us through: {error}"
        except httpx.HTTPError as error:
            return str(error)  # see `delivery.failures`: it names the host, and nothing that is secret
        except Exception as error:  # noqa: BLE001 - whatever a receiver does, it is told and tried again
            return Unexpected(error).message

    def finding(self) -> Finding | None:
        """That it takes no alerts."""
        if not self.problem:
            return None
        told = f"the receiver {self.name} ({self.host}) does not take alerts: {self.problem}"
        return Finding("warning", "alerts", told, TRIED, code="alerts")

    def close(self) -> None:
        """End; what was not told is not told any more."""
        with self.changed:
            self.closing = True
            self.changed.notify()
        self.transport.close()


class Alerts:
    """All receivers of the configuration at work. Thread-safe."""

    def __init__(self) -> None:
        self._receivers: dict[str, Receiver] = {}
        self._problems: dict[str, SyncError] = {}

    def use(self, configured: Mapping[str, AlertReceiver]) -> None:
        """Tell these from now on; those that are as they were go on with what they know."""
        before, kept = self._receivers, {}
        self._problems = {}
        for name, config in configured.items():
            known = before.get(name)
            if known is not None and known.config == config:
                kept[name] = known
                continue
            try:
                kept[name] = Receiver(name, config)
            except SyncError as error:  # a proxy of the environment that cannot be used
                self._problems[name] = error
        self._receivers = kept
        for name, receiver in before.items():
            if kept.get(name) is not receiver:
                receiver.close()

    def tell(self, changes: Sequence[Change], health: Health) -> None:
        """Have changes told; nobody is waited for."""
        for receiver in self._receivers.values():
            receiver.note(changes, health.ready)

    def findings(self) -> tuple[Finding, ...]:
        """Receivers that take nothing."""
        wrong = [Finding("warning", "alerts", f"{name}: {error.message}", error.hint, code="alerts")
                 for name, error in self._problems.items()]  # fmt: skip
        found = [receiver.finding() for receiver in self._receivers.values()]
        return (*wrong, *(each for each in found if each is not None))

    def close(self) -> None:
        """End all of them."""
        self.use({})


def trial(name: str, config: AlertReceiver) -> str:
    """Post a test to one receiver; what went wrong. ConfigError for a proxy that cannot be used."""
    receiver = Receiver(name, config)
    try:
        body = message(
            config.format, [TRIAL], host=socket.gethostname(), ready="a test", at_ms=time.time_ns() // 1_000_000
        )
        return receiver.post(body)
    finally:
        receiver.close()
