"""Logins by SCRAM-SHA-256, the server's half (RFC 7677), and what users may do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import unicodedata
from dataclasses import dataclass, field

ROUNDS = 4096
READING = (
    "changeStream", "collStats", "dbHash", "dbStats", "find", "killCursors", "listCollections", "listIndexes", "planCacheRead",
)  # fmt: skip
WRITING = ("insert", "update", "remove", "createCollection", "dropCollection", "createIndex", "collMod")


@dataclass(frozen=True)
class User:
    """`role`: owner, reader, finder (of a role of its own), or stranger (may do nothing)."""

    name: str
    password: str
    role: str
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    @property
    def actions(self) -> tuple[str, ...]:
        return {"owner": (*READING, *WRITING), "reader": READING, "finder": ("find",)}.get(self.role, ())

    def salted(self) -> bytes:
        plain = unicodedata.normalize("NFKC", self.password).encode()
        return hashlib.pbkdf2_hmac("sha256", plain, self.salt, ROUNDS)


class Conversation:
    """One login. `step` returns the next payload; it raises PermissionError for a wrong proof or an unknown user."""

    def __init__(self, users: dict[str, User]) -> None:
        self.users = users
        self.user: User | None = None
        self.messages: list[str] = []
        self.finished = False

    def step(self, payload: bytes) -> bytes:
        said = payload.decode()
        if not self.messages:
            return self.first(said)
        if self.finished or not said:
            return b""
        return self.final(said)

    def first(self, said: str) -> bytes:
        bare = said.split(",", 2)[2]
        parts = dict(part.split("=", 1) for part in bare.split(","))
        self.user = self.users.get(parts["n"].replace("=2C", ",").replace("=3D", "="))
        salt = self.user.salt if self.user else secrets.token_bytes(16)
        nonce = parts["r"] + secrets.token_urlsafe(18)
        answer = f"r={nonce},s={base64.b64encode(salt).decode()},i={ROUNDS}"
        self.messages += [bare, answer]
        return answer.encode()

    def final(self, said: str) -> bytes:
        bare, _, proof = said.rpartition(",p=")
        self.messages.append(bare)
        if self.user is None:
            raise PermissionError
        salted, message = self.user.salted(), ",".join(self.messages).encode()
        client = hmac.digest(salted, b"Client Key", "sha256")
        stored = hashlib.sha256(client).digest()
        signature = hmac.digest(stored, message, "sha256")
        if bytes(a ^ b for a, b in zip(client, signature, strict=True)) != base64.b64decode(proof):
            raise PermissionError
        self.finished = True
        server = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        return f"v={base64.b64encode(server).decode()}".encode()
