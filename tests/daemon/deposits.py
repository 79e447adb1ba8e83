"""A view of deposits, polled by hand."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager

from smartico_sync.config.load import load
from smartico_sync.daemon.wiring import assemble
from waiting import until

DEPOSITS = (
    """CREATE TABLE deposits (transaction_id bigint PRIMARY KEY, ext_brand_id text DEFAULT 'b', user_ext_id bigint DEFAULT 1,
        dt_finalized timestamptz, transaction_date timestamptz DEFAULT '2026-01-01', deposit_amount numeric DEFAULT 1)""",
    "CREATE INDEX ON deposits (dt_finalized, transaction_id)",
)
VIEW = "{name: deposits, source: db, relation: deposits, kind: deposits, cursor: dt_finalized, every: 50ms%s}"
BY_ID = "{name: deposits, source: db, relation: by_id, kind: deposits, cursor: id, every: 50ms%s}"
HASTE = ", settle: 50ms"  # so that a test need not wait for two seconds
SLOT_S = 0.02


class TrackedView:
    """The daemon's parts over one view, polled by hand."""

    def __init__(self, operator, stack):
        self.operator, self.stack = operator, stack
        self.parts = assemble(load(operator.config), operator.home, stack)
        (self.loop,) = self.parts.loops

    @classmethod
    @contextmanager
    def opened(cls, operator):
        """Over what the operator has configured."""
        with ExitStack() as stack:
            yield cls(operator, stack)

    def poll(self):
        self.loop.poll(threading.Event(), checks="now")
        return self.status

    @property
    def status(self):
        (status,) = self.parts.board.views()
        return status

    def sent(self):
        return [event["payload"]["acc_last_transaction_id"] for event in self.operator.accepted()]


def insert(database, *ids, at="now()"):
    values = ", ".join(f"({number}, {at})" for number in ids)
    database.execute(f"INSERT INTO deposits (transaction_id, dt_finalized) VALUES {values}")


def polled(day, seconds):
    """Poll for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        day.poll()
        time.sleep(SLOT_S)
    return day.status


def polled_until(day, happened):
    """Poll until it is so; what is true of the view's status then."""
    until(lambda: happened(day.poll()), SLOT_S)
    return day.status


def delivered(day, count):
    """Poll until so many deposits have arrived; those that have, as numbers."""
    until(lambda: day.poll() and len(day.sent()) >= count, SLOT_S)
    return sorted(int(number) for number in day.sent())
