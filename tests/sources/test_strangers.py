"""Whoever answers in the server's place learns nothing, and whoever listens neither, unless the source says so in words."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager, suppress

import pytest

from servers.certificates import Authority
from smartico_sync.config.models import SourceConfig
from smartico_sync.core.encryption import is_loopback
from smartico_sync.errors import ConfigError, SourceError, SourceRefused, SourceUnreachable
from smartico_sync.sources.clickhouse.login import Login as ClickHouse
from smartico_sync.sources.mongodb.login import Login as MongoDB
from smartico_sync.sources.mssql.login import Login as SqlServer
from smartico_sync.sources.mysql.login import Login as MySQL
from smartico_sync.sources.oracle.login import Login as Oracle
from smartico_sync.sources.postgresql.login import Login as PostgreSQL
from smartico_sync.sources.redshift.login import Login as Redshift
from smartico_sync.sources.registry import open_source
from smartico_sync.sources.snowflake.login import Login as Snowflake

PASSWORD = "sesame-of-the-reader"
LOGINS = {
    "postgresql": (PostgreSQL, "/casino"), "mysql": (MySQL, "/casino"), "mariadb": (MySQL, "/casino"),
    "clickhouse": (ClickHouse, "/casino"), "oracle": (Oracle, "/CASINO"), "mongodb": (MongoDB, "/casino"),
    "mssql": (SqlServer, "/casino"), "redshift": (Redshift, "/casino"),
}  # fmt: skip


def login(engine, host="replica.example", parameters="", encryption=None):
    kind, path = LOGINS[engine]
    url = f"{engine}://reader:{PASSWORD}@{host}{path}{parameters}"
    return kind(SourceConfig(url=url, encryption=encryption))


@pytest.mark.parametrize("engine", LOGINS)
@pytest.mark.parametrize("host", ["replica.example", "10.1.2.3", "[2001:db8::1]", "localhost,replica.example"])
def test_another_machine_is_reached_by_verified_tls_by_default(engine, host):
    """On every engine, by name and by address, also where only one of several hosts is elsewhere."""
    assert login(engine, host).standing == "encrypted and verified"


@pytest.mark.parametrize("engine", LOGINS)
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "db.localhost"])
def test_this_machine_needs_no_words(engine, host):
    """What listens only here is nobody's to listen to."""
    assert login(engine, host).standing.endswith("within this machine")


@pytest.mark.parametrize("engine", LOGINS)
def test_less_is_said_in_words(engine):
    """`encryption: off` and `unverified` are taken at their word; Redshift's driver cannot do the latter, and that is told."""
    assert login(engine, encryption="off").standing == "in the clear"
    if engine == "redshift":
        with pytest.raises(ConfigError, match="verified and off only"):
            _ = login(engine, encryption="unverified").standing
    else:
        assert login(engine, encryption="unverified").standing == "encrypted"


def test_each_driver_is_told():
    """The three words in each driver's own."""
    words = ("verified", "unverified", "off")
    postgresql = [login("postgresql", encryption=word).conninfo() for word in words]
    assert ["verify-full" in postgresql[0], "sslmode=require" in postgresql[1], "disable" in postgresql[2]] == [
        True
    ] * 3
    mysql = [login("mysql", encryption=word).arguments() for word in words]
    assert [(each["ssl"].check_hostname, each["ssl"].verify_mode) for each in mysql[:2]] == [(True, 2), (False, 0)]
    assert mysql[2]["ssl_disabled"]
    clickhouse = [login("clickhouse", encryption=word).arguments("replica.example", 9000) for word in words]
    assert [(each["interface"], each["verify"]) for each in clickhouse] == [
        ("https", True), ("https", False), ("http", True),
    ]  # fmt: skip
    oracle = [login("oracle", encryption=word).addresses()[0] for word in words]
    assert [(each.protocol, each.port) for each in oracle] == [("tcps", 2484), ("tcps", 2484), ("tcp", 1521)]
    assert [each.ssl_server_dn_match for each in oracle[:2]] == [True, False]
    assert oracle[1].ssl_context.verify_mode == 0
    mongodb = [login("mongodb", encryption=word).address() for word in words]
    assert ["tls=true" in each for each in mongodb] == [True, True, False]
    assert ["tlsAllowInvalidCertificates=true" in each for each in mongodb] == [False, True, False]
    driver = "?driver=ODBC Driver 18 for SQL Server"
    mssql = [login("mssql", "replica.example", driver, word).dial("replica.example", 1433) for word in words]
    assert ["Encrypt=yes;TrustServerCertificate=no" in mssql[0], "TrustServerCertificate=yes" in mssql[1]] == [
        True,
        True,
    ]
    assert "Encrypt=no" in mssql[2]
    assert login("redshift", encryption="off").arguments(("replica.example", 5439))["ssl"] is False
    assert login("redshift").arguments(("replica.example", 5439))["sslmode"] == "verify-full"


