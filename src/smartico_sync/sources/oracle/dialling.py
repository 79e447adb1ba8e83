"""Connections that are there in time, or not at all.

The driver limits how long TCP may take, and how long a call of a session may; between the two, while listener and server
greet it, it would wait for ever.
"""

from __future__ import annotations

from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread

import oracledb

__all__ = ["Dialler"]

STUCK = 4  # attempts that hang are left behind, but no more of them than this at once


class Dialler:
    """Opens connections, each in a thread that may be left behind."""

    def __init__(self) -> None:
        self._stuck: list[Thread] = []

    def connect(self, address: oracledb.ConnectParams, patience_s: float) -> oracledb.Connection:
        """A session at that address; raises what the driver raises, OSError, or TimeoutError after `patience_s`."""
        self._stuck = [thread for thread in self._stuck if thread.is_alive()]
        if len(self._stuck) >= STUCK:
            raise TimeoutError
        answer: SimpleQueue[oracledb.Connection | BaseException] = SimpleQueue()
        late = Event()
        thread = Thread(target=_attempt, args=(address, answer, late), daemon=True, name="oracle-connect")
        thread.start()
        try:
            found = answer.get(timeout=patience_s)
        except Empty:
            late.set()
            try:
                found = answer.get_nowait()
            except Empty:
                self._stuck.append(thread)
                raise TimeoutError from None
        if isinstance(found, BaseException):
            raise found
        return found


def _attempt(
    address: oracledb.ConnectParams, answer: SimpleQueue[oracledb.Connection | BaseException], late: Event
) -> None:
    try:
        connection = oracledb.connect(params=address)
    except BaseException as error:  # noqa: BLE001  - raised again where somebody waits for it
        answer.put(error)
        return
    if late.is_set():
        with suppress(oracledb.Error, OSError):
            connection.close()
        return
    answer.put(connection)
