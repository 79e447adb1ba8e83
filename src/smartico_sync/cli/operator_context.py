"""What commands on a state share: the configuration, a view by its name, and a change made wherever the state is held."""

from __future__ import annotations

from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from smartico_sync.cli.configured import Configured
from smartico_sync.config.source_checks import engine_of, is_broker
from smartico_sync.daemon import asking
from smartico_sync.daemon.operations import BEGIN_VIEW, Operations
from smartico_sync.errors import ConfigError, StateError, StateLocked
from smartico_sync.sources.registry import open_source, open_stream
from smartico_sync.state.place import ServerPlace
from smartico_sync.tracking.prepared_stream import feed_of
from smartico_sync.tracking.prepared_view import PreparedView, identified, prepare_known, under_secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from smartico_sync.config.models import View
    from smartico_sync.core.records import ViewRow
    from smartico_sync.sources.protocol import Source
    from smartico_sync.sources.stream import Feed, Stream
    from smartico_sync.state.store import Store

__all__ = ["OperatorContext"]


class OperatorContext(Configured):
    """A configuration and the state that belongs to it."""

    def view(self, name: str) -> View:
        """The view of that name. ConfigError names those there are."""
        view = next((view for view in self.configuration.views if view.name == name), None)
        if view is None:
            names = ", ".join(view.name for view in self.configuration.views)
            raise ConfigError(f"{self.path} has no view {name}", hint=f"use one of: {names}")
        return view

    def tracked(self, name: str) -> ViewRow:
        """What the state knows of a view. ConfigError where it knows nothing, StateError where it cannot be read."""
        with self.reading() as store:
            row = store.view(name)
        if row is None:
            raise ConfigError(f"view {name} was never tracked", hint=BEGIN_VIEW)
        return row

    @contextmanager
    def reading(self) -> Iterator[Store]:
        """The state, beside a running daemon, to look at."""
        with self.state.open("read") as store:
            yield store

    def known_row(self, view: View) -> ViewRow | None:
        """What the state knows of a view; None where there is no state that can be read, or it does not know the view."""
        with suppress(StateError), self.reading() as store:
            return store.view(view.name)
        return None

    @contextmanager
    def source(self, view: View) -> Iterator[tuple[Source, PreparedView]]:
        """The view's source, and the view described, with the key and the event ids that the state knows it by."""
        row = self.known_row(view)
        with closing(open_source(view.source, self.configuration.sources[view.source])) as source:
            yield source, self.known(prepare_known(self.configuration, view, source, row), row)

    @contextmanager
    def broker(self, view: View) -> Iterator[tuple[Stream, Feed]]:
        """The view's broker, and what the view reads of it."""
        state = ""
        with suppress(StateError), self.reading() as store:
            state = store.state_id
        with closing(open_stream(view.source, self.configuration.sources[view.source])) as stream:
            yield stream, feed_of(self.configuration, view, state)

    def is_broker(self, view: View) -> bool:
        """Whether a view's messages come from a broker."""
        return is_broker(self.configuration, view)

    def can_replay(self, view: View) -> bool:
        """Whether the messages of a view can be read again."""
        engine = engine_of(self.configuration.sources[view.source].url)
        return engine is not None and "replay" in engine.abilities

    def replayable(self, view: View, command: str) -> None:
        """Raise ConfigError where a command needs messages to be read again, and the broker cannot do that."""
        if not self.can_replay(view):
            raise ConfigError(
                f"view {view.name}: smartico-sync {command} needs messages to be read again, and a queue gives each of them once",
                hint=f"smartico-sync status shows what waits; smartico-sync dead-letters list --view {view.name} what was given up",
            )

    def known(self, prepared: PreparedView, row: ViewRow | None) -> PreparedView:
        """The prepared view as the state knows it; as it would be begun where the state does not know it, or is not there."""
        if row is None:
            with suppress(StateError), self.reading() as store:
                return under_secret(prepared, store)
            return prepared
        with self.reading() as store:
            return identified(prepared, row, store)

    def call(self, name: str, plan: Sequence[str] = (), **arguments: Any) -> Any:
        """Have the state changed: by the daemon that runs, or here when none does. Never makes a state that is not there.

        `plan`: what the operator was told would follow.
        """
        with self.reading():
            pass
        try:
            store = self.state.open()
        except StateLocked:
            if isinstance(self.state, ServerPlace) and not asking.listens(self.state.path):
                raise  # it is another machine's
            return asking.ask(self.state.path, name, arguments, plan=plan)
        with store:
            return Operations(store).call(name, arguments)