@pytest.mark.parametrize(
    ("engine", "parameters", "word"),
    [
        ("postgresql", "?sslmode=prefer", "off"), ("postgresql", "?sslmode=disable", "off"),
        ("postgresql", "?sslmode=require", "unverified"), ("mysql", "?ssl_mode=DISABLED", "off"),
        ("mysql", "?ssl_mode=PREFERRED", "off"), ("mariadb", "?ssl_mode=REQUIRED", "unverified"),
        ("mysql", "?ssl_mode=VERIFY_CA", "unverified"), ("clickhouse", "?secure=false", "off"),
        ("clickhouse", "?secure=true&verify=false", "unverified"), ("oracle", "?protocol=tcp", "off"),
        ("oracle", "?protocol=tcps&ssl_server_dn_match=off", "unverified"), ("mongodb", "?tls=false", "off"),
        ("mongodb", "?tls=true&tlsAllowInvalidCertificates=true", "unverified"), ("mssql", "?encrypt=no", "off"),
        ("mssql", "?trust_server_certificate=yes", "unverified"), ("redshift", "?ssl=off", "off"),
    ],
)  # fmt: skip
def test_a_parameter_alone_gives_nothing_up(engine, parameters, word):
    """What earlier versions took from the URL without a word is told with the word to write, and following that mends it."""
    with pytest.raises(ConfigError, match="another machine") as told:
        _ = login(engine, "replica.example", parameters).encryption
    assert f"`encryption: {word}`" in told.value.hint
    assert PASSWORD not in told.value.message + told.value.hint
    assert login(engine, "replica.example", parameters, word).encryption == word
    assert login(engine, "localhost", parameters).encryption == word


def test_words_that_contradict_each_other_are_told():
    """Whether the word or the parameter is meant is not guessed."""
    with pytest.raises(ConfigError, match="contradict"):
        _ = login("postgresql", "replica.example", "?sslmode=verify-full", "off").encryption


@pytest.mark.parametrize(("engine", "port"), [("clickhouse", 8123), ("oracle", 1521)])
def test_a_port_for_the_clear_is_told(engine, port):
    """TLS would not be understood there: the message names the port that speaks it, and the word."""
    with pytest.raises(ConfigError, match="in the clear") as told:
        login(engine, f"replica.example:{port}").check()
    assert "`encryption: off`" in told.value.hint
    login(engine, f"replica.example:{port}", encryption="off").check()


def test_warehouses_speak_https():
    """Snowflake is reached by HTTPS, unless both the parameter and the source say otherwise."""
    url = "snowflake://u:p@account/D?host=h.example&protocol=http"
    assert Snowflake(SourceConfig(url="snowflake://u:p@account/D")).standing == "encrypted and verified"
    with pytest.raises(ConfigError, match="another machine"):
        _ = Snowflake(SourceConfig(url=url)).encryption
    assert Snowflake(SourceConfig(url=url, encryption="off")).standing == "in the clear"


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True), ("LOCALHOST.", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True),
        ("localhost.example", False), ("127.0.0.1.example", False), ("10.0.0.1", False), ("::ffff:10.0.0.1", False),
        ("0.0.0.0", False), ("host.docker.internal", False), ("", False),
    ],
)  # fmt: skip
def test_this_machine_is_known_by_its_own_names_only(host, here):
    """A name that somebody's DNS could answer is another machine's."""
    assert is_loopback(host) is here


def test_the_authorities_of_postgresql_are_this_machines(monkeypatch, tmp_path):
    """As for the API; libpq's own file in the home directory goes before them, and `sslrootcert` before both."""
    monkeypatch.setenv("HOME", str(tmp_path))
    authorities = tmp_path / "bundle.pem"
    authorities.touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    assert f"sslrootcert={authorities}" in login("postgresql").conninfo()
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").touch()
    assert "sslrootcert" not in login("postgresql").conninfo()
    assert "sslrootcert=own.pem" in login("postgresql", "replica.example", "?sslrootcert=own.pem").conninfo()


