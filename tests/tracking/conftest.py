"""A view's loop over a small SQLite table, with a delivery whose answers the test gives."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import Future

import pytest

from smartico_sync.config.load import load
from smartico_sync.core.events import KEY
from smartico_sync.core.records import Receipt
from smartico_sync.daemon.wiring import protection_of, sources_of
from smartico_sync.observe.status_board import StatusBoard
from smartico_sync.pii.keys import new_key
from smartico_sync.state.store import Store
from smartico_sync.tracking.loop import ViewLoop
from smartico_sync.tracking.session import Equipment
from smartico_sync.tracking.status_recorder import StatusRecorder


class SlowDelivery:
    """Holds the receipts of chosen keys until the test lets them go; acknowledges all others at once."""

    def __init__(self):
        self.held: set[str] = set()
        self.waiting: list[tuple[Future[Receipt], int]] = []
        self.sent: list[str] = []
        self.requests: list[str] = []

    def send(self, _view, events, *, priority="live", holds=None, requests="spread"):
        keys = events.frame.get_column(KEY).to_list()
        self.requests.append(requests)
        self.sent += keys
        receipt: Future[Receipt] = Future()
        if self.held & set(keys):
            self.waiting.append((receipt, len(keys)))
        else:
            receipt.set_result(Receipt(len(keys), 0, (), 1, 1))
        return receipt

    def busy(self, _view):
        return True

    def problem(self):
        return None

    def let_go(self):
        self.held.clear()
        for receipt, count in self.waiting:
            if not receipt.done():
                receipt.set_result(Receipt(count, 0, (), 1, 1))


class Tracked:
    """One view of deposits and its loop, at work in a thread."""

    def __init__(self, home, more=""):
        self.replica = sqlite3.connect(home / "replica.db", isolation_level=None)
        self.replica.execute(
            "CREATE TABLE IF NOT EXISTS deposits (transaction_id INTEGER PRIMARY KEY, ext_brand_id TEXT DEFAULT 'b',"
            " user_ext_id INTEGER DEFAULT 1, transaction_date TEXT DEFAULT '2026-01-01 00:00:00', deposit_amount NUMERIC DEFAULT 1)"
        )
        config = home / "views.yaml"
        config.write_text(
            f"version: 1\nsmartico: {{url: 'http://127.0.0.1:9/', token: t}}\nstate: ./sync.db\npii: {{key: {new_key()}}}\n"
            f"sources: {{db: {{url: 'sqlite:///{home}/replica.db'}}}}\n"
            f"views:\n  - {{name: deposits, source: db, relation: deposits, kind: deposits, cursor: transaction_id{more}}}\n"
        )
        config.chmod(0o600)
        self.open(home)

    def open(self, home):
        """Take up what is configured, under the state that is there."""
        configuration = load(home / "views.yaml")
        (view,) = configuration.views
        self.delivery, self.store, self.board = SlowDelivery(), Store.open(home / "sync.db"), StatusBoard()
        self.source = sources_of(configuration)["db"]
        self.loop = ViewLoop(
            Equipment(
                configuration, view, self.source, self.store, self.delivery, protection_of(configuration),
                StatusRecorder(view, self.board),
            )
        )  # fmt: skip
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.loop.run, args=(self.stopping,))

    def insert(self, *numbers):
        self.replica.executemany("INSERT INTO deposits (transaction_id) VALUES (?)", [(number,) for number in numbers])

    def head(self):
        row = self.store.view("deposits")
        return None if row is None or row.head is None else int(row.head.cursor)

    def close(self):
        self.stopping.set()
        self.loop.mailbox.wake()
        if self.thread.is_alive():
            self.thread.join()
        self.source.close()
        self.store.close()
        self.replica.close()


@pytest.fixture
def tracked(tmp_path):
    """A view at work; it polls when the test asks it to."""
    made = Tracked(tmp_path)
    made.thread.start()
    yield made
    made.close()
