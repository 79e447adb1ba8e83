"""A server of plain sockets: it sends the bytes it is told to, at the moments it is told to."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

ACCEPTED = b'{"err_code": 0}'
PIECE = 65_536


def answer(body: bytes = ACCEPTED, status: str = "200 OK", headers: str = "") -> bytes:
    """An HTTP answer; `headers` are whole lines."""
    head = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode("latin-1") + body


def always(status: str = "200 OK", body: bytes = ACCEPTED):
    """Answer each request alike."""

    def serve(peer):
        while peer.read() is not None:
            peer.write(answer(body, status))

    return serve


class Peer:
    """One connection. `number`: how many came before it."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock, self.number = sock, number
        self.head = b""

    def read(self) -> bytes | None:
        """The body of the next request; None when there is none. `head` is its head."""
        self.head, rest = self.read_head()
        if not self.head:
            return None
        length = next(
            (int(line[15:]) for line in self.head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(rest) < length:
            piece = self.sock.recv(PIECE)
            if not piece:
                return None
            rest += piece
        return rest

    def read_head(self, piece_bytes: int = PIECE) -> tuple[bytes, bytes]:
        """The head of the next request, and what came with it of the body in a piece."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self.sock.recv(piece_bytes)
            if not piece:
                return b"", b""
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        return head, rest

    def write(self, data: bytes) -> None:
        """Send."""
        self.sock.sendall(data)

    def drip(self, data: bytes, every_s: float) -> None:
        """Send byte by byte."""
        for byte in data:
            time.sleep(every_s)
            self.sock.sendall(bytes([byte]))


class PlainServer:
    """Hands each connection to `serve(peer)` in a thread of its own, and closes it afterwards. `tls`: an SSL context."""

    def __init__(self, serve, tls=None, host: str = "127.0.0.1") -> None:
        self.serve, self.tls = serve, tls
        self.connections = 0
        self._open: list[socket.socket] = []
        self._listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port = self._listener.getsockname()[1]
        self.origin = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self.port}"
        self.url = f"{self.origin}/api/external/events/v2"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            # Else the kernel may hold an answer back, and throw it away when the connection is closed before all was read.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(sock)
            number, self.connections = self.connections, self.connections + 1  # before it can have answered anything
            threading.Thread(target=self._talk, args=(sock, number), daemon=True).start()

    def _talk(self, sock: socket.socket, number: int) -> None:
        with suppress(OSError):
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            with sock:
                self.serve(Peer(sock, number))

    def close(self) -> None:
        """Break every connection."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
