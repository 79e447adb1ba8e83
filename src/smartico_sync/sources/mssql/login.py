"""How to connect, from a URL as operators write it: which ODBC driver, and what it is told."""

from __future__ import annotations

import platform
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import pyodbc

from smartico_sync.errors import DriverMissing
from smartico_sync.sources.kit.login import BaseLogin

if TYPE_CHECKING:
    from smartico_sync.core.encryption import Encryption

__all__ = ["Login"]

# What each driver calls our parameters; None: it has no such thing.
SPELLED: dict[str, tuple[str | None, str | None]] = {
    "encrypt": ("Encrypt", "Encryption"),
    "trust_server_certificate": ("TrustServerCertificate", ""),
    "hostname_in_certificate": ("HostNameInCertificate", None),
    "server_certificate": ("ServerCertificate", None),
    "application_intent": ("ApplicationIntent", "ApplicationIntent"),
    "multi_subnet_failover": ("MultiSubnetFailover", None),
    "authentication": ("Authentication", None),
    "trusted_connection": ("Trusted_Connection", "Trusted_Connection"),
    "server_spn": ("ServerSPN", "ServerSPN"),
    "app": ("APP", "APP"),
    "packet_size": ("PacketSize", "PacketSize"),
    "tds_version": (None, "TDS_Version"),
    "driver": ("", ""),
    "connect_timeout": ("", ""),
}
INTENTS = {"readonly": "ReadOnly", "readwrite": "ReadWrite"}
YES, NO = ("yes", "true", "1", "mandatory"), ("no", "false", "0", "optional")
# What FreeTDS calls the degrees of encryption.
ENCRYPTION = {"yes": "require", "no": "off", "strict": "strict"}
PACKAGED = "mssql_python_odbc"  # comes with PyPI's mssql-python: Microsoft's driver as a library
SPECIAL = re.compile(r"[\[\]{}(),;?*=!@\s]")


