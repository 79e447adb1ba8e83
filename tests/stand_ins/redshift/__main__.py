"""The gate in front of a PostgreSQL that makes Redshift's driver feel at home: it takes out of the greeting what PostgreSQL
does not know, and says Redshift's version.

Arguments: PostgreSQL's port, and for TLS a certificate and its key.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
import sys
import threading
from contextlib import suppress

# What PostgreSQL does not know; the driver says it to every server.
SAID = (
    b"client_protocol_version",
    b"driver_version",
    b"os_version",
    b"driver_discovery_version",
    b"plugin_name",
    b"idp_type",
)
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
READY, STATUS = b"Z", b"S"
PRETENDED = b"8.0.2"


def rewritten(message: bytes) -> bytes:
    """A start-up message without what PostgreSQL does not know."""
    words = message[8:].rstrip(b"\0").split(b"\0")
    pairs = [(name, value) for name, value in zip(words[::2], words[1::2], strict=True) if name not in SAID]
    body = struct.pack("!i", 196608) + b"".join(name + b"\0" + value + b"\0" for name, value in pairs) + b"\0"
    return struct.pack("!i", len(body) + 4) + body


def exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = source.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def greet(client: socket.socket, server: socket.socket) -> None:
    """From the start-up message to the first ReadyForQuery, with the version that the driver expects."""
    size = exactly(client, 4)
    server.sendall(rewritten(size + exactly(client, struct.unpack("!i", size)[0] - 4)))
    threading.Thread(target=pump, args=(client, server), daemon=True).start()
    while True:
        head = exactly(server, 5)
        body = exactly(server, struct.unpack("!i", head[1:])[0] - 4)
        if head[:1] == STATUS and body.startswith(b"server_version\0"):
            body = b"server_version\0" + PRETENDED + b"\0"
        client.sendall(head[:1] + struct.pack("!i", len(body) + 4) + body)
        if head[:1] == READY:
            return


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(262_144):
            sink.sendall(data)
    for each in (source, sink):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def serve(client: socket.socket, target: int, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError, EOFError):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if client.recv(8, socket.MSG_PEEK) == SSL_REQUEST:
            client.recv(8)
            client.sendall(b"S" if tls else b"N")
            if tls:
                client = tls.wrap_socket(client, server_side=True)
        server = socket.create_connection(("127.0.0.1", target))
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        greet(client, server)
        pump(server, client)
    client.close()


def main(target: str, certificate: str = "", key: str = "") -> None:
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"port": listener.getsockname()[1]}), flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, int(target), tls), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