def test_a_way_to_log_in_that_gives_the_password_away_is_told():
    """`require_auth=password` and PLAIN need verified TLS, on the way to another machine."""
    for parameters in ("?require_auth=password", "?require_auth=!md5", "?require_auth=scram-sha-256,password"):
        with pytest.raises(ConfigError, match="require_auth"):
            login("postgresql", "replica.example", parameters, "unverified").conninfo()
        login("postgresql", "replica.example", parameters).conninfo()
    with pytest.raises(ConfigError, match="PLAIN"):
        login("mongodb", "replica.example", "?authMechanism=PLAIN&authSource=$external", "off").address()


@contextmanager
def stranger(talk, host="127.0.0.1"):
    """Somebody who answers in a server's place; what they heard is collected."""
    heard = []

    def serve(listener):
        while True:
            try:
                wire, _ = listener.accept()
            except OSError:
                return
            with wire:
                wire.settimeout(5)
                with suppress(OSError):
                    talk(wire, heard)

    with socket.create_server((host, 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1], heard
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def own_address():
    """An address of this machine that is not its loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.254", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no network")
        found = probe.getsockname()[0]
    if is_loopback(found):
        pytest.skip("this machine has no network")
    return found


def postgres_who_wants_the_password(wire, heard):
    """No TLS, and then: the password, in the clear."""
    first = wire.recv(8192)
    heard.append(first)
    if len(first) == 8 and first[4:] == struct.pack("!i", 80877103):
        wire.sendall(b"N")
        heard.append(wire.recv(8192))
    wire.sendall(b"R" + struct.pack("!ii", 8, 3))
    heard.append(wire.recv(8192))


def test_a_postgresql_that_asks_for_the_password_does_not_get_it():
    """Within this machine too: whoever took the port would have it."""
    with stranger(postgres_who_wants_the_password) as (port, heard):
        source = open_source("casino", SourceConfig(url=f"postgresql://reader:{PASSWORD}@127.0.0.1:{port}/casino"))
        with pytest.raises(SourceRefused, match="asks for the password"):
            source.facts()
        source.close()
    assert heard
    assert PASSWORD.encode() not in b"".join(heard)


@pytest.mark.parametrize("encryption", [None, "unverified", "off"])
def test_a_stranger_in_the_place_of_a_remote_postgresql_learns_nothing(encryption):
    """Nobody's user name goes to who offers no TLS; and with `encryption: off` still no password."""
    host = own_address()
    with stranger(postgres_who_wants_the_password, host) as (port, heard):
        config = SourceConfig(url=f"postgresql://reader:{PASSWORD}@{host}:{port}/casino", encryption=encryption)
        source = open_source("casino", config)
        with pytest.raises(SourceError) as told:
            source.facts()
        source.close()
    assert PASSWORD.encode() not in b"".join(heard)
    if encryption != "off":
        assert b"reader" not in b"".join(heard)
        assert isinstance(told.value, SourceUnreachable)
        assert "`encryption: off`" in told.value.hint


def test_a_redshift_that_asks_for_the_password_does_not_get_it():
    """The driver would answer in the clear."""
    with stranger(postgres_who_wants_the_password) as (port, heard):
        config = SourceConfig(url=f"redshift://reader:{PASSWORD}@127.0.0.1:{port}/casino?ssl=off")
        source = open_source("casino", config)
        with pytest.raises(SourceRefused, match="asks for the password"):
            source.facts()
        source.close()
    assert heard
    assert PASSWORD.encode() not in b"".join(heard)


def packet(number, payload):
    return struct.pack("<I", len(payload))[:3] + bytes([number]) + payload


def greeting(plugin):
    """A server of MySQL's protocol 10 that offers no TLS."""
    flags = 0x00080000 | 0x00008000 | 0x00000200 | 0x00000008 | 0x00000001
    return packet(
        0,
        b"\x0a8.4.0\0" + struct.pack("<I", 1) + b"saltsalt\0" + struct.pack("<H", flags & 0xFFFF) + b"\x2d\x02\0"
        + struct.pack("<H", flags >> 16) + b"\x15" + b"\0" * 10 + b"saltsaltsalt\0" + plugin + b"\0",
    )  # fmt: skip


def mysql_who_wants_the_password(wire, heard):
    """Asks for a plug-in that sends the password as it is."""
    wire.sendall(greeting(b"mysql_native_password"))
    heard.append(wire.recv(8192))
    wire.sendall(packet(2, b"\xfemysql_clear_password\0"))
    heard.append(wire.recv(8192))


def mysql_who_has_a_key(wire, heard):
    """Says that the proof is not enough: the password, hidden with a key of theirs."""
    wire.sendall(greeting(b"caching_sha2_password"))
    heard.append(wire.recv(8192))
    wire.sendall(packet(2, b"\x01\x04"))
    heard.append(wire.recv(8192))


@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
def test_a_mysql_that_asks_for_the_password_does_not_get_it(scheme):
    """The plug-in for it is not served without verified TLS, within this machine neither; the hint says what to do."""
    with stranger(mysql_who_wants_the_password) as (port, heard):
        source = open_source("casino", SourceConfig(url=f"{scheme}://reader:{PASSWORD}@127.0.0.1:{port}/casino"))
        with pytest.raises(SourceRefused, match="asks for the password") as told:
            source.facts()
        source.close()
    assert PASSWORD.encode() not in b"".join(heard)
    assert "verified TLS" in told.value.hint


def test_a_remote_mysql_in_the_clear_gets_a_proof_only():
    """With `encryption: off` the password is not hidden with the key of whoever answers."""
    host = own_address()
    with stranger(mysql_who_has_a_key, host) as (port, heard):
        config = SourceConfig(url=f"mysql://reader:{PASSWORD}@{host}:{port}/casino", encryption="off")
        source = open_source("casino", config)
        with pytest.raises(SourceRefused, match="asks for the password"):
            source.facts()
        source.close()
    assert heard[1:] == [b""]


def test_a_remote_mysql_without_tls_gets_nothing():
    """Not even the user's name; and the message has the word to write."""
    host = own_address()
    with stranger(mysql_who_wants_the_password, host) as (port, heard):
        source = open_source("casino", SourceConfig(url=f"mysql://reader:{PASSWORD}@{host}:{port}/casino"))
        with pytest.raises(SourceUnreachable, match="no TLS") as told:
            source.facts()
        source.close()
    assert b"".join(heard) == b""
    assert "`encryption: off`" in told.value.hint


def beginning_tls(engine, wire):
    """Lead a client up to the handshake, in its protocol."""
    if engine == "mysql":
        hello = greeting(b"caching_sha2_password")
        wire.sendall(hello[:25] + bytes([hello[25] | 0x08]) + hello[26:])  # CLIENT_SSL
        wire.recv(36, socket.MSG_WAITALL)  # the handshake comes right behind it
    elif engine in ("postgresql", "redshift"):
        wire.recv(8192)
        wire.sendall(b"S")


def with_tls(engine, context):
    """Somebody with a certificate: what is heard is what comes through it."""

    def talk(wire, heard):
        beginning_tls(engine, wire)
        with suppress(OSError), context.wrap_socket(wire, server_side=True) as secure:
            heard.append(secure.recv(8192))

    return talk


@pytest.mark.parametrize("flaw", ["has expired", "is for another host", "is of an unknown authority"])
@pytest.mark.parametrize("engine", ["postgresql", "mysql", "clickhouse", "oracle", "redshift"])
def test_whose_certificate_does_not_fit_learns_nothing_and_is_told_why(tmp_path, monkeypatch, engine, flaw):
    """Verified by default on the way to another machine, against what this one trusts; the message names the flaw.

    PostgreSQL's library does not say whether a certificate has expired or nobody here knows who signed it: both are told.
    """
    host = own_address()
    believed, other = Authority(tmp_path), Authority(tmp_path, "other")
    monkeypatch.setenv("SSL_CERT_FILE", str((other if "authority" in flaw else believed).certificate))
    days = (-3, -2) if "expired" in flaw else (-1, 1)
    pair = believed.issue("replica.example", address="192.0.2.77" if "host" in flaw else host, days=days)
    with stranger(with_tls(engine, pair.tls()), host) as (port, heard):
        source = open_source(
            "casino", SourceConfig(url=f"{engine}://reader:{PASSWORD}@{host}:{port}{LOGINS[engine][1]}")
        )
        with pytest.raises(SourceUnreachable) as told:
            source.facts()
        source.close()
    assert b"".join(heard) == b""
    words = flaw if engine != "postgresql" or "host" in flaw else "has expired, or is of an unknown authority"
    assert f"no TLS connection: the certificate {words}" in told.value.message
