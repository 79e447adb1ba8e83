"""The daemon's parts, put together from one configuration."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from smartico_sync.config.source_checks import engine_of, is_broker
from smartico_sync.core.tracing import UNTRACED
from smartico_sync.daemon.ending import all_at_once
from smartico_sync.daemon.state_place import state_place
from smartico_sync.delivery.router import Router
from smartico_sync.delivery.token import Token
from smartico_sync.errors import DriverMissing, StateError
from smartico_sync.observe.status_board import StatusBoard
from smartico_sync.pii.keys import parse_key
from smartico_sync.pii.protection import Protection
from smartico_sync.pii.registry import create
from smartico_sync.sources.registry import open_source, open_stream
from smartico_sync.sources.sql.known_statements import known
from smartico_sync.state.place import FilePlace, ServerPlace
from smartico_sync.tracking.loop import ViewLoop
from smartico_sync.tracking.memory_budget import MemoryBudget
from smartico_sync.tracking.replica_time import ReplicaTime
from smartico_sync.tracking.session import Equipment
from smartico_sync.tracking.status_recorder import StatusRecorder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from smartico_sync.config.models import Configuration, Health, SourceConfig, Tracing, View
    from smartico_sync.core.tracing import Tracer
    from smartico_sync.observe.endpoint import Endpoint
    from smartico_sync.sources.protocol import Source
    from smartico_sync.sources.stream import Stream
    from smartico_sync.state.place import Place
    from smartico_sync.state.store import Store
    from smartico_sync.tracking.stream_loop import StreamLoop

    Loop = ViewLoop | StreamLoop

__all__ = [
    "Loop", "Parts", "assemble", "board_of", "endpoint_of", "protection_of", "reads_messages", "sources_of", "streams_of", "tracer_of",
]  # fmt: skip

FAREWELL_MS = 1_000  # for requests under way when the daemon ends: nobody commits their answers any more
CLOSE_S = 1.0  # to say goodbye to a database; what takes longer is left to the end of the process


class Parts(Struct, frozen=True):
    """Everything that runs."""

    store: Store
    delivery: Router
    board: StatusBoard
    loops: tuple[Loop, ...]
    sources: Mapping[str, str]
    """How the connections of each source are protected, in words."""


def protection_of(configuration: Configuration) -> Protection:
    """The policy for personal data, with its encryptor. ConfigError when the key is of no use."""
    pii = configuration.pii
    if pii.mode != "encrypt" or pii.key is None:  # the models refuse `encrypt` without a key
        return Protection(pii.mode, pii.properties)
    encryptor = create(pii.encryptor, parse_key(pii.key.get_secret_value()), pii.key_id)
    brands = configuration.smartico.brands.items()
    aliases = {name: brand.alias for name, brand in brands if brand.alias}
    return Protection("encrypt", pii.properties, encryptor, aliases)


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


def tracer_of(config: Tracing) -> Tracer:
    """What begins traces. DriverMissing where they are wanted and the package is not there."""
    if config.endpoint is None:
        return UNTRACED
    try:
        from smartico_sync.observe.tracing import Traces  # noqa: PLC0415 - only where traces are wanted
    except ImportError:
        raise DriverMissing("`tracing:` needs OpenTelemetry", hint="pip install 'smartico-sync[otel]'") from None
    return Traces(config)


def board_of(configuration: Configuration) -> StatusBoard:
    """A board with every view on it, of which nothing has happened yet."""
    board = StatusBoard()
    for view in configuration.views:
        recorder_of(configuration, view, board)
    return board


def recorder_of(configuration: Configuration, view: View, board: StatusBoard) -> StatusRecorder:
    """Who tells the board of a view, from now on."""
    return StatusRecorder(view, board, configuration.sources[view.source].statement_timeout)


def tell_what_is_known(configuration: Configuration, store: Store, recorders: Mapping[str, StatusRecorder]) -> None:
    """Have the board show what the state knows, until each view has begun: its source may be down. Raises StateError."""
    rows = {row.view: row for row in store.views()}
    former = {row.identity: row for row in rows.values() if row.view not in recorders}
    parked, dead = store.parked_counts(), store.dead_letter_counts()
    for view in configuration.views:
        row = rows.get(view.name) or former.get(view.identity or view.name)
        if row is None:
            continue
        waiting = parked.get(row.view, {})
        recorders[view.name].known(row, waiting, dead.get(row.view, {}), store.parked_since(row.view) if waiting else 0)


def endpoint_of(health: Health, board: StatusBoard, base: Path) -> Endpoint | None:
    """The endpoint for monitoring, at work; None when there is to be none. ConfigError when its token is of no use."""
    if health.listen == "off":
        return None
    from smartico_sync.observe.endpoint import Endpoint  # noqa: PLC0415 - `--once` has none
    from smartico_sync.observe.server import Access  # noqa: PLC0415 - likewise

    token = None
    if health.token is not None:
        file = base / health.token_file if health.token_file else None
        token = Token(health.token.get_secret_value(), file, key=f"health.{'token_file' if file else 'token'}")
    hosts = {socket.gethostname().lower(), *(host.lower() for host in health.hosts)}
    access = Access(frozenset(hosts), token.read if token else lambda: "")
    return Endpoint(health.listen, board, lambda: (), access)


def assemble(
    configuration: Configuration,
    base: Path,
    stack: ExitStack,
    board: StatusBoard | None = None,
    place: Place | None = None,
) -> Parts:
    """Open the state and make every part; the stack closes them in the right order. Raises StateError and ConfigError.

    `place`: where the state is, when only a part of its views is worked with.
    """
    tracer = tracer_of(configuration.tracing)
    stack.callback(tracer.close)
    protection = protection_of(configuration)
    sources, streams = sources_of(configuration), streams_of(configuration)
    place = place or state_place(configuration, base)
    store = stack.enter_context(place.open())
    if isinstance(place, FilePlace):
        known.open(store.path, store.secret)
        stack.callback(known.close)
    closes = [source.close for source in sources.values()] + [stream.close for stream in streams.values()]
    stack.callback(all_at_once, closes, CLOSE_S)
    delivery = Router(
        configuration.smartico, base, budget_of=place.budget_of if isinstance(place, ServerPlace) else None
    )
    delivery.only_while(lambda: store.holding)
    if store.before == "badly":
        delivery.halve_for(configuration.smartico.timeout / 1000)  # requests of the member before may be under way
    stack.callback(delivery.close, FAREWELL_MS)
    board = board or StatusBoard()
    loops: list[Loop] = []
    memory, replicas = MemoryBudget(), {name: ReplicaTime() for name in sources}
    recorders = {view.name: recorder_of(configuration, view, board) for view in configuration.views}
    with suppress(StateError):  # the loops meet it, and tell
        tell_what_is_known(configuration, store, recorders)
    for view in configuration.views:
        recorder = recorders[view.name]
        if is_broker(configuration, view):
            from smartico_sync.tracking.stream_loop import StreamLoop  # noqa: PLC0415 - only where there is a broker
            from smartico_sync.tracking.stream_session import StreamEquipment  # noqa: PLC0415 - likewise

            stream = streams[view.source]
            messages = StreamEquipment(
                configuration, view, stream, store, delivery, protection, recorder, memory, tracer
            )
            loops.append(StreamLoop(messages))
            continue
        equipment = Equipment(
            configuration, view, sources[view.source], store, delivery, protection, recorder, memory, tracer,
            replicas[view.source],
        )  # fmt: skip
        loops.append(ViewLoop(equipment))
    connections = {name: source.encryption for name, source in sources.items()}
    connections |= {name: stream.encryption for name, stream in streams.items()}
    return Parts(store, delivery, board, tuple(loops), connections)
