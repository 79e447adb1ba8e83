"""What making and sending events needs of a view, whether it reads a database or takes messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from smartico_sync.config.models import Configuration, View
    from smartico_sync.core.pipeline import PipelineOptions
    from smartico_sync.core.tracing import Tracer
    from smartico_sync.core.view_mapping import ViewMapping
    from smartico_sync.delivery.protocol import Delivery
    from smartico_sync.pii.protection import Protection
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.fingerprints import Fingerprints
    from smartico_sync.tracking.memory_budget import MemoryBudget
    from smartico_sync.tracking.status_recorder import StatusRecorder

__all__ = ["Mapped", "Tools", "Working"]


class Tools(Protocol):
    """What a view needs to work, wherever its rows come from, for as long as the process lives."""

    @property
    def configuration(self) -> Configuration:
        """All that is configured."""

    @property
    def view(self) -> View:
        """The view."""

    @property
    def store(self) -> Store:
        """What is remembered."""

    @property
    def delivery(self) -> Delivery:
        """The way to the API."""

    @property
    def protection(self) -> Protection:
        """The policy for personal data."""

    @property
    def recorder(self) -> StatusRecorder:
        """Where facts go."""

    @property
    def memory(self) -> MemoryBudget:
        """What it may hold, with all other views."""

    @property
    def tracer(self) -> Tracer:
        """Where traces begin."""


class Mapped(Protocol):
    """A view that is prepared."""

    @property
    def mapping(self) -> ViewMapping:
        """How its rows become events."""


class Working(Protocol):
    """A view at work, as far as events are made of its rows."""

    @property
    def prepared(self) -> Mapped:
        """What was made by preparing it."""

    @property
    def options(self) -> PipelineOptions:
        """Its mapping and policies."""

    @property
    def fingerprints(self) -> Fingerprints:
        """What profiles are compared with."""
