"""What a running daemon says of itself: in the log, to the journal, and to whoever asks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import structlog
from msgspec import Struct, to_builtins

from smartico_sync.observe.health import as_it_is, assess
from smartico_sync.observe.logs import set_level
from smartico_sync.observe.machine import of_disk, of_size
from smartico_sync.observe.status_document import status_document
from smartico_sync.tracking.clocks import now_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from smartico_sync.config.models import Configuration
    from smartico_sync.daemon.reload import Reload
    from smartico_sync.daemon.wiring import Parts
    from smartico_sync.observe.alerts import Alerts
    from smartico_sync.observe.finding import Finding
    from smartico_sync.observe.glance import Glance
    from smartico_sync.observe.health import Health
    from smartico_sync.observe.view_status import ViewStatus
    from smartico_sync.state.database import StateSizes

__all__ = ["Reports", "notes_of", "tell", "tell_configuration", "tell_outcome"]

LIMITS = ("max_in_flight", "requests_per_minute", "batch_events", "batch_bytes", "timeout", "park")

log = structlog.get_logger()


class Reports(Struct, frozen=True):
    """How the daemon does, for everybody alike: page, probes, log, alerts and commands. `dated` says since when a finding stands."""

    parts: Parts
    reload: Reload | None
    alerts: Alerts | None
    started_ms: int
    sizes: Glance[StateSizes]
    dated: Callable[[Health], Health] = as_it_is

    def notes(self) -> Sequence[Finding]:
        """What is to be said of the process itself."""
        told = notes_of(self.reload, self.alerts)
        file = self.parts.store.path
        return (
            *told,
            *((*of_disk(file.parent), *of_size(file)) if file.exists() else ()),
        )  # a state in PostgreSQL has no file here

    def look(self) -> tuple[Health, tuple[ViewStatus, ...]]:
        """How it does now, and its views."""
        views = self.parts.board.views()
        return assess(views, self.parts.delivery.status(), self.notes()), views

    def document(self) -> dict[str, Any]:
        """The same as plain data, for whoever asks over the control socket."""
        health, views = self.look()
        health, parts = self.dated(health), self.parts
        told = status_document(views, parts.delivery.status(), health, started_ms=self.started_ms, now_ms=now_ms())
        connections = [{"name": name, "connection": words} for name, words in parts.sources.items() if words]
        return {**told, "sources": connections, "state": to_builtins(self.sizes.answer() or {})}


def notes_of(reload: Reload | None, alerts: Alerts | None) -> list[Finding]:
    """What is to be said of the configuration's file and of the receivers of alerts."""
    return [*(reload.findings() if reload else ()), *(alerts.findings() if alerts else ())]


def tell_configuration(parts: Parts) -> None:
    """What the daemon begins with, or goes on with after a reload."""
    tell(parts.loops[0].equipment.configuration, str(parts.store.path))


def tell(configuration: Configuration, state: str) -> None:
    """What a daemon works with. `state`: where its state is, without a password."""
    smartico, sources = configuration.smartico, configuration.sources
    log.info(
        "configured",
        views={view.name: f"{view.kind} from {view.source}" for view in configuration.views},
        sources={name: source.url.get_secret_value().partition(":")[0] for name, source in sources.items()},
        limits={name: getattr(smartico, name) for name in LIMITS},
        brands=sorted(smartico.brands),
        pii=configuration.pii.mode,
        state=state,
        process=os.getpid(),
        level=set_level()["level"],
    )


def tell_outcome(parts: Parts) -> None:
    """What became of every view, at the end of `--once`."""
    views = parts.board.last_seen()
    for view in views:
        log.info("view", view=view.name, state=view.state, waiting=sum(view.parked.values()), **view.counts)
    for finding in assess(views, parts.delivery.status()).findings:
        log.warning("finding", code=finding.code, subject=finding.subject, reason=finding.message, hint=finding.hint)
