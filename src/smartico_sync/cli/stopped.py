"""How every view does while no daemon runs: what the state knows."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from smartico_sync.cli.operator_context import OperatorContext
from smartico_sync.errors import SyncError
from smartico_sync.tracking.clocks import now_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.cli.configured import Configured
    from smartico_sync.sources.stream import Lag
    from smartico_sync.state.store import Store

__all__ = ["stopped"]


def stopped(configured: Configured) -> dict[str, Any]:
    """What the state knows, while no daemon runs: views as they are configured, then those that are not any more."""
    context = OperatorContext(configured.path, secrets="passed over")
    rows, lanes, sizes, parked, dead = {}, {}, {}, {}, {}
    if context.state.there:
        with context.reading() as store:
            rows = {row.view: row for row in store.views()}
            sizes = asdict(store.sizes())
            lanes = {name: waiting(context, store, name) for name in rows}
            parked, dead = store.parked_counts(), store.dead_letter_counts()
    names = [view.name for view in context.configuration.views]
    views = []
    for name in [*names, *(name for name in rows if name not in names)]:
        row = rows.get(name)
        views.append(
            {
                "name": name,
                "state": "not configured" if name not in names else "not running" if row else "never started",
                "head": row.head.cursor if row and row.head else "",
                "counts": dict(row.counts) if row else {},
                "parked": coded(parked.get(name, {})),
                "dead": coded(dead.get(name, {})),
                **lanes.get(name, {}),
            }
        )
    return {"ready": "not running", "views": views, "findings": [], "state": sizes}


def coded(counts: Mapping[int, int]) -> dict[str, int]:
    """Counts by reason code as JSON has them."""
    return {str(code): count for code, count in counts.items()}


def waiting(context: OperatorContext, store: Store, name: str) -> dict[str, Any]:
    """What waits at the broker for a view of messages; nothing for others, and where the broker does not answer."""
    view = next((view for view in context.configuration.views if view.name == name), None)
    if view is None or not context.is_broker(view):
        return {}
    with suppress(SyncError), context.broker(view) as (stream, feed):
        lanes, now = stream.lags(feed, store.lanes(name)), now_ms()
        told = [{"name": lag.lane, "lag": lag.messages, "lag_ms": age(lag, now)} for lag in lanes]
        return {"stream": {"lanes": told}}
    return {}


def age(lag: Lag, now: int) -> int | None:
    """For how long the first message that waits has been; None where nobody tells."""
    if not lag.messages:
        return 0
    return max(0, now - lag.time_ms) if lag.time_ms else None
