"""Accepts the real driver's connections and hands what they say to a desk."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

from stand_ins.oracle.tns import PASSWORD, Conversation, Desk

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from stand_ins.oracle.values import Answer, Asked


class Listener:
    """Accepts connections; each one gets a desk of its own."""

    def __init__(self, open_desk: Callable[[], Desk], *, tls: ssl.SSLContext | None = None, refuse: int = 0):
        self.refuse = refuse
        self.told: list[str] = []
        self._open_desk = open_desk
        self._tls = tls
        self._open: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, service: str = "casino", *, port: int | None = None, password: str = PASSWORD) -> str:
        return f"oracle://reader:{quote(password, safe='')}@127.0.0.1:{port or self.port}/{service}"

    def drop(self) -> None:
        """End every connection, as a restart would."""
        taken, self._open = self._open, []
        for each in taken:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.drop()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = client
        with suppress(OSError, EOFError):
            if self._tls:
                wire = self._tls.wrap_socket(client, server_side=True)
            self._open.append(wire)
            talk = Conversation(self._open_desk(), wire, refuse=self.refuse)
            try:
                talk.run()
            finally:
                self.told.append(talk.told)
        wire.close()


class Told:
    """A desk that answers what a test says, and remembers what it was asked; one for all connections."""

    def __init__(self, answer: Callable[[Asked], Answer | None] = lambda asked: None):
        self.says = answer
        self.asked: list[Asked] = []
        self.ended = 0
        self.names: dict[str, str] = {}

    def answer(self, asked: Asked) -> Answer | None:
        self.asked.append(asked)
        return self.says(asked)

    def end(self) -> None:
        self.ended += 1

    def named(self, told: dict[str, str]) -> None:
        self.names |= told
