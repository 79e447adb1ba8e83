"""How to connect, from a URL as operators write it."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import oracledb

from smartico_sync.catalogue.engines import ORACLE
from smartico_sync.sources.kit.login import CERTIFICATES, BaseLogin

if TYPE_CHECKING:
    from smartico_sync.core.encryption import Encryption

__all__ = ["Login"]

EXAMPLE = "write oracle://user:password@host:1521/SERVICE"
PORTS = {"tcp": ORACLE.port, "tcps": ORACLE.tls_port}
PASSED = (
    "sid", "instance_name", "server_type", "cclass", "proxy_user", "edition", "program", "config_dir", "wallet_location",
    "wallet_password", "ssl_server_cert_dn", "https_proxy",
)  # fmt: skip
NUMBERS = ("expire_time", "sdu", "https_proxy_port")
SWITCHES = ("ssl_server_dn_match", "disable_oob")
AUTHORITIES = ("wallet_location", "ssl_ca")  # whose certificates are not the world's
TLS = ("wallet_location", "ssl_ca", "ssl_cert", "ssl_server_cert_dn")  # who gives one of these wants tcps


class Login(BaseLogin):
    """Addresses, and what the driver is told about each."""

    @property
    def place(self) -> str:
        """Where the database is, for messages."""
        return self.url.place or self.parameters.get("dsn", "").partition("(")[0]

    def check(self) -> None:
        """Tell what the driver cannot use, before the first poll."""
        self.addresses()

    def written(self) -> Encryption | None:
        """By `protocol`, or what implies it, or what the descriptor says."""
        parameters = self.parameters
        if "dsn" in parameters:
            protocols = _each(self._parsed(parameters["dsn"], None).protocol)
        elif "protocol" in parameters:
            protocols = (self._protocol(),)
        elif any(name in parameters for name in TLS):
            protocols = ("tcps",)
        else:
            return None
        if any(protocol != "tcps" for protocol in protocols):
            return "off"
        own = any(name in parameters for name in AUTHORITIES)
        matched = "ssl_server_dn_match" not in parameters or self.switch("ssl_server_dn_match")
        return "verified" if own or matched else "unverified"

    def machines(self) -> tuple[str, ...]:
        """The hosts, also of a descriptor."""
        if "dsn" in self.parameters:
            return _each(self._parsed(self.parameters["dsn"], None).host)
        return super().machines()

    def _protocol(self) -> str:
        return self.one_of(tuple(PORTS), "protocol", self.given("protocol").lower())

    def _chosen_protocol(self) -> str:
        """The protocol of hosts in the URL."""
        level = self.encryption
        if "protocol" in self.parameters:
            return self._protocol()
        if level in ("off", "usual"):
            return "tcp"
        if self.written() is None and any(port == str(self.engine.port) for _, port in self.url.hosts):
            raise self.wrong(
                f"port {self.engine.port} is where listeners speak TCP, in the clear",
                f"write port {self.engine.tls_port}; or `protocol=tcps` if it speaks TLS there; or say it in words: "
                "`encryption: off` of the source",
            )
        return "tcps"

    def addresses(self) -> list[oracledb.ConnectParams]:
        """What the driver is told, an address after the other in the order in which they are tried."""
        parameters = self.parameters
        if "dsn" in parameters:
            return [self._address(parameters["dsn"])]
        protocol = self._chosen_protocol()
        service = self.url.path or parameters.get("service_name", "")
        if not service and "sid" not in parameters:
            hint = f"{EXAMPLE}, or …/?sid=SID, or …/?dsn=ALIAS&config_dir=/etc/oracle"
            raise self.wrong("the url names no service", hint)
        return [
            self._address(
                f"{protocol}://{f'[{host}]' if ':' in host else host or 'localhost'}:{port or PORTS[protocol]}/{service}"
            )
            for host, port in self.url.hosts or (("", ""),)
        ]

    def _address(self, place: str) -> oracledb.ConnectParams:
        # A wallet's certificates are the driver's affair, as is the check of the server's name.
        certificates = self.tls_context() if set(CERTIFICATES) & set(self.parameters) else None
        if self.encryption == "unverified":
            certificates = certificates or ssl.create_default_context()
            certificates.check_hostname = False
            certificates.verify_mode = ssl.CERT_NONE
        return self._parsed(place, certificates)

    def _parsed(self, place: str, certificates: ssl.SSLContext | None) -> oracledb.ConnectParams:
        parameters = self.parameters
        passed: dict[str, Any] = {"program": self.given("program"), "expire_time": self.number("expire_time")}
        passed |= {name: value for name, value in parameters.items() if name in PASSED}
        passed |= {name: self.number(name) for name in NUMBERS if name in parameters}
        passed |= {name: self.switch(name) for name in SWITCHES if name in parameters}
        if self.said == "unverified":
            passed["ssl_server_dn_match"] = False
        try:
            address: oracledb.ConnectParams = oracledb.ConnectParams(
                user=self.url.user or None,
                password=self.url.password or None,
                externalauth=not self.url.user,
                **passed,
                ssl_context=certificates,
                tcp_connect_timeout=self.connect_timeout_s,
            )
            address.parse_connect_string(place)
            if "sid" in parameters and not (self.url.path or "service_name" in parameters):
                address.set(sid=parameters["sid"])
        except (oracledb.Error, OSError, ValueError, TypeError) as error:
            hint = f"{EXAMPLE}; docs/databases/oracle.md names the parameters"
            raise self.wrong(f"the driver cannot use the url{_code(error)}", hint) from None
        if not address.get_connect_string():
            raise self.wrong("the url names no host", EXAMPLE)
        return address


def _each(found: str | list[str] | None) -> tuple[str, ...]:
    """What the driver tells of one address, or of several."""
    return () if found is None else (found,) if isinstance(found, str) else tuple(found)


def _code(error: BaseException) -> str:
    code = getattr(error.args[0], "full_code", "") if error.args else ""
    return f" ({code})" if code else ""
