"""The daemon's views over a casino, with a real state: stepped by hand, killed, restored and renamed."""

from __future__ import annotations

import shutil
from concurrent.futures import Future
from types import SimpleNamespace

from smartico_sync.config.load import load
from smartico_sync.daemon.wiring import protection_of
from smartico_sync.observe.status_board import StatusBoard
from smartico_sync.pii.keys import new_key
from smartico_sync.state import recovery
from smartico_sync.state.store import Store
from smartico_sync.tracking.loop import ViewLoop
from smartico_sync.tracking.session import Equipment
from smartico_sync.tracking.status_recorder import StatusRecorder

PAGE = 4  # rows: a few bets fill several pages
VIEWS = {
    "players": "kind: users, event_date: at, columns: {transaction_id: null}",
    "bets": "kind: custom, event_type: bet, event_date: at, key: transaction_id",
    "notes": "kind: custom, event_type: note, event_date: at, key: []",
}


class SteppedLoop(ViewLoop):
    """A loop that never waits: it says that there is nothing to do now. Nothing of it runs beside the test."""

    def __init__(self, equipment, casino):
        super().__init__(equipment)
        self.casino, self.idle = casino, False
        self._size = SimpleNamespace(row_bytes=0, limit=lambda *_: PAGE, fit=lambda *_: None, shrink=lambda: None)
        self._flight._made = made

    def _wait(self):
        self.idle = True

    def _await_answers(self):
        self.idle = True

    def _begin(self):
        self.casino.sessions.setdefault(self._equipment.view.relation, []).append([])
        return super()._begin()

    def go_on(self):
        """Read, send and commit what can be, until nothing is left to do or something went wrong."""
        self.idle, self._resume_at, tries = False, 0.0, self.standing.tries
        error = None
        while not self.idle and error is None:
            self._attempt(self._advance)
            error = self.standing.error if self.standing.tries != tries else None

    def poll(self):
        self.mailbox.ask_to_poll()
        self.go_on()


def made(work, _where):
    """A page is made at once."""
    future = Future()
    try:
        future.set_result(work())
    except BaseException as error:
        future.set_exception(error)
    return future


class Installation:
    """One configuration, one state, and the loops of a process. `names`: what each view is called now."""

    def __init__(self, home, casino, smartico, lookback_ms):
        self.home, self.casino, self.smartico = home, casino, smartico
        self.state = home / "sync.db"
        self.names = {view: view for view in VIEWS}
        self.lookback, self.key, self.copies = f"{lookback_ms}ms", new_key(), []
        self.begin()

    def configuration(self):
        views = "".join(
            f"  - {{name: {self.names[view]}, identity: {view}, source: db, relation: {view}, cursor: cursor, {more}, "
            f"lookback: {self.lookback}, gaps_wait: {self.lookback}, on_mutated: ignore}}\n"
            for view, more in VIEWS.items()
        )
        path = self.home / "views.yaml"
        path.write_text(
            f"version: 1\nsmartico: {{url: 'http://127.0.0.1:9/', token: t}}\nstate: ./sync.db\npii: {{key: {self.key}}}\n"
            f"sources: {{db: {{url: 'postgresql://reader@db/casino'}}}}\nviews:\n{views}"
        )
        path.chmod(0o600)
        return load(path)

    def begin(self):
        configuration = self.configuration()
        self.store, board = Store.open(self.state), StatusBoard()
        self.loops = {
            view.relation: SteppedLoop(
                Equipment(
                    configuration, view, self.casino, self.store, self.smartico, protection_of(configuration),
                    StatusRecorder(view, board),
                ),
                self.casino,
            )
            for view in configuration.views
        }  # fmt: skip

    def end(self, how, fate):
        """The process ends well, or badly as by a kill; `fate`: of the requests under way."""
        if how == "well":
            for loop in self.loops.values():
                loop.close()
        self.store.close(how)
        self.smartico.end(fate)

    def rename(self, view):
        self.names[view] = f"{view}-{self.casino.steady_ms}"

    def copy(self):
        self.copies.append(self.home / f"copy-{len(self.copies)}.db")
        self.store.backup(self.copies[-1])

    def restore(self, copy):
        """An operator puts a copy in the state's place."""
        recovery.restore(copy, self.state)

    def cut(self, copy):
        """The disk has lost everything since the copy was made."""
        for ending in ("-wal", "-shm"):
            self.state.with_name(self.state.name + ending).unlink(missing_ok=True)
        shutil.copy(copy, self.state)

    def settled(self):
        """Whether nothing waits any more, but for views that only a person can help."""
        waiting = self.store.parked_counts()
        loops = {self.names[view]: loop for view, loop in self.loops.items() if not loop.standing.halted}
        return not loops.keys() & waiting.keys() and all(not len(loop._flight) for loop in loops.values())

    def close(self):
        self.store.close()
