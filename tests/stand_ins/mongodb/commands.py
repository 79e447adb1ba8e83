"""The commands that a driver, an owner and the tests send."""

from __future__ import annotations

import datetime as dt
import itertools
import threading
import time
from dataclasses import dataclass, field, replace

import bson
from bson import Int64, ObjectId
from bson.datetime_ms import DatetimeMS

from stand_ins.mongodb.login import Conversation, User
from stand_ins.mongodb.plan import explained
from stand_ins.mongodb.store import Collection, Refused, Store, aggregate, delete, find, insert, update
from stand_ins.mongodb.values import Unknown, matches

FIRST_BATCH = 101
MOST_BYTES = 16_000_000
OPEN = (
    "hello",
    "isMaster",
    "ismaster",
    "ping",
    "buildInfo",
    "saslStart",
    "saslContinue",
    "authenticate",
    "endSessions",
    "stand_in",
)
ACTIONS = {
    "find": "find", "aggregate": "find", "explain": "find", "getMore": "find", "killCursors": "find", "distinct": "find",
    "listCollections": "listCollections", "listIndexes": "listIndexes", "insert": "insert", "update": "update",
    "delete": "remove", "create": "createCollection", "drop": "dropCollection", "createIndexes": "createIndex",
    "dropDatabase": "dropCollection", "collMod": "collMod", "renameCollection": "createCollection",
    "configureFailPoint": "collMod",
}  # fmt: skip


class Broken(Exception):
    """The connection is to be closed without an answer."""


@dataclass
class Member:
    """One member of the set, or a standalone. `session`s that were killed end what they run."""

    role: str
    port: int = 0


@dataclass
class Server:
    """What all connections share."""

    store: Store
    users: dict[str, User]
    members: list[Member]
    kind: str = "set"
    version: str = "7.0.14"
    wire: int = 21
    cursors: dict[int, tuple[str, list[bytes]]] = field(default_factory=dict)
    numbers: itertools.count = field(default_factory=lambda: itertools.count(77_000_001))
    failing: dict | None = None
    killed: set[bytes] = field(default_factory=set)
    commands: list[dict] = field(default_factory=list)
    waking: threading.Condition = field(default_factory=threading.Condition)
    cache: dict = field(default_factory=dict)


