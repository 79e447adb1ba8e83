"""How every view does while no daemon runs here: what the state knows, and which other machine works with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.daemon.cluster_view import divided, groups_of, members_of
from smartico_sync.errors import SourceUnreachable, SyncError
from smartico_sync.observe.cluster_status import ClusterStatus
from smartico_sync.state.place import ServerPlace
from smartico_sync.tracking.clocks import now_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.cli.configured import Configured
    from smartico_sync.core.records import ViewRow
    from smartico_sync.sources.stream import Lag
    from smartico_sync.state.store import Store

__all__ = ["stopped"]


def stopped(configured: Configured) -> dict[str, Any]:
    """What the state knows, while no daemon runs: views as they are configured, then those that are not any more."""
    context = OperatorContext(configured.path, secrets="passed over")
    rows, lanes, sizes, parked, dead, cluster = {}, {}, {}, {}, {}, None
    if context.state.there:
        with context.reading() as store:
            rows = {row.view: row for row in store.views()}
            sizes = to_builtins(store.sizes())
            silent: set[str] = set()
            lanes = {name: waiting(context, store, name, silent) for name in rows}
            parked, dead = store.parked_counts(), store.dead_letter_counts()
        cluster = elsewhere(context)
    held = {view for group in (cluster.groups if cluster else ()) if group.held == "yes" for view in group.views}
    names = [view.name for view in context.configuration.views]
    views = []
    for name in [*names, *(name for name in rows if name not in names)]:
        row = rows.get(name)
        views.append(
            {
                "name": name,
                "state": "not configured"
                if name not in names
                else stands(row, "elsewhere" if name in held else "not running"),
                "head": row.head.cursor if row and row.head else "",
                "counts": dict(row.counts) if row else {},
                "parked": coded(parked.get(name, {})),
                "dead": coded(dead.get(name, {})),
                **lanes.get(name, {}),
            }
        )
    document = {"ready": "not running", "views": views, "findings": [], "state": sizes}
    return {**document, "cluster": to_builtins(cluster)} if cluster else document


def stands(row: ViewRow | None, running: str) -> str:
    """What is to be said of a view that is configured."""
    return running if row or running == "elsewhere" else "never started"


def elsewhere(context: OperatorContext) -> ClusterStatus | None:
    """Which members work with the state, and who stands by; None for a file, which one machine has. Raises StateError."""
    place = context.state
    if not isinstance(place, ServerPlace):
        return None
    seen = place.seen()
    return ClusterStatus(place.member, "yes", groups_of(divided(context.configuration), place, seen), members_of(seen))


def coded(counts: Mapping[int, int]) -> dict[str, int]:
    """Counts by reason code as JSON has them."""
    return {str(code): count for code, count in counts.items()}


def waiting(context: OperatorContext, store: Store, name: str, silent: set[str]) -> dict[str, Any]:
    """What waits at the broker for a view of messages; nothing for others, and where the broker does not answer.

    `silent`: sources that do not answer, which are asked once.
    """
    view = next((view for view in context.configuration.views if view.name == name), None)
    if view is None or not context.is_broker(view):
        return {}
    if view.source in silent:
        return {}
    try:
        with context.broker(view) as (stream, feed):
            lanes, now = stream.lags(feed, store.lanes(name)), now_ms()
    except SourceUnreachable:
        silent.add(view.source)
        return {}
    except SyncError:
        return {}
    told = [{"name": lag.lane, "lag": lag.messages, "lag_ms": age(lag, now)} for lag in lanes]
    return {"stream": {"lanes": told}}


def age(lag: Lag, now: int) -> int | None:
    """For how long the first message that waits has been; None where nobody tells."""
    if not lag.messages:
        return 0
    return max(0, now - lag.time_ms) if lag.time_ms else None
