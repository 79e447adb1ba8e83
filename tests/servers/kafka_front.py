"""A broker's front door: TLS, and a login by SASL, before a broker that has neither.

It answers what belongs to the login itself, lets nothing through before it, and puts its own port in the place of the broker's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import struct
from contextlib import suppress

from servers.plain import Peer, PlainServer

API_VERSIONS, HANDSHAKE, AUTHENTICATE = 18, 17, 36
UNSUPPORTED, REFUSED = 35, 58  # errors of the protocol
ROUNDS = 4096
HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}


class KafkaFront(PlainServer):
    """Lets who knows user and password through to a broker on a port of this machine. `login`: none with an empty mechanism."""

    def __init__(self, target: int, *, mechanism: str = "", user: str = "", password: str = "", tls=None) -> None:
        self.target, self.mechanism, self.user, self.password = target, mechanism, user, password
        self.logins: list[str] = []
        super().__init__(self._serve, tls)

    def _serve(self, peer: Peer) -> None:
        broker = socket.create_connection(("127.0.0.1", self.target))
        self._open.append(broker)
        known = "" if self.mechanism else "everybody"
        asked, step = "", None
        while (request := frame(peer.sock)) is not None:
            api, version, number = struct.unpack(">hhi", request[:8])
            if api == API_VERSIONS:
                answer = struct.pack(">h", UNSUPPORTED) if version else None
                body = answer or self._versions(broker, number)
                send(peer.sock, struct.pack(">i", number) + body + (b"\x00\x00\x00\x00" if answer else b""))
            elif api == HANDSHAKE:
                (size,) = struct.unpack(">h", request[8:10])
                at = 10 + size
                (length,) = struct.unpack(">h", request[at : at + 2])
                asked = request[at + 2 : at + 2 + length].decode()
                code = 0 if asked == self.mechanism else 33
                name = self.mechanism.encode()
                send(peer.sock, struct.pack(">ihih", number, code, 1, len(name)) + name)
                step = self._scram() if asked in HASHES else self._plain()
                next(step)
            elif api == AUTHENTICATE and step is not None:
                (size,) = struct.unpack(">h", request[8:10])
                told, fine = step.send(request[8 + 2 + size + 4 :])
                known = known or fine
                error = b"\xff\xff" if told is not None else text("wrong")
                body = struct.pack(">ih", number, 0 if told is not None else REFUSED) + error
                told = told or b""
                send(peer.sock, body + struct.pack(">i", len(told)) + told + struct.pack(">q", 0))
                if fine:
                    self.logins.append(fine)
            elif known:
                send(broker, request)
                answered = frame(broker)
                if answered is None:
                    return
                send(peer.sock, answered.replace(place(self.target), place(self.port)))
            else:
                return

    def _versions(self, broker: socket.socket, number: int) -> bytes:
        """The broker's own requests, and those of a login."""
        send(broker, struct.pack(">hhih", API_VERSIONS, 0, number, -1))
        answered = frame(broker)
        (count,) = struct.unpack(">i", answered[6:10])
        more = struct.pack(">hhhhhh", HANDSHAKE, 0, 1, AUTHENTICATE, 0, 1)
        return answered[4:6] + struct.pack(">i", count + 2) + answered[10:] + more

    def _plain(self):
        said = yield None
        _, user, password = said.split(b"\x00")
        fine = (user.decode(), password.decode()) == (self.user, self.password)
        yield (b"", self.user) if fine else (None, "")

    def _scram(self):
        name = HASHES[self.mechanism]
        first = (yield None).decode()
        bare = first.split(",", 2)[2]
        words = dict(each.split("=", 1) for each in bare.split(","))
        salt = b"salt of the tests"
        nonce = words["r"] + "more"
        server = f"r={nonce},s={base64.b64encode(salt).decode()},i={ROUNDS}"
        final = (yield server.encode(), "").decode()
        without, _, proof = final.rpartition(",p=")
        salted = hashlib.pbkdf2_hmac(name, self.password.encode(), salt, ROUNDS)
        key = hmac.digest(salted, b"Client Key", name)
        about = f"{bare},{server},{without}".encode()
        signature = hmac.digest(hashlib.new(name, key).digest(), about, name)
        expected = bytes(one ^ other for one, other in zip(key, signature, strict=True))
        if words["n"] != self.user or base64.b64decode(proof) != expected:
            yield None, ""
            return
        told = hmac.digest(hmac.digest(salted, b"Server Key", name), about, name)
        yield f"v={base64.b64encode(told).decode()}".encode(), self.user


def text(word: str) -> bytes:
    return struct.pack(">h", len(word)) + word.encode()


def place(port: int) -> bytes:
    """How an answer names a broker of this machine."""
    return b"127.0.0.1" + struct.pack(">i", port)


def send(sock: socket.socket, body: bytes) -> None:
    sock.sendall(struct.pack(">i", len(body)) + body)


def frame(sock: socket.socket) -> bytes | None:
    """The next request or answer; None where there is none."""
    with suppress(OSError):
        head = read(sock, 4)
        if head:
            return read(sock, struct.unpack(">i", head)[0])
    return None


def read(sock: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            return None
        data += piece
    return data