@dataclass
class Connection:
    """One client's connection to one member."""

    server: Server
    member: Member
    conversation: Conversation | None = None
    user: User | None = None
    subject: str = ""  # of the certificate that the client showed

    def answer(self, command: dict) -> dict | bytes:
        """The reply to one command."""
        name = next(iter(command))
        database = command.pop("$db", "admin")
        if name not in ("hello", "isMaster", "ismaster", "stand_in"):
            self.server.commands = [*self.server.commands[-199:], {**command, "$db": database}]
        try:
            self.allowed(name, command)
            self.meant(name, command)
            self.fail(name, command)
            handler = getattr(self, f"do_{name}", None)
            if handler is None:
                raise Refused(59, "CommandNotFound", f"no such command: '{name}'")
            reply = handler(command, database)
        except Refused as error:
            reply = {"ok": 0.0, "errmsg": str(error), "code": error.code, "codeName": error.name}
        except Unknown as error:
            reply = {"ok": 0.0, "errmsg": str(error), "code": 2, "codeName": "BadValue"}
        return {"ok": 1.0, **reply, **self.times()}

    def times(self) -> dict:
        if self.server.kind == "standalone":
            return {}
        _, stamp, _ = self.server.store.seen(self.member.role)
        signature = {"hash": b"\0" * 20, "keyId": Int64(0)}
        return {"operationTime": stamp, "$clusterTime": {"clusterTime": stamp, "signature": signature}}

    def allowed(self, name: str, command: dict) -> None:
        if not self.server.users or name in OPEN:
            return
        if self.user is None:
            raise Refused(13, "Unauthorized", f"Command {name} requires authentication")
        needed = ACTIONS.get(name)
        if command.get("authorizedCollections") and command.get("nameOnly"):
            needed = "find"  # tells no more than who may find already knows
        if needed and needed not in self.user.actions:
            raise Refused(13, "Unauthorized", f"not authorized on it to execute command {{ {name}: … }}")

    def meant(self, name: str, command: dict) -> None:
        """A secondary answers only those who say that they would read from one."""
        if self.member.role == "primary" or name not in ACTIONS or name in ("getMore", "killCursors"):
            return
        if command.get("$readPreference", {}).get("mode", "primary") == "primary":
            raise Refused(13435, "NotPrimaryNoSecondaryOk", "not primary and secondaryOk=false")

    def fail(self, name: str, command: dict) -> None:
        """What a fail point makes of this command."""
        with self.server.waking:
            plan = self.server.failing
            if plan is None or name not in plan["data"]["failCommands"]:
                return
            if isinstance(plan["mode"], dict):
                plan["mode"]["times"] -= 1
                if plan["mode"]["times"] <= 0:
                    self.server.failing = None
            data = plan["data"]
            if data.get("blockConnection"):
                self.block(data["blockTimeMS"], command)
        if data.get("closeConnection"):
            raise Broken
        if data.get("errorCode"):
            raise Refused(
                data["errorCode"], data.get("codeName", "Failed"), "Failing command due to 'failCommand' failpoint"
            )

    def block(self, milliseconds: int, command: dict) -> None:
        limit = command.get("maxTimeMS") or milliseconds
        session = bytes(command["lsid"]["id"]) if "lsid" in command else b""
        self.server.waking.wait_for(lambda: session in self.server.killed, min(milliseconds, limit) / 1000)
        if session in self.server.killed:
            raise Refused(11601, "Interrupted", "operation was interrupted")
        if limit < milliseconds:
            raise Refused(50, "MaxTimeMSExpired", "operation exceeded time limit")

    # What tells about the server.

    def do_hello(self, command: dict, database: str) -> dict:
        server, member = self.server, self.member
        _, stamp, written = server.store.seen(member.role)
        primary = member.role == "primary"
        reply = {
            "helloOk": True, "isWritablePrimary": primary, "ismaster": primary, "maxBsonObjectSize": 16_777_216,
            "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000, "localTime": dt.datetime.now(dt.UTC),
            "logicalSessionTimeoutMinutes": 30, "connectionId": 1, "minWireVersion": 0, "maxWireVersion": server.wire,
            "readOnly": False,
        }  # fmt: skip
        if "saslSupportedMechs" in command:
            reply["saslSupportedMechs"] = ["SCRAM-SHA-256"]
        if server.kind == "mongos":
            return {**reply, "isWritablePrimary": True, "msg": "isdbgrid"}
        if server.kind == "standalone":
            return reply
        when = DatetimeMS(int(written * 1000))
        write = {"opTime": {"ts": stamp, "t": Int64(1)}, "lastWriteDate": when}
        return {
            **reply, "setName": "rs0", "setVersion": 1, "secondary": not primary, "electionId": ObjectId("7fffffff0000000000000001"),
            "hosts": [f"127.0.0.1:{each.port}" for each in server.members], "me": f"127.0.0.1:{member.port}",
            "primary": next((f"127.0.0.1:{each.port}" for each in server.members if each.role == "primary"), None),
            "lastWrite": {**write, "majorityOpTime": write["opTime"], "majorityWriteDate": when},
        }  # fmt: skip

    do_isMaster = do_ismaster = do_hello

    def do_ping(self, command: dict, database: str) -> dict:
        return {}

    def do_buildInfo(self, command: dict, database: str) -> dict:
        return {
            "version": self.server.version,
            "versionArray": [int(part) for part in self.server.version.split(".")] + [0],
        }

    def do_connectionStatus(self, command: dict, database: str) -> dict:
        if self.user is None:
            return {
                "authInfo": {"authenticatedUsers": [], "authenticatedUserRoles": [], "authenticatedUserPrivileges": []}
            }
        privileges = [{"resource": {"db": "", "collection": ""}, "actions": list(self.user.actions)}]
        return {
            "authInfo": {
                "authenticatedUsers": [{"user": self.user.name, "db": "admin"}],
                "authenticatedUserRoles": [{"role": self.user.role, "db": "admin"}],
                "authenticatedUserPrivileges": privileges if self.user.actions else [],
            }
        }

    def do_saslStart(self, command: dict, database: str) -> dict:
        self.conversation = Conversation(self.server.users)
        return self.do_saslContinue(command, database)

    def do_saslContinue(self, command: dict, database: str) -> dict:
        try:
            payload = self.conversation.step(bytes(command["payload"]))
        except PermissionError:
            raise Refused(18, "AuthenticationFailed", "Authentication failed.") from None
        if self.conversation.finished:
            self.user = self.conversation.user
        return {"conversationId": 1, "done": self.conversation.finished and not command["payload"], "payload": payload}

    def do_authenticate(self, command: dict, database: str) -> dict:
        """By certificate: whoever shows one that the authority signed may read."""
        if command.get("mechanism") != "MONGODB-X509" or not self.subject:
            raise Refused(18, "AuthenticationFailed", "Authentication failed.")
        self.user = User(self.subject, "", "reader")
        return {"user": self.subject}

    def do_endSessions(self, command: dict, database: str) -> dict:
        return {}

    def do_killSessions(self, command: dict, database: str) -> dict:
        with self.server.waking:
            self.server.killed |= {bytes(each["id"]) for each in command["killSessions"]}
            self.server.waking.notify_all()
        return {}

    def do_configureFailPoint(self, command: dict, database: str) -> dict:
        self.server.failing = None if command["mode"] == "off" else {"mode": command["mode"], "data": command["data"]}
        return {}

    def do_stand_in(self, command: dict, database: str) -> dict:
        """What tests do to the set: `commands`, `hold`, `follow`, `stepdown`."""
        match command["stand_in"]:
            case "commands":
                return {"commands": self.server.commands}
            case "stepdown":
                for member in self.server.members:
                    member.role = "secondary" if member.role == "primary" else "primary"
            case how:
                self.server.store.hold(how)
        return {}

    # Reading.

    def state(self, command: dict, *, wanted: bool = True):
        """The state a command reads, and the time of the snapshot it asked for."""
        concern = command.get("readConcern", {})
        store, role, patience_s = self.server.store, self.member.role, command.get("maxTimeMS", 30_000) / 1000
        if concern.get("level") == "snapshot" and wanted:
            if self.server.kind == "standalone":
                raise Refused(
                    123, "NotAReplicaSet", "node needs to be a replica set member to use readConcern: snapshot"
                )
            if self.server.wire < 13:
                raise Refused(72, "InvalidOptions", "readConcern level snapshot is only valid in a transaction")
            return store.snapshot(role, concern.get("atClusterTime"), patience_s)
        if "afterClusterTime" in concern:
            store.snapshot(role, concern["afterClusterTime"], patience_s)
        return store.seen(role)[0], None

    def do_find(self, command: dict, database: str) -> bytes:
        state, stamp = self.state(command)
        return self.cursor(command, database, command["find"], state, stamp, lambda: find(state, database, command))

    def do_aggregate(self, command: dict, database: str) -> bytes:
        state, stamp = self.state(command)
        stages = command["pipeline"]
        if any(name in stage for stage in stages for name in ("$out", "$merge")):
            raise Unknown("$out and $merge are not here")
        read = lambda: aggregate(state, database, command["aggregate"], stages)  # noqa: E731
        return self.cursor({**command, **command.get("cursor", {})}, database, command["aggregate"], state, stamp, read)

    def cursor(self, command, database, collection, state, stamp, read) -> dict:
        """The first batch. What the same command read from the same state before is not computed again."""
        asked = {k: v for k, v in command.items() if k not in ("lsid", "$clusterTime", "readConcern", "maxTimeMS", "comment", "$readPreference", "batchSize", "cursor")}  # fmt: skip
        key = (id(state), database, bson.encode(asked))
        if key not in self.server.cache:
            while len(self.server.cache) >= 64:
                self.server.cache.pop(next(iter(self.server.cache)))
            self.server.cache[key] = state, [bson.encode(document) for document in read()]
        documents = self.server.cache[key][1]
        many, bytes_ = command.get("batchSize", FIRST_BATCH), 0
        taken = 0
        while taken < min(many, len(documents)) and bytes_ + len(documents[taken]) < MOST_BYTES:
            bytes_ += len(documents[taken])
            taken += 1
        number = 0
        namespace = f"{database}.{collection}"
        if (taken < len(documents) or not many) and not command.get("singleBatch"):
            number = next(self.server.numbers)
            self.server.cursors[number] = namespace, documents[taken:]
        snapshot = {"atClusterTime": stamp} if stamp is not None else {}
        return {"cursor": {"firstBatch": documents[:taken], "id": Int64(number), "ns": namespace, **snapshot}}

    def do_getMore(self, command: dict, database: str) -> dict:
        number = command["getMore"]
        if number not in self.server.cursors:
            raise Refused(43, "CursorNotFound", f"cursor id {number} not found")
        namespace, documents = self.server.cursors.pop(number)
        many, bytes_, taken = command.get("batchSize", len(documents)), 0, 0
        while taken < min(many, len(documents)) and bytes_ + len(documents[taken]) < MOST_BYTES:
            bytes_ += len(documents[taken])
            taken += 1
        if taken < len(documents):
            self.server.cursors[number] = namespace, documents[taken:]
        else:
            number = 0
        return {"cursor": {"nextBatch": documents[:taken], "id": Int64(number), "ns": namespace}}

    def do_killCursors(self, command: dict, database: str) -> dict:
        for number in command["cursors"]:
            self.server.cursors.pop(number, None)
        return {"cursorsKilled": command["cursors"], "cursorsNotFound": [], "cursorsAlive": [], "cursorsUnknown": []}

    def do_explain(self, command: dict, database: str) -> dict:
        state, _ = self.state(command, wanted=False)
        inner = command["explain"]
        if "aggregate" in inner:
            return explained(state, database, inner["aggregate"], inner["pipeline"])
        stages = [
            {"$match": inner.get("filter", {})},
            {"$sort": inner.get("sort", {})},
            {"$limit": inner.get("limit", 0)},
        ]
        return explained(state, database, inner["find"], stages)

    def do_listCollections(self, command: dict, database: str) -> dict:
        state, _ = self.state(command)
        found = []
        for name, collection in state.items():
            if name.split(".", 1)[0] != database:
                continue
            entry = {"name": name.split(".", 1)[1], "type": "view" if collection.is_view else "collection"}
            if not command.get("nameOnly"):
                entry |= {"options": collection.options, "info": {"readOnly": collection.is_view}}
            if matches(entry, command.get("filter", {})):
                found.append(entry)
        return {
            "cursor": {
                "firstBatch": [bson.encode(entry) for entry in found],
                "id": Int64(0),
                "ns": f"{database}.$cmd.listCollections",
            }
        }

    def do_listDatabases(self, command: dict, database: str) -> dict:
        state, _ = self.state(command)
        return {"databases": [{"name": name} for name in sorted({name.split(".", 1)[0] for name in state})]}

    # Writing, for owners.

    def do_insert(self, command: dict, database: str) -> dict:
        documents = [
            {"_id": ObjectId(), **document} if "_id" not in document else document for document in command["documents"]
        ]
        insert(self.server.store, f"{database}.{command['insert']}", documents)
        return {"n": len(documents)}

    def do_delete(self, command: dict, database: str) -> dict:
        return {
            "n": sum(
                delete(self.server.store, f"{database}.{command['delete']}", each["q"]) for each in command["deletes"]
            )
        }

    def do_update(self, command: dict, database: str) -> dict:
        name = f"{database}.{command['update']}"
        count = sum(update(self.server.store, name, each["q"], each["u"]) for each in command["updates"])
        return {"n": count, "nModified": count}

    def do_create(self, command: dict, database: str) -> dict:
        options = {
            key: command[key] for key in ("viewOn", "pipeline", "validator", "validationLevel") if key in command
        }
        self.server.store.write(f"{database}.{command['create']}", Collection(options=options))
        return {}

    def do_createIndexes(self, command: dict, database: str) -> dict:
        name, store = f"{database}.{command['createIndexes']}", self.server.store
        with store.lock:
            old = store.state.get(name, Collection())
            store.write(name, replace(old, indexes=(*old.indexes, *(each["key"] for each in command["indexes"]))))
        return {}

    def do_drop(self, command: dict, database: str) -> dict:
        self.server.store.write(f"{database}.{command['drop']}", None)
        return {}

    def do_dropDatabase(self, command: dict, database: str) -> dict:
        for name in list(self.server.store.state):
            if name.startswith(f"{database}."):
                self.server.store.write(name, None)
        return {}

    def do_renameCollection(self, command: dict, database: str) -> dict:
        store = self.server.store
        with store.lock:
            collection = store.state[command["renameCollection"]]
            store.write(command["renameCollection"], None)
            store.write(command["to"], collection)
        return {}


def touch(server: Server) -> None:
    """The no-op that an idle primary writes now and then."""
    with server.store.lock:
        server.store.written = time.time()
