"""A proxy: CONNECT and forwarding over HTTP, or SOCKS 5; it remembers what it was asked for."""

from __future__ import annotations

import base64
import socket
import struct
import threading
from contextlib import suppress

from servers.plain import Peer, PlainServer

PIECE = 65_536


class Gateway(PlainServer):
    """Lets everybody through to `target` (a port of this machine), whatever host they ask for; `login` is user:password.

    `refusal`: an answer instead, as bytes.
    """

    def __init__(self, target: int, *, login: str = "", refusal: bytes = b"", tls=None) -> None:
        self.target, self.login, self.refusal = target, login, refusal
        self.asked: list[str] = []
        super().__init__(self._serve, tls=tls)

    def _serve(self, peer: Peer) -> None:
        start = peer.sock.recv(1, socket.MSG_PEEK) if self.tls is None else b"C"
        if start == b"\x05":
            self._socks(peer)
            return
        head, rest = peer.read_head()
        if not head:
            return
        line, *headers = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ")
        self.asked.append(f"{method} {target}")
        wanted = f"proxy-authorization: Basic {base64.b64encode(self.login.encode()).decode()}".lower()
        if self.refusal:
            peer.write(self.refusal)
        elif self.login and wanted not in [header.lower() for header in headers]:
            peer.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
            )
        elif method == "CONNECT":
            peer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._join(peer.sock, rest)
        else:
            path = "/" + target.split("/", 3)[3]
            self._join(peer.sock, "\r\n".join([f"{method} {path} HTTP/1.1", *headers, "", ""]).encode("latin-1") + rest)

    def _socks(self, peer: Peer) -> None:
        count = peer.sock.recv(2)[1]
        peer.sock.recv(count)
        if self.login:
            peer.write(b"\x05\x02")
            user = peer.sock.recv(peer.sock.recv(2)[1]).decode()
            password = peer.sock.recv(peer.sock.recv(1)[0]).decode()
            fine = f"{user}:{password}" == self.login
            peer.write(b"\x01\x00" if fine else b"\x01\x01")
            if not fine:
                return
        else:
            peer.write(b"\x05\x00")
        kind = peer.sock.recv(4)[3]
        host = socket.inet_ntoa(peer.sock.recv(4)) if kind == 1 else peer.sock.recv(peer.sock.recv(1)[0]).decode()
        (port,) = struct.unpack(">H", peer.sock.recv(2))
        self.asked.append(f"SOCKS {host}:{port}")
        peer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        self._join(peer.sock, b"")

    def _join(self, client: socket.socket, first: bytes) -> None:
        server = socket.create_connection(("127.0.0.1", self.target))
        self._open.append(server)
        server.sendall(first)
        threading.Thread(target=pump, args=(server, client), daemon=True).start()
        pump(client, server)


def pump(source: socket.socket, sink: socket.socket) -> None:
    """Hand on what comes until it ends."""
    with suppress(OSError):
        while data := source.recv(PIECE):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
