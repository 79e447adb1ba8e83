"""A view of players over a small SQLite table, and what Smartico has of them; the loop polls when the test says so."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from concurrent.futures import Future

from smartico_sync.config.load import load
from smartico_sync.core.events import EID, POSITION, USER
from smartico_sync.core.records import Receipt, Refusal
from smartico_sync.daemon.wiring import protection_of, sources_of
from smartico_sync.errors import DeliveryUnknown
from smartico_sync.observe.status_board import StatusBoard
from smartico_sync.pii.keys import new_key
from smartico_sync.state import recovery
from smartico_sync.state.store import Store
from smartico_sync.tracking.loop import ViewLoop
from smartico_sync.tracking.session import Equipment
from smartico_sync.tracking.status_recorder import StatusRecorder


class Smartico:
    """Takes each event id once, and holds of each player what it took last.

    Its `answers` are given, lost, or the request hangs: what it holds is taken when the API `comes_to` it. Or they are `waited`
    for until `answer` gives them. It refuses (2) `refused` players.
    """

    def __init__(self):
        self.ids, self.levels, self.taken = set(), {}, 0
        self.reachable = set()  # players whose e-mail it has
        self.answers, self.hanging, self.refused = "given", [], set()
        self.waited = []  # requests and their receipts

    def send(self, _view, events, *, priority="live", holds=None, **_requests):
        rows, receipt = events.frame.to_dicts(), Future()
        if self.answers == "waited":
            self.waited.append((rows, receipt))
            return receipt
        if self.answers == "hangs":
            self.hanging.append(rows)
        answer = self.take(rows) if self.answers != "hangs" else None
        if self.answers == "given":
            receipt.set_result(answer)
        else:
            receipt.set_exception(DeliveryUnknown("no answer", hint="wait"))
        return receipt

    def answer(self):
        """Answer all that is waited for, in order."""
        for rows, receipt in self.waited:
            receipt.set_result(self.take(rows))
        self.waited.clear()

    def take(self, rows):
        """Accept what is new; the receipt."""
        duplicates, refusals = 0, []
        for row in rows:
            if row[EID] in self.ids:
                duplicates += 1
                continue
            if row[USER] in self.refused:
                refusals.append(Refusal(row[POSITION], row[EID], 2, "refused"))
                continue
            self.ids.add(row[EID])
            self.taken += 1
            held = self.levels.setdefault(row[USER], {})
            held.update({name: row[name] for name in ("level", "core_account_status") if row.get(name) is not None})
            if row.get("user_email") is not None:
                self.reachable.add(row[USER])
            if row.get("!user_email") is not None:
                self.reachable.discard(row[USER])
        return Receipt(len(rows) - duplicates - len(refusals), duplicates, tuple(refusals), 1, 1)

    def comes_to(self, which=0):
        """One of the requests that hang is taken."""
        if self.hanging:
            self.take(self.hanging.pop(which % len(self.hanging)))

    def busy(self, _view):
        return True

    def problem(self):
        return None


class Players:
    """A view of players, its state, and what Smartico has of them."""

    def __init__(self, home, payload="full"):
        self.home, self.path = home, home / "sync.db"
        self.api, self.copies, self.version = Smartico(), 0, 0
        self.replica = sqlite3.connect(home / "replica.db", isolation_level=None)
        self.replica.execute(
            "CREATE TABLE players (user_ext_id INTEGER PRIMARY KEY, ext_brand_id TEXT DEFAULT 'b', version INTEGER,"
            " core_registration_date TEXT DEFAULT '2026-01-01 00:00:00', core_account_status TEXT, level INTEGER, user_email TEXT)"
        )
        config = home / "views.yaml"
        config.write_text(
            f"version: 1\nsmartico: {{url: 'http://127.0.0.1:9/', token: t}}\nstate: ./sync.db\npii: {{key: {new_key()}}}\n"
            f"sources: {{db: {{url: 'sqlite:///{home}/replica.db'}}}}\nviews:\n  - {{name: players, source: db, relation: players,"
            f" kind: users, cursor: version, event_date: core_registration_date, payload: {payload}}}\n"
        )
        config.chmod(0o600)
        self.configuration = load(config)
        self.source = sources_of(self.configuration)["db"]
        self.begin()

    def begin(self):
        (view,) = self.configuration.views
        self.store = Store.open(self.path)
        self.loop = ViewLoop(
            Equipment(
                self.configuration, view, self.source, self.store, self.api, protection_of(self.configuration),
                StatusRecorder(view, StatusBoard()),
            )
        )  # fmt: skip

    def put(self, player, level, status="ACTIVE", email=None):
        self.version += 1
        self.replica.execute(
            "INSERT INTO players (user_ext_id, version, core_account_status, level, user_email) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT DO UPDATE SET version = excluded.version, core_account_status = excluded.core_account_status,"
            " level = excluded.level, user_email = excluded.user_email",
            (player, self.version, status, level, email),
        )

    def poll(self, answers="given"):
        self.api.answers = answers
        self.loop._resume_at = 0.0
        self.loop.poll(threading.Event(), checks="now")

    def end(self, how="well"):
        """Let go of the state; `badly` as if the process were killed."""
        if how == "well":
            self.loop.close()
        self.store.close(how)

    def copy(self):
        """A copy of the state as it is."""
        self.copies += 1
        target = self.home / f"copy-{self.copies}.db"
        self.store.backup(target, "beside")
        return target

    def restore(self, copy):
        self.end()
        done = recovery.restore(copy, self.path)
        self.begin()
        return done

    def cut(self, copy):
        """A power cut after which the state is as it was when the copy was made."""
        self.end("badly")
        for ending in ("-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        shutil.copy(copy, self.path)
        self.begin()

    def wanted(self):
        rows = self.replica.execute("SELECT user_ext_id, level, core_account_status FROM players")
        return {str(player): {"level": level, "core_account_status": status} for player, level, status in rows}

    def reachable(self):
        """The players who have an e-mail."""
        rows = self.replica.execute("SELECT user_ext_id FROM players WHERE user_email IS NOT NULL")
        return {str(player) for (player,) in rows}

    def history(self):
        """All profiles are sent again, as a backfill of all of them does it."""
        session, sender = self.loop._session, self.loop._sender
        with self.source.reading(session.prepared.relation) as reading:
            rows = reading.page(None, 100)
        batch = sender.prepare(session, rows, 10**12, "all")
        receipt = sender.queue(session, batch, "backfill").result()
        commit = sender.outcome(session, batch, receipt, "again")
        self.store.commit(commit)
        sender.committed(session, batch, commit)

    def close(self):
        self.end()
        self.source.close()
        self.replica.close()
