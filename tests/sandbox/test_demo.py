"""The demo at its end: what the casino changed has arrived before the daemon is told to end."""

from __future__ import annotations

import threading

from smartico_sync.cli import demo


class Parts:
    """A casino, a sandbox that takes its time, and a scheduler, of which only the order of what they are told counts."""

    def __init__(self, told):
        self.told, self.left = told, 3

    def start(self):
        self.told.append("open")

    def stop(self):
        self.told.append(f"closed with {self.left} on their way")

    def stats(self):
        self.left = max(0, self.left - 1)
        return {"by_event_type": {"bet": 3 - self.left}}


def test_ctrl_c_lets_the_last_rows_arrive(monkeypatch, tmp_path):
    """The casino closes first, then the daemon ends; before the first load is in, the casino never opens."""
    monkeypatch.setattr(demo, "expected", lambda _: {"bet": 3})
    monkeypatch.setattr(demo, "GLANCE_S", 0.01)
    for began in (True, False):
        told, asked = [], threading.Event()
        casino, sandbox, scheduler = Parts(told), Parts(told), Parts(told)
        casino.start = lambda told=told, asked=asked: (told.append("open"), asked.set())
        scheduler.stop = lambda told=told, sandbox=sandbox: told.append(f"ended with {sandbox.left} on their way")
        if not began:
            asked.set()
        demo.direct(casino, sandbox, scheduler, tmp_path, asked, None)
        assert told[-1] == "ended with 0 on their way"
        assert ("open" in told) == began
