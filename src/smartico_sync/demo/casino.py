"""A live casino on the demo's replica: it never stands still, and what it changed can be counted."""

from __future__ import annotations

import threading
import time
from collections import deque
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Self

from smartico_sync.demo.replica import connect, deposit, expected, register, stamp, wager, withdraw

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

__all__ = ["LiveCasino"]

ROWS_PER_SECOND = 100.0
TICK_S = 0.1  # one transaction a tick
TICK = timedelta(microseconds=1)  # two changes never share a moment

STATUSES = ("ACTIVE", "ACTIVE", "SUSPENDED", "SELF_EXCLUDED")
LEVELS = ("bronze", "silver", "gold", "platinum")
# How often each thing happens, out of the sum.
ACTIONS = {"play": 70, "touch": 12, "deposit": 8, "change": 5, "consent": 2, "withdraw": 2, "register": 1}


class LiveCasino:
    """Changes a replica like a live casino: logins that touch a profile without changing it, changes, deposits, bets, wins.

    Start it once the first load has been acknowledged; then every change is one event. Two changes of one profile would
    become one event when a poll sees only the second, so profiles change in turn: a player's turn comes again when
    everybody else has had theirs, minutes later. `seed` makes the sequence repeatable.
    """

    def __init__(self, path: Path | str, *, seed: int = 0, rows_per_second: float = ROWS_PER_SECOND) -> None:
        self.path = path
        self.rows_per_second = rows_per_second
        self.random = Random(seed)  # noqa: S311 - a demo's data
        self.db: sqlite3.Connection = connect(path)
        self.players: list[tuple[int, str]] = list(self.db.execute("SELECT id, brand FROM players ORDER BY id"))
        turns = [player for player, _ in self.players]
        self.random.shuffle(turns)
        self.turns = deque(turns)
        self.consent_turns = deque(reversed(turns))
        self.last = datetime.min.replace(tzinfo=UTC)
        self.stopping = threading.Event()
        self.thread: threading.Thread | None = None
        self.failure: BaseException | None = None

    def step(self, now: datetime, rows: int) -> int:
        """Let at least `rows` rows change in one transaction at `now` (aware); returns how many did, touches included."""
        names, weights = list(ACTIONS), list(ACTIONS.values())
        done = 0
        # The clock is read before the lock is held, so the last moment decides: order of commits is order of moments.
        moment = max(now, self.last)
        self.db.execute("BEGIN IMMEDIATE")
        try:
            while done < rows:
                moment += TICK
                done += self.act(self.random.choices(names, weights)[0], moment)
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")
        self.last = moment
        return done

    def act(self, action: str, moment: datetime) -> int:
        """Do one thing; returns how many rows it inserted or updated."""
        player, brand = self.random.choice(self.players)
        match action:
            case "play":
                return wager(self.db, self.random, moment, brand, player)
            case "deposit":
                deposit(self.db, self.random, moment, brand, player)
            case "withdraw":
                withdraw(self.db, self.random, moment, brand, player)
            case "touch":
                self.db.execute("UPDATE players SET updated = ? WHERE id = ?", [stamp(moment), player])
            case "change":
                self.change(moment)
            case "consent":
                player = turn(self.consent_turns)
                self.db.execute(
                    "UPDATE consents SET push = NOT push, updated = ? WHERE player = ?", [stamp(moment), player]
                )
            case _:
                number = register(self.db, self.random, moment)
                brand = self.db.execute("SELECT brand FROM players WHERE id = ?", [number]).fetchone()[0]
                self.players.append((number, brand))
                self.turns.append(number)
                self.consent_turns.append(number)
                return 2
        return 1

    def change(self, moment: datetime) -> None:
        """Change one property of the player whose turn it is, to another value than it had."""
        player = turn(self.turns)
        level, status = self.db.execute("SELECT loyalty_level, status FROM players WHERE id = ?", [player]).fetchone()
        if self.random.random() < 0.8:
            level = self.random.choice([other for other in LEVELS if other != level])
        else:
            status = self.random.choice([other for other in STATUSES if other != status])
        self.db.execute(
            "UPDATE players SET loyalty_level = ?, status = ?, updated = ? WHERE id = ?",
            [level, status, stamp(moment), player],
        )

    def expected(self) -> dict[str, int]:
        """How many events of each type the replica's rows must cause, those from before the casino opened included."""
        return expected(self.path)

    def start(self) -> Self:
        """Open: changes go on in a thread until `stop`."""
        if self.thread is None:
            self.thread = threading.Thread(target=self.live, name="casino", daemon=True)
            self.thread.start()
        return self

    def live(self) -> None:
        """Change `rows_per_second` rows, on average, until told to stop."""
        begun, done = time.monotonic(), 0
        try:
            while not self.stopping.wait(TICK_S):
                due = int((time.monotonic() - begun) * self.rows_per_second) - done
                if due > 0:
                    done += self.step(datetime.now(UTC), due)
        except BaseException as error:  # noqa: BLE001 - told to whoever stops the casino
            self.failure = error

    def stop(self) -> None:
        """Close; what was changed is committed. Raises what ended the thread, if anything did. Idempotent."""
        self.stopping.set()
        if self.thread is not None:
            self.thread.join()
            self.thread = None
        self.db.close()
        if self.failure is not None:
            raise self.failure

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def turn(turns: deque[int]) -> int:
    """Whose turn it is; the next one comes when everybody else has had theirs."""
    turns.rotate(-1)
    return turns[-1]
