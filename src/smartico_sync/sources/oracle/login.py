"""How to connect, from a URL as operators write it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import oracledb

from smartico_sync.catalogue.engines import ORACLE
from smartico_sync.errors import ConfigError
from smartico_sync.sources.kit.parameters import named

if TYPE_CHECKING:
    from smartico_sync.sources.kit.url import Url

__all__ = ["Login"]

DEFAULTS = ORACLE.defaults
PORTS = {"tcp": ORACLE.port, "tcps": ORACLE.tls_port}
PASSED = (
    "sid", "instance_name", "server_type", "cclass", "proxy_user", "edition", "program", "config_dir", "wallet_location",
    "wallet_password", "ssl_server_cert_dn", "https_proxy",
)  # fmt: skip
NUMBERS = ("connect_timeout", "expire_time", "sdu", "https_proxy_port")
SWITCHES = ("ssl_server_dn_match", "disable_oob")
CERTIFICATES = ("ssl_ca", "ssl_cert", "ssl_key", "ssl_key_password")
TLS = ("wallet_location", "ssl_ca", "ssl_cert", "ssl_server_cert_dn")  # who gives one of these wants tcps
ON, OFF = ("on", "yes", "true", "1"), ("off", "no", "false", "0")


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
        return min(float(self._numbers().get("connect_timeout", DEFAULTS["connect_timeout"])), self.silence_s)

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
        parameters, numbers = self.parameters, self._numbers()
        passed: dict[str, Any] = {name: value for name, value in parameters.items() if name in PASSED}
        passed |= {name: value for name, value in numbers.items() if name != "connect_timeout"}
        passed |= {name: self._switch(name) for name in SWITCHES if name in parameters}
        try:
            address: oracledb.ConnectParams = oracledb.ConnectParams(
                user=self.url.user or None,
                password=self.url.password or None,
                externalauth=not self.url.user,
                **{"program": DEFAULTS["program"], "expire_time": int(DEFAULTS["expire_time"]), **passed},
                ssl_context=self._certificates(parameters),
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

    def _numbers(self) -> dict[str, int | float]:
        given = {name: value for name, value in self.parameters.items() if name in NUMBERS}
        try:
            return {name: float(value) if name == "connect_timeout" else int(value) for name, value in given.items()}
        except ValueError:
            raise ConfigError(
                f"{self.url.place}: one of {', '.join(given)} is not a number", hint="mend the url's parameters"
            ) from None

    def _switch(self, name: str) -> bool:
        word = self.parameters[name].lower()
        if word not in (*ON, *OFF):
            raise ConfigError(f"{self.url.place}: {name} is neither on nor off", hint=f"write {name}=on or {name}=off")
        return word in ON

    def _certificates(self, parameters: dict[str, str]) -> ssl.SSLContext | None:
        """Certificates in files of their own; a wallet's are the driver's affair, as is the check of the server's name."""
        if not any(name in parameters for name in CERTIFICATES):
            return None
        try:
            context = ssl.create_default_context(cafile=parameters.get("ssl_ca"))
            if "ssl_cert" in parameters:
                context.load_cert_chain(
                    parameters["ssl_cert"], parameters.get("ssl_key"), parameters.get("ssl_key_password")
                )
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{self.url.place}: a certificate or key of the url cannot be read: {getattr(error, 'strerror', '') or error}",
                hint="check the paths of ssl_ca, ssl_cert and ssl_key",
            ) from None
        return context


def _code(error: BaseException) -> str:
    code = getattr(error.args[0], "full_code", "") if error.args else ""
    return f" ({code})" if code else ""
