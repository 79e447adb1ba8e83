"""ClickHouse's own engine (chDB), served over HTTP as a ClickHouse server does.

What the library lacks of a server is here: the HTTP interface (queries in the body or in a form, settings and typed
parameters beside them), TLS with client certificates, users with a profile, and replicas: where a table `default.replicas`
exists, it answers for system.replicas. Settings, `readonly` among them, are judged by the engine. `GET /told` answers
with what the last requests said.
"""

from __future__ import annotations

import base64
import collections
import email
import email.policy
import json
import re
import shutil
import ssl
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import chdb

OWNER = "default"
PASSWORD = "r€ader:p@ss/word?#%"
# Each user's settings, and what SHOW GRANTS tells of others than the owner.
USERS = {
    OWNER: {},
    "reader": {},
    "two": {"readonly": "2"},
    "locked": {"readonly": "1"},
    "cut": {"timeout_overflow_mode": "'break'", "readonly": "1"},
}
GRANTS = [
    "GRANT SHOW TABLES, SELECT(id, dt), dictGet ON crm.* TO reader",
    "GRANT SELECT ON `crm`.deposits TO reader",
    "GRANT polls TO reader",
    "REVOKE INSERT ON crm.* FROM reader",
]
# What the HTTP interface takes for itself.
OWN = {
    "query", "database", "user", "password", "default_format", "wait_end_of_query", "query_id", "session_id", "quota_key",
    "client_protocol_version", "compress", "decompress", "buffer_size", "role", "session_timeout",
}  # fmt: skip
REFUSED = "Code: 516. DB::Exception: {}: Authentication failed: password is incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)"
STATUS = {"516": 403, "60": 404, "81": 404}
told: collections.deque = collections.deque(maxlen=50)
home = tempfile.mkdtemp(prefix="clickhouse-")
root = chdb.connect(f"{home}/data")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_):
        pass

    def do_GET(self):
        url = urlsplit(self.path)
        if url.path == "/ping":
            return self.answer(200, b"Ok.\n")
        if url.path == "/told":
            return self.answer(200, json.dumps(list(told)).encode())
        return self.serve(dict(parse_qsl(url.query, keep_blank_values=True)), b"")

    def do_POST(self):
        given = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.headers.get("Content-Type", "")
        if kind.startswith("multipart/form-data"):
            head = f"Content-Type: {kind}\r\n\r\n".encode()
            form = email.message_from_bytes(head + body, policy=email.policy.HTTP)
            for part in form.iter_parts():
                given[part.get_param("name", header="content-disposition")] = part.get_payload(decode=True).decode()
            body = b""
        self.serve(given, body)

    def serve(self, given, body):
        user = self.user()
        query = "\n".join(filter(None, [given.get("query", ""), body.decode()]))
        told.append(
            {
                "query": query,
                "user": user,
                "given": given,
                "agent": self.headers.get("User-Agent"),
                "port": self.client_address[1],
            }
        )
        if user is None:
            return self.fail(REFUSED.format(self.headers.get("X-ClickHouse-User", "somebody")))
        if user != OWNER and query.startswith("SHOW GRANTS"):
            query = query.replace("SHOW GRANTS", f"SELECT arrayJoin({GRANTS})")
        parameters = {name[6:]: value for name, value in given.items() if name.startswith("param_")}
        settings = {name: value for name, value in given.items() if name not in OWN and not name.startswith("param_")}
        session = chdb.connect(f"{home}/data")
        try:
            for values in (USERS[user], {name: quoted(value) for name, value in settings.items()}):
                if values:
                    session.query("SET " + ", ".join(f"{name} = {value}" for name, value in values.items()))
            if given.get("database"):
                session.query(f"USE `{given['database']}`")
            query = replicated(query)
            return self.answer(
                200, bytes(session.query(query, given.get("default_format", "TabSeparated"), params=parameters).bytes())
            )
        except Exception as error:  # the engine's own
            return self.fail(str(error))
        finally:
            session.close()

    def user(self):
        """Who asks; None for nobody we know."""
        if self.headers.get("X-ClickHouse-SSL-Certificate-Auth") == "on":
            certificate = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
            names = [value for part in (certificate or {}).get("subject", ()) for _, value in part]
            asked = self.headers["X-ClickHouse-User"]
            return asked if asked in names and asked in USERS else None
        scheme, _, secret = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer":
            return "reader" if secret == "t0ken" else None
        name, _, password = base64.b64decode(secret).decode().partition(":") if secret else (OWNER, "", "")
        return name if name in USERS and password == PASSWORD else None

    def fail(self, words):
        code = (re.search(r"Code: (\d+)", words) or [None, "1002"])[1]
        self.answer(
            STATUS.get(code, 500), f"{words} (version 26.9.2.1)\n".encode(), {"X-ClickHouse-Exception-Code": code}
        )

    def answer(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "X-ClickHouse-Summary": "{}", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def quoted(value):
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def replicated(query):
    """What a server with Keeper would tell, where a test has said it."""
    if "system.replicas" not in query:
        return query
    there = root.query("EXISTS TABLE default.replicas", "TabSeparated").bytes().startswith(b"1")
    return query.replace("system.replicas", "default.replicas") if there else query


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_):
        """Clients that go away say nothing worth printing."""


def main(certificate="", key="", authority=""):
    """Serve until the standard input is closed."""
    server = Server(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority)
        context.load_cert_chain(certificate, key)
        context.verify_mode = ssl.CERT_OPTIONAL
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_address[1], "password": PASSWORD}), flush=True)
    sys.stdin.read()
    shutil.rmtree(home, ignore_errors=True)


main(*sys.argv[1:])
