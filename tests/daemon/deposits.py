"""A view of deposits, polled by hand."""

from __future__ import annotations

import threading

from smartico_sync.config.load import load
from smartico_sync.daemon.wiring import assemble

DEPOSITS = (
    """CREATE TABLE deposits (transaction_id bigint PRIMARY KEY, ext_brand_id text DEFAULT 'b', user_ext_id bigint DEFAULT 1,
        dt_finalized timestamptz, transaction_date timestamptz DEFAULT '2026-01-01', deposit_amount numeric DEFAULT 1)""",
    "CREATE INDEX ON deposits (dt_finalized, transaction_id)",
)
VIEW = "{name: deposits, source: db, relation: deposits, kind: deposits, cursor: dt_finalized, every: 50ms%s}"


class TrackedView:
    """The daemon's parts over one view, polled by hand."""

    def __init__(self, operator, stack):
        self.operator, self.stack = operator, stack
        self.parts = assemble(load(operator.config), operator.home, stack)
        (self.loop,) = self.parts.loops

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
