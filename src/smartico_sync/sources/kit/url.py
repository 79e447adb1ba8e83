"""Database URLs as operators write them, passwords with special characters included."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote

from msgspec import field

from smartico_sync.core.discreet import Discreet
from smartico_sync.errors import ConfigError

__all__ = ["Url", "parse"]


class Url(Discreet, frozen=True):
    """The parts of a database URL, percent-decoded. `hosts` as written: several may be separated by commas.

    `path` is what stands after the host's slash (a database, a file). The password never appears in `repr` or `place`.
    """

    unprinted = frozenset({"password", "parameters"})

    scheme: str
    user: str
    password: str
    hosts: tuple[tuple[str, str], ...] = ()
    path: str = ""
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where the database is, fit for messages: `host:port/database`."""
        hosts = ",".join(f"{host}:{port}" if port else host for host, port in self.hosts if host)
        if not hosts:
            hosts = self.parameters.get("host", "")
        return f"{hosts}/{self.path}" if hosts else self.path


def parse(url: str) -> Url:
    """Split `scheme://user:password@host:port,host:port/path?name=value`.

    The password ends at the last `@`, so an unencoded `@`, `/`, `?`, `:` or `#` in it does no harm; a `%` followed by two
    hexadecimal digits is decoded. ConfigError when there is no scheme.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not scheme:
        raise ConfigError(
            "the source's url has no scheme", hint="write it as scheme://user:password@host:port/database"
        )
    login, at, place = rest.rpartition("@")
    user, _, password = login.partition(":") if at else ("", "", "")
    place, _, query = place.partition("?")
    hosts, _, path = place.partition("/")
    return Url(
        scheme=scheme.lower(),
        user=unquote(user),
        password=unquote(password),
        hosts=tuple(_host(part) for part in hosts.split(",")) if hosts else (),
        path=unquote(path),
        parameters=dict(parse_qsl(query, keep_blank_values=True)),
    )


def _host(text: str) -> tuple[str, str]:
    if text.startswith("["):  # an IPv6 address
        host, _, port = text[1:].partition("]")
        return host, port.removeprefix(":")
    host, _, port = text.partition(":")
    return unquote(host), port