class Login(BaseLogin):
    """Hosts, the ODBC driver, and what it is told. DriverMissing where there is no driver."""

    usual: ClassVar[Encryption] = "verified"
    grace_s = 3.0  # the driver waits two seconds for the server to hear that a query is cancelled

    @property
    def driver(self) -> str:
        """The ODBC driver, by name or path: the one the URL names, else Microsoft's newest, else FreeTDS."""
        if chosen := self.parameters.get("driver"):
            return chosen
        installed: list[str] = pyodbc.drivers()
        ours = sorted(
            (name for name in installed if re.fullmatch(r"ODBC Driver \d+ for SQL Server", name)), key=_number
        )
        free = [name for name in installed if "freetds" in name.lower()]
        found = [*ours[-1:], *_packaged(), *free]
        if not found:
            raise DriverMissing(
                f"{self.url.place}: no ODBC driver for SQL Server is installed",
                hint="install Microsoft's msodbcsql18, or pip install mssql-python, or apt-get install tdsodbc",
            )
        return found[0]

    @property
    def connect_timeout_s(self) -> int:
        """Whole seconds, which is what ODBC counts."""
        return max(1, min(self.number("connect_timeout"), round(self.silence_s)))

    @property
    def encrypted(self) -> Literal["yes", "no"]:
        """Whether others can read along."""
        return "no" if self._word("encrypt", strict="strict") == "no" else "yes"

    def check(self) -> None:
        """Tell what the driver cannot use, before the first poll."""
        _ = self.connect_timeout_s
        for host in self.hosts():
            self.dial(*host)

    def hosts(self) -> tuple[tuple[str, int], ...]:
        """Hosts in the order in which they are tried."""
        return tuple((host or "localhost", port) for host, port in super().hosts())

    def written(self) -> Encryption | None:
        """By `encrypt` and `trust_server_certificate`."""
        if not {"encrypt", "trust_server_certificate"} & set(self.parameters):
            return None
        if self._word("encrypt", strict="strict") == "no":
            return "off"
        return "unverified" if self._word("trust_server_certificate") == "yes" else "verified"

    def dial(self, host: str, port: int) -> str:
        """The connection string for one host."""
        driver = self.driver
        free = _is_free(driver)
        told = {"DRIVER": driver}
        told |= {"SERVER": host, "PORT": str(port)} if free else {"SERVER": f"tcp:{host},{port}"}
        told |= {"DATABASE": self.url.path} if self.url.path else {}
        told |= {"UID": self.url.user, "PWD": self.url.password} if self.url.user else {}
        told |= {"APP": self.given("app"), **self._told(free=free)}
        # A connection that breaks is opened again by the pool, with all its settings.
        own = (
            {"TDS_Version": self.given("tds_version"), "ClientCharset": "UTF-8"} if free else {"ConnectRetryCount": "0"}
        )
        told |= own | told
        return ";".join(f"{name}={self._quoted(value, free=free)}" for name, value in told.items())

    def _told(self, *, free: bool) -> dict[str, str]:
        """The URL's parameters in the driver's words."""
        intent = self.one_of(tuple(INTENTS), "application_intent", self.given("application_intent").lower())
        level = self.encryption
        said = {"off": {"encrypt": "no"}, "unverified": {"trust_server_certificate": "yes"}}.get(level, {})
        ours = {
            "application_intent": INTENTS[intent],
            "encrypt": self._word("encrypt", strict="strict"),
            "trust_server_certificate": self._word("trust_server_certificate"),
            **said,
        }
        given = ours | self.parameters | ours
        if free:
            if given["encrypt"] != "no" and given["trust_server_certificate"] == "no":
                raise self.wrong(
                    "FreeTDS cannot be told here to verify the server's certificate",
                    "use Microsoft's driver; or say trust_server_certificate=yes, and `ca file` in freetds.conf makes FreeTDS verify",
                )
            given["encrypt"] = ENCRYPTION[given["encrypt"]]
        told = {}
        for name, value in given.items():
            spelled = SPELLED[name][free]
            if spelled is None:
                who = "FreeTDS" if free else "this driver"
                raise self.wrong(f"{who} has no parameter {name}", "leave it out, or name another driver with driver=")
            if spelled:
                told[spelled] = value
        return told

    def _quoted(self, value: str, *, free: bool) -> str:
        """A value of a connection string; braces keep every character as it is."""
        if value and not SPECIAL.search(value):
            return value
        if not free:
            return "{" + value.replace("}", "}}") + "}"
        if "};" in value:  # the one end that FreeTDS looks for
            hint = "choose another, or use Microsoft's driver"
            raise self.wrong("FreeTDS takes no password or name with }; in it", hint)
        return "{" + value + "}"

    def _word(self, name: str, strict: str = "") -> str:
        word = self.given(name).lower()
        if word == strict and strict:
            return word
        if word not in YES + NO:
            raise self.wrong(f"{name} is neither yes nor no", f"use yes{', strict' if strict else ''} or no")
        return "yes" if word in YES else "no"


def _is_free(driver: str) -> bool:
    return "freetds" in driver.lower() or "tdsodbc" in driver.lower()


def _number(name: str) -> int:
    return int(re.findall(r"\d+", name)[0])


def _packaged() -> list[str]:
    """Path of the driver in the Python package of Microsoft's own client, the build for this system first."""
    spec = find_spec(PACKAGED)
    if spec is None or spec.origin is None:
        return []
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    family = f"{release.get('ID', '')} {release.get('ID_LIKE', '')}"
    like = next((word for word in ("suse", "rhel", "alpine") if word in family), "debian_ubuntu")
    found = Path(spec.origin).parent.glob("libs/linux/*/*/lib/libmsodbcsql*")
    return [str(path) for path in sorted(found, key=lambda path: (path.parts[-4] != like, path))][:1]
