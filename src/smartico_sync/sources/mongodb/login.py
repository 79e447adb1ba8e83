"""How to connect, from a URL as operators write it: the driver's own parameters, those that would change what is read left out."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlencode

from pymongo import MongoClient, uri_parser
from pymongo.errors import ConfigurationError, PyMongoError

from smartico_sync.errors import ConfigError
from smartico_sync.sources.kit.login import BaseLogin

if TYPE_CHECKING:
    from smartico_sync.core.encryption import Encryption

__all__ = ["Login"]

SRV = "mongodb+srv"
OURS = ("sample",)  # no parameter of the driver
CARELESS = ("tlsAllowInvalidCertificates", "tlsAllowInvalidHostnames")
MOST_SAMPLED = 100_000


class Login(BaseLogin):
    """The database, and the driver's own URI of it."""

    @property
    def database(self) -> str:
        """The database whose collections and views are read."""
        return self.url.path

    @property
    def sample(self) -> int:
        """How many documents columns and types are learnt from."""
        text = self.given("sample")
        if not text.isdigit() or not 0 < int(text) <= MOST_SAMPLED:
            raise self.wrong(f"sample is a number from 1 to {MOST_SAMPLED}")
        return int(text)

    def written(self) -> Encryption | None:
        """By `tls`, on by itself with an SRV record, and by what gives a part of it up."""
        parameters = self.parameters
        secure = parameters.get("tls", "true" if self.url.scheme == SRV else "").lower()
        careless = any(parameters.get(name, "").lower() == "true" for name in CARELESS)
        if not secure:
            return "unverified" if careless else None
        return "off" if secure != "true" else "unverified" if careless else "verified"

    def _protected(self) -> dict[str, str]:
        """What the connection's encryption asks of the driver."""
        level = self.encryption
        if level != "verified" and self.remote and self.parameters.get("authMechanism", "").upper() == "PLAIN":
            raise self.wrong(
                f"authMechanism=PLAIN gives the password to whoever answers, as the connection is {self.standing}",
                "use verified TLS, or SCRAM",
            )
        match level:
            case "usual":
                return {}
            case "verified":
                return {"tls": "true"}
            case "unverified":
                return {"tls": "true"} | ({} if self.written() else dict.fromkeys(CARELESS, "true"))
            case "off":
                return {"tls": "false"}

    @property
    def encrypted(self) -> Literal["yes", "no"]:
        """Whether others can read along: what is named by an SRV record is encrypted unless told otherwise."""
        given = self.parameters.get("tls", str(self.url.scheme == SRV))
        return "yes" if given.lower() == "true" or "tlsCAFile" in self.parameters else "no"

    def address(self) -> str:
        """The driver's URI, without user and password."""
        silence_ms = str(int(self.silence_s * 1000))
        given = {name: value for name, value in self.parameters.items() if name not in OURS}
        chosen = {
            "readPreference": self.given("readPreference"),
            "appName": self.given("appName"),
            "serverSelectionTimeoutMS": silence_ms,
            "connectTimeoutMS": silence_ms,
            **self._protected(),
            **given,
            # Without a limit of its own a silent network would be waited for as long as the system likes.
            "socketTimeoutMS": silence_ms,
            "waitQueueTimeoutMS": silence_ms,
            "maxPoolSize": str(self.pool),
        }
        if chosen["readPreference"] != "primary":
            chosen["maxStalenessSeconds"] = self.given("maxStalenessSeconds")
        hosts = ",".join(_host(*each) for each in self.url.hosts)
        return f"{self.url.scheme}://{hosts}/{quote(self.database, safe='')}?{urlencode(chosen, quote_via=quote)}"

    def client(self) -> MongoClient[dict[str, Any]]:
        """A client with a pool of its own, which connects at its first use. An SRV record is looked up at once."""
        login: dict[str, Any] = {"username": self.url.user} if self.url.user else {}
        if self.url.password:
            login["password"] = self.url.password
        return MongoClient(self.address(), connect=False, tz_aware=True, **login)

    def check(self) -> None:
        """Tell what cannot be used, before the first poll."""
        if not self.url.hosts:
            hint = "write mongodb://user:password@host:27017/database"
            raise ConfigError("the source's url names no host", hint=hint)
        if not self.database:
            hint = "write it behind the host: mongodb://host/casino?authSource=admin"
            raise self.wrong("the url names no database", hint)
        _ = self.sample
        for name, value in self.parameters.items():
            if name not in OURS and not _valid(urlencode({name: value}, quote_via=quote)):
                raise self._unusable(f"{name} holds what the driver cannot use")
        if self.url.scheme == SRV:
            return  # the driver's own check would ask the name server
        try:
            self.client().close()
        except ConfigurationError as error:
            words = str(error)
            secret = self.url.password
            raise self._unusable("a parameter is wrong" if secret and secret in words else words) from None
        except (PyMongoError, ValueError, TypeError, OSError):
            raise self._unusable("a host, a port or a file is wrong") from None

    def _unusable(self, why: str) -> ConfigError:
        return self.wrong(why, "see docs/databases/mongodb.md")


def _valid(parameter: str) -> bool:
    """Whether the driver takes it, each by itself: its messages hold values, so they are not told."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            uri_parser.parse_uri(f"mongodb://host/?{parameter}", validate=True, warn=False)
    except ConfigurationError:
        return True  # it goes with others, which the whole URL is judged by
    except (PyMongoError, ValueError, TypeError, OSError):
        return False
    return True


def _host(host: str, port: str) -> str:
    name = f"[{host}]" if ":" in host else quote(host, safe="")
    return f"{name}:{port}" if port else name
