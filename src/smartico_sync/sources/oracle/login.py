"""How to connect, from a URL as operators write it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import oracledb

from smartico_sync.catalogue.engines import ORACLE
from smartico_sync.errors import ConfigError
from smartico_sync.sources.kit.parameters import named, number, switch, tls_context

if TYPE_CHECKING:
    from smartico_sync.sources.kit.url import Url

__all__ = ["Login"]

DEFAULTS = ORACLE.defaults
PORTS = {"tcp": ORACLE.port, "tcps": ORACLE.tls_port}
PASSED = (
    "sid", "instance_name", "server_type", "cclass", "proxy_user", "edition", "program", "config_dir", "wallet_location",
    "wallet_password", "ssl_server_cert_dn", "https_proxy",
)  # fmt: skip
NUMBERS = ("expire_time", "sdu", "https_proxy_port")
SWITCHES = ("ssl_server_dn_match", "disable_oob")
CERTIFICATES = ("ssl_ca", "ssl_cert", "ssl_key", "ssl_key_password")
TLS = ("wallet_location", "ssl_ca", "ssl_cert", "ssl_server_cert_dn")  # who gives one of these wants tcps


@dataclass(frozen=True, slots=True)
class Login:
    """A URL and what its parameters mean. `silence_s`: no answer for that long means that nobody is there.

    ConfigError for a parameter that is not known, a value that the driver does not take, or a certificate that cannot be
    read. Values of parameters may be secrets: none is ever repeated.
    """

    url: Url
    silence_s: float
    options: tuple[tuple[str, str], ...] = ()

    @property
    def parameters(self) -> dict[str, str]:
        """The URL's parameters, then the source's options."""
        return named(self.url, self.options, ORACLE)

    @property
    def patience_s(self) -> float:
        """How long one address may take until the session is there."""
        given = self.parameters.get("connect_timeout", DEFAULTS["connect_timeout"])
        try:
            return min(float(given), self.silence_s)
        except ValueError:
            raise ConfigError(
                f"{self.url.place}: connect_timeout is not a number", hint="write connect_timeout=10, for instance"
            ) from None

    def addresses(self) -> list[oracledb.ConnectParams]:
        """What the driver is told, an address after the other in the order in which they are tried."""
        parameters = self.parameters
        if "dsn" in parameters:
            return [self._address(parameters["dsn"])]
        protocol = parameters.get(
            "protocol", "tcps" if any(name in parameters for name in TLS) else DEFAULTS["protocol"]
        ).lower()
        if protocol not in PORTS:
            raise ConfigError(f"{self.url.place}: no protocol is called {protocol!r}", hint="use protocol=tcp or tcps")
        service = self.url.path or parameters.get("service_name", "")
        if not service and "sid" not in parameters:
            raise ConfigError(
                f"{self.url.place}: the url names no service",
                hint="write oracle://user:password@host:1521/SERVICE, or …/?sid=SID, or …/?dsn=ALIAS&config_dir=/etc/oracle",
            )
        return [
            self._address(
                f"{protocol}://{f'[{host}]' if ':' in host else host or 'localhost'}:{port or PORTS[protocol]}/{service}"
            )
            for host, port in self.url.hosts or (("", ""),)
        ]

    def _address(self, place: str) -> oracledb.ConnectParams:
        parameters, url = self.parameters, self.url.place
        passed: dict[str, Any] = {name: value for name, value in parameters.items() if name in PASSED}
        passed |= {name: number(url, name, parameters[name]) for name in NUMBERS if name in parameters}
        passed |= {name: switch(url, name, parameters[name]) for name in SWITCHES if name in parameters}
        # A wallet's certificates are the driver's affair, as is the check of the server's name.
        certificates = (
            tls_context(url, *map(parameters.get, CERTIFICATES)) if set(CERTIFICATES) & set(parameters) else None
        )
        try:
            address: oracledb.ConnectParams = oracledb.ConnectParams(
                user=self.url.user or None,
                password=self.url.password or None,
                externalauth=not self.url.user,
                **{"program": DEFAULTS["program"], "expire_time": int(DEFAULTS["expire_time"]), **passed},
                ssl_context=certificates,
                tcp_connect_timeout=self.patience_s,
            )
            address.parse_connect_string(place)
            if "sid" in parameters and not (self.url.path or "service_name" in parameters):
                address.set(sid=parameters["sid"])
        except (oracledb.Error, OSError, ValueError, TypeError) as error:
            raise ConfigError(
                f"{self.url.place}: the driver cannot use the url{_code(error)}",
                hint="write oracle://user:password@host:1521/SERVICE; docs/databases/oracle.md names the parameters",
            ) from None
        if not address.get_connect_string():
            raise ConfigError(
                f"{self.url.place}: the url names no host", hint="write oracle://user:password@host:1521/SERVICE"
            )
        return address


def _code(error: BaseException) -> str:
    code = getattr(error.args[0], "full_code", "") if error.args else ""
    return f" ({code})" if code else ""
