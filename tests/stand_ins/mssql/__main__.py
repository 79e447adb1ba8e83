"""A server that speaks SQL Server's protocol (TDS 7.4 and 8) and has DuckDB do the work.

The drivers, the wire, logins, rights, TLS, transactions, cancelling and the catalogue are as a client sees them; the
optimizer, locks and collations are not here. Arguments: a certificate and its key, for TLS. Owners log in as `sa`.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import ssl
import sys
import threading
from contextlib import suppress

from stand_ins.mssql import wire
from stand_ins.mssql.desk import DATABASES, LINES, PASSWORDS, Database, Desk
from stand_ins.mssql.tsql import Wrong
from stand_ins.mssql.wire import LONE, Call, Stream

LONGEST_RPC = 2100


class Session:
    """One client."""

    desk: Desk

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.prepared: dict[int, tuple[str, str]] = {}
        self.number = stream.wire.fileno() + 50

    def serve(self) -> None:
        self.stream.begin()
        kind, _ = self.stream.message()
        assert kind == wire.PRELOGIN
        secure = self.stream.context is not None and self.stream.tls is None
        self.stream.answer(wire.prelogin(wire.ENCRYPTION_REQUIRED if secure else wire.NO_ENCRYPTION))
        if secure:
            self.stream.encrypt()
        kind, data = self.stream.message()
        if not self.log_in(wire.login(data)):
            return
        while True:
            kind, data = self.stream.message()
            if kind == wire.ATTENTION:
                self.stream.answer(wire.done(wire.CANCELLED))
            else:
                self.work(kind, data)

    def log_in(self, known: wire.Login) -> bool:
        database = DATABASES.get(known.database or "master")
        if PASSWORDS.get(known.user) != known.password:
            refused = wire.failed(18456, f"Login failed for user '{known.user}'.", 14)
        elif database is None:
            refused = wire.failed(
                4060, f'Cannot open database "{known.database}" requested by the login. The login failed.', 11
            )
        else:
            self.desk = Desk(known.user, database)
            LINES[self.number] = lambda: self.stream.wire.shutdown(socket.SHUT_RDWR)
            row = [self.number, known.user, known.application, known.intent, self.stream.tls is not None]
            self.desk.note("INSERT INTO sys.dm_exec_sessions VALUES (?, ?, ?, ?, ?)", row)
            self.stream.answer(wire.logged_in(database.name) + wire.done())
            return True
        self.stream.answer(refused + wire.done(wire.ERROR))
        return False

    def work(self, kind: int, data: bytes) -> None:
        """Answer one request; a client that loses patience meanwhile sends an attention."""
        self.desk.cancelled.clear()
        answers: list[bytes] = []
        here, there = socket.socketpair()

        def answer() -> None:
            answers.append(self.answered(kind, data))
            there.close()

        worker = threading.Thread(target=answer, daemon=True)
        worker.start()
        with here:
            ready = select.select([self.stream.wire, here], [], [])[0]
        if here not in ready:
            try:
                asked, _ = self.stream.message()
                assert asked == wire.ATTENTION
            finally:  # nobody waits for the answer any more
                self.desk.cancelled.set()
                while worker.is_alive():
                    self.desk.connection.interrupt()
                    worker.join(0.01)
            answers = [wire.done(wire.CANCELLED)]
        worker.join()
        self.stream.answer(answers[0])

    def answered(self, kind: int, data: bytes) -> bytes:
        try:
            return self.desk.batch(wire.batch(data), {}) if kind == wire.BATCH else self.call(wire.call(data))
        except Wrong as wrong:
            return wire.failed(wrong.number, wrong.message) + wire.done(wire.ERROR)
        except Exception as broken:  # a bug here must not look like a lost connection
            return wire.failed(50000, f"stand_in: {type(broken).__name__}: {broken}") + wire.done(wire.ERROR)

    def call(self, call: Call) -> bytes:
        name = call.name.lower().removeprefix("sys.")
        values = call.values
        if len(values) > LONGEST_RPC:
            raise Wrong(
                8003, "The incoming request has too many parameters. The server supports a maximum of 2100 parameters."
            )
        if name.startswith("sp_datatype_info"):
            return self.desk.information(int(values[0] or 0) if values else 0)
        if name == "sp_describe_undeclared_parameters":
            raise Wrong(11501, "The stand-in does not guess types.")
        if name.startswith("sp_prepexec") and values[0] is not None:
            self.prepared.pop(int(values[0]), None)
        handle = next(number for number in range(1, 10**6) if number not in self.prepared)
        end = wire.finished() + wire.done(token=0xFE)
        if name == "sp_executesql":
            if "RECORDING" in self.desk.database.rights:
                self.desk.note("INSERT INTO stand_in.calls VALUES (?, ?, ?)", [*map(str, values[:2]), repr(values[2:])])
            declared = str(values[1] or "") if len(values) > 1 else ""
            return self.run(str(values[0]), declared, call.parameters[2:]) + end
        if name == "sp_prepexecrpc":  # a procedure called with `{CALL …}`
            self.prepared[handle] = (str(values[1]), "")
            called_again = Call(str(values[1]), call.parameters[2:])
            return self.call(called_again).removesuffix(end) + wire.returned("handle", handle) + end
        if name in ("sp_prepexec", "sp_prepare"):
            self.prepared[handle] = (str(values[2]), str(values[1] or ""))
            body = b"" if name == "sp_prepare" else self.run(*self.prepared[handle], call.parameters[3:])
            return body + wire.returned("handle", handle) + end
        if name == "sp_execute":
            text, declared = self.prepared[int(values[0])]
            if " " not in text:
                return self.call(Call(text, call.parameters[1:]))
            return self.run(text, declared, call.parameters[1:]) + end
        if name == "sp_unprepare":
            self.prepared.pop(int(values[0]), None)
            return end
        raise Wrong(2812, f"Could not find stored procedure '{call.name}'.")

    def run(self, text: str, declared: str, given: list[tuple[str, object]]) -> bytes:
        names = re.findall(r"@\w+", declared)
        values = {(name or names[number]).lstrip("@"): value for number, (name, value) in enumerate(given)}
        ours = {name: LONE.join(re.split("[\ud800-\udfff]", value)) if isinstance(value, str) else value
                for name, value in values.items()}  # fmt: skip
        return self.desk.batch(text, ours, token=0xFF)

    def close(self) -> None:
        if LINES.pop(self.number, None) is not None:
            self.desk.note("DELETE FROM sys.dm_exec_sessions WHERE session_id = ?", [self.number])
            self.desk.close()


def attend(accepted: socket.socket, context: ssl.SSLContext | None) -> None:
    session = Session(Stream(accepted, context))
    with suppress(ConnectionError, OSError, ssl.SSLError):
        session.serve()
    session.close()
    accepted.close()


def main() -> None:
    context = None
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*sys.argv[1:3])
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # as inside TDS 7
        context.set_alpn_protocols(["tds/8.0"])
    DATABASES["master"] = Database("master")
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    print(json.dumps({"port": listener.getsockname()[1], "owner": PASSWORDS["sa"]}), flush=True)
    while True:
        accepted, _ = listener.accept()
        threading.Thread(target=attend, args=(accepted, context), daemon=True).start()


if __name__ == "__main__":
    main()
