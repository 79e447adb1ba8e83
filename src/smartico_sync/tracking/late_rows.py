"""A view's rows that come late: the mechanism, and the watch over ids beside it, as one thing that is committed with a page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.core.late_commit.fence import Fence
from smartico_sync.core.late_commit.gaps import Gaps
from smartico_sync.core.late_commit.id_watch import IdWatch
from smartico_sync.core.late_commit.lookback import Lookback
from smartico_sync.core.late_commit.missing_ids import number
from smartico_sync.core.late_commit.pending_heads import recall
from smartico_sync.core.relation import IDS
from smartico_sync.observe.finding import NEXT

if TYPE_CHECKING:
    from collections.abc import Callable

    from smartico_sync.config.models import View
    from smartico_sync.core.late_commit.choice import Choice
    from smartico_sync.core.late_commit.lookback import Lateness
    from smartico_sync.core.late_commit.mechanism import AskIds, Mark, Mechanism, Page, ReadTime
    from smartico_sync.core.position import Position
    from smartico_sync.core.records import ViewRow
    from smartico_sync.core.relation import Relation
    from smartico_sync.observe.view_status import LateStatus

__all__ = ["LateRows", "seen", "start_late_rows", "start_mechanism", "warning", "whole_numbers"]


WRITER = json.JSONEncoder(separators=(",", ":"))


class LateRows(Struct, frozen=True):
    """`watch`: None where the cursor is no id."""

    mechanism: Mechanism
    watch: IdWatch | None = None

    @property
    def watermark(self) -> Mark | None:
        """The mechanism's: the watch holds nothing up."""
        return self.mechanism.watermark

    def delivered(self, page: Page, ids: pl.Series | None, after: Position | None, watched: AskIds | None) -> LateRows:
        """As it is to be committed with an acknowledged page; `ids`: its cursors, behind `after`."""
        watch = self.watch
        if watch is not None:
            before = None if after is None else number(after.cursor)
            ids = None if ids is not None and not whole_numbers(ids) else ids
            if ids is not None and page.through is None:
                page = replace(page, left=watch.left(ids, before))
            mechanism = self.mechanism.delivered(page)
            slow = (
                mechanism.slow
                if isinstance(mechanism, Gaps)
                else mechanism.below
                if isinstance(mechanism, Fence)
                else 0
            )
            # What a first load passes by is history, and not another range that grows.
            news = None if page.through is not None else ids
            watch = watch.delivered(page.read_time, news, before, page.found, watched, slow)
            return LateRows(mechanism, watch)
        return LateRows(self.mechanism.delivered(page))

    def dump(self, read_time: ReadTime) -> str:
        """What must survive a restart, as JSON text."""
        if self.watch is None:
            return self.mechanism.dump()
        return WRITER.encode({**self.mechanism.memory(), **self.watch.memory(read_time)})


def start_mechanism(
    view: View,
    choice: Choice,
    read_time: ReadTime,
    watermark: Position | None,
    head: Position | None,
    memory: str,
    seq: int,
) -> Mechanism | None:
    """The mechanism that was chosen for a view, from what its state holds; None where nothing protects it."""
    match choice.mechanism:
        case "fence" | "fence + lookback" as name:
            terms = {"settle_ms": view.settle, "pin_cap_ms": view.pin_cap}
            terms["lookback_ms"] = view.lookback if name == "fence + lookback" else 0
            return Fence.start(read_time, watermark, head, memory, seq, pin=view.on_pinned, **terms)
        case "gaps":
            return Gaps.start(read_time, watermark, head, memory, seq, wait_ms=view.gaps_wait)
        case "lookback":
            return Lookback.start(read_time, watermark, head, memory, seq, lookback_ms=view.lookback)
        case None:
            return None


def start_late_rows(
    view: View, choice: Choice, relation: Relation, row: ViewRow, read_time: ReadTime, seq: int
) -> LateRows | None:
    """Both, from what the state holds, whichever mechanism wrote it."""
    mechanism = start_mechanism(view, choice, read_time, row.watermark, row.head, row.late, seq)
    if mechanism is None:
        return None
    if relation.dated or relation.cursor_column.family not in IDS:
        return LateRows(mechanism)
    delay_ms = view.gaps_wait if isinstance(mechanism, Gaps) else view.lookback
    watch = IdWatch.start(read_time, recall(row.late), delay_ms, blocks=choice.ids == "in blocks")
    return LateRows(mechanism, watch)


def whole_numbers(ids: pl.Series) -> bool:
    """Whether decimals are whole."""
    return ids.dtype != pl.String or not ids.str.contains(r"\.0*[1-9]").any()


def seen(late: LateRows | None, read_time: ReadTime, status: LateStatus) -> LateStatus:
    """What is seen of late rows, for people and monitoring; `status`: what the reader itself knows."""
    match late.mechanism if late else None:
        case Fence() as fence:
            return measured(status, fence.lateness, late_rows=status.late_rows, pinned_ms=fence.pinned_ms(read_time))
        case Gaps() as gaps:
            return replace(status, late_rows=gaps.found, missing_ids=gaps.waiting(), given_up_ids=gaps.given_up)
        case Lookback(lateness=late_by):
            return measured(status, late_by, late_rows=max(late_by.count, status.late_rows))
    return status


def measured(status: LateStatus, late: Lateness, *, late_rows: int, pinned_ms: int = 0) -> LateStatus:
    """What is seen, with how late rows came."""
    return replace(
        status, late_rows=late_rows, counts=late.counts, total_ms=late.total_ms, most_ms=late.most_ms,
        advice_ms=late.advice_ms(), pinned_ms=pinned_ms,
    )  # fmt: skip


def warning(late: LateRows | None, read_time: ReadTime, view: View, pinned_by: Callable[[], str]) -> str:
    """What is about to go wrong with late rows; empty when nothing is. `pinned_by` names who keeps the watermark."""
    if late is None:
        return ""
    match late.mechanism:
        case Fence() as fence if fence.pinned_ms(read_time) >= view.pin_cap:
            named = pinned_by() or "pg_stat_activity and pg_prepared_xacts on the primary, the oldest first, name it"
            return f"a writer has kept the watermark for {fence.pinned_ms(read_time) // 1000} s, and memory grows until it ends: {named}"
        case Fence() as fence if fence.broken:
            return (
                f"the watermark was let go {fence.broken} times because a writer stayed open longer than `pin_cap`: rows may be "
                f"missing{NEXT}smartico-sync reconcile --view {view.name}"
            )
        case Lookback() as lookback:
            return lookback.lateness.warning(lookback.lookback_ms)
        case Fence(lookback_ms=lookback) as fence if lookback and fence.below:
            return fence.lateness.warning(lookback) or (
                f"{fence.below} rows came late though their transactions had begun after higher values were there, and lookback "
                "found them: times by a clock that is behind, ids in blocks, or a view that joins or filters"
            )
    return late.watch.warning() if late.watch else ""
