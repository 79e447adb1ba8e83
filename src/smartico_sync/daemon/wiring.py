"""The daemon's parts, put together from one configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from smartico_sync.config.source_checks import engine_of, is_broker
from smartico_sync.delivery.router import Router
from smartico_sync.observe.view_status import StatusBoard
from smartico_sync.pii.keys import parse_key
from smartico_sync.pii.protection import Protection
from smartico_sync.pii.registry import create
from smartico_sync.sources.registry import open_source, open_stream
from smartico_sync.state.store import Store
from smartico_sync.tracking.loop import ViewLoop
from smartico_sync.tracking.session import Equipment
from smartico_sync.tracking.status_recorder import StatusRecorder
from smartico_sync.tracking.stream_loop import StreamLoop
from smartico_sync.tracking.stream_session import StreamEquipment

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from smartico_sync.config.models import Configuration, SourceConfig, View
    from smartico_sync.sources.protocol import Source
    from smartico_sync.sources.stream import Stream

__all__ = ["Loop", "Parts", "assemble", "protection_of", "reads_messages", "sources_of", "state_path", "streams_of"]

FAREWELL_MS = 5_000  # how long requests under way may still take when the daemon ends


Loop = ViewLoop | StreamLoop


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that runs."""

    store: Store
    delivery: Router
    board: StatusBoard
    loops: tuple[Loop, ...]


def state_path(configuration: Configuration, base: Path) -> Path:
    """The state file; relative to the configuration's directory."""
    return base / configuration.state


def protection_of(configuration: Configuration) -> Protection:
    """The policy for personal data, with its encryptor. ConfigError when the key is of no use."""
    pii = configuration.pii
    if pii.mode != "encrypt":
        return Protection(pii.mode, pii.properties)
    assert pii.key is not None
    return Protection(
        "encrypt", pii.properties, create(pii.encryptor, parse_key(pii.key.get_secret_value()), pii.key_id)
    )


def sources_of(configuration: Configuration) -> dict[str, Source]:
    """Every database, none of them connected yet."""
    return {
        name: open_source(name, source) for name, source in configuration.sources.items() if not reads_messages(source)
    }


def streams_of(configuration: Configuration) -> dict[str, Stream]:
    """Every broker, none of them connected yet."""
    return {name: open_stream(name, source) for name, source in configuration.sources.items() if reads_messages(source)}


def reads_messages(source: SourceConfig) -> bool:
    """Whether a source is a broker."""
    engine = engine_of(source.url)
    return engine is not None and engine.reads == "messages"


def assemble(configuration: Configuration, base: Path, stack: ExitStack) -> Parts:
    """Open the state and make every part; the stack closes them in the right order. Raises StateError and ConfigError."""
    protection = protection_of(configuration)
    sources, streams = sources_of(configuration), streams_of(configuration)
    store = stack.enter_context(Store.open(state_path(configuration, base)))
    for close in (*(source.close for source in sources.values()), *(stream.close for stream in streams.values())):
        stack.callback(close)
    delivery = Router(configuration.smartico, base)
    stack.callback(delivery.close, FAREWELL_MS)
    board = StatusBoard()

    def loop_of(view: View) -> Loop:
        recorder = StatusRecorder(view, board)
        if is_broker(configuration, view):
            stream = streams[view.source]
            return StreamLoop(StreamEquipment(configuration, view, stream, store, delivery, protection, recorder))
        source = sources[view.source]
        return ViewLoop(Equipment(configuration, view, source, store, delivery, protection, recorder))

    return Parts(store, delivery, board, tuple(map(loop_of, configuration.views)))
