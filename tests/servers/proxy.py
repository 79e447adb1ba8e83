"""A network that misbehaves on demand, between a client and a server on this machine."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress

CHUNK = 16_384
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, zero seconds: close() sends RST


class Proxy:
    """Forwards TCP from `port` to `target`. `behaviour` may change at any time:

    "pass": forward, each chunk after `latency_s` · "black hole": take everything, answer nothing · "refuse": new
    connections are refused and old ones closed · `cut_after` (bytes of answers): then reset the connection, once ·
    `hole_after` (bytes of answers): swallow what follows.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.latency_s = 0.0
        self.cut_after: int | None = None
        self.hole_after: int | None = None
        self._hole = threading.Event()
        self._links: list[socket.socket] = []
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def black_hole(self) -> None:
        self._hole.set()

    def refuse(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()

    def mend(self) -> None:
        self._hole.clear()
        self.latency_s, self.cut_after, self.hole_after = 0.0, None, None
        if self._listener.fileno() < 0:
            self._listener = self._listen(self.port)

    def drop(self) -> None:
        """Reset every connection."""
        links, self._links = self._links, []
        for link in links:
            with suppress(OSError):
                link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                link.shutdown(socket.SHUT_RDWR)
            link.close()

    close = refuse

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            self._links += [client, server]
            threading.Thread(target=self._pump, args=(client, server, "question"), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, "answer"), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if self._hole.is_set():
                    continue
                if self.latency_s:
                    time.sleep(self.latency_s)
                if way == "answer" and self.cut_after is not None:
                    self.cut_after -= len(data)
                    if self.cut_after <= 0:
                        self.cut_after = None
                        self.drop()
                        return
                if way == "answer" and self.hole_after is not None:
                    self.hole_after -= len(data)
                    if self.hole_after <= 0:
                        continue
                sink.sendall(data)
        if not self._hole.is_set():
            with suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)
