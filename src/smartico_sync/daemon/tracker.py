"""One view, tracked: read → map → diff → protect → deliver → commit."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl
import structlog

from smartico_sync.core.late import AskIds, KeyScan, Mark, Moment, Page
from smartico_sync.core.position import Position
from smartico_sync.core.window import Known
from smartico_sync.daemon import stragglers
from smartico_sync.daemon.setup import Setup, prepare
from smartico_sync.daemon.work import Work, commit_of, work_of
from smartico_sync.errors import (
    DeliveryError,
    DeliveryStopped,
    SourceCancelled,
    StateError,
    SyncError,
    ViewHalted,
)

if TYPE_CHECKING:
    import threading
    from concurrent.futures import Future

    from smartico_sync.config.models import View
    from smartico_sync.core.late import Mechanism, Pace
    from smartico_sync.daemon.protection import Protection
    from smartico_sync.daemon.vitals import Board
    from smartico_sync.delivery.protocol import Delivery, Receipt
    from smartico_sync.sources.protocol import Reading, Source
    from smartico_sync.state.store import Store

__all__ = ["Tracker"]

PAGES_IN_FLIGHT = 3  # reading, working and sending overlap; more only costs memory
SMALLEST_PAGE = 100  # rows: what is left of a page after cancelled reads
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)  # after trouble; a database that is down is not hammered

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Read:
    """What one reading brought: `page` in order, then the stragglers that a rescan found."""

    moment: Moment
    page: pl.DataFrame
    late: pl.DataFrame
    scan: KeyScan | AskIds | None
    cost_ms: int
    through: str | None
