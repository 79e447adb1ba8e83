"""The parameters of a source, by the names that its engine's declaration gives them, and what their values mean.

Values may be secrets: no failure repeats one.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from smartico_sync.config.source_checks import nearest_parameter
from smartico_sync.errors import ConfigError
from smartico_sync.sources.kit.url import parse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from smartico_sync.catalogue.engines import Engine
    from smartico_sync.config.models import SourceConfig
    from smartico_sync.sources.kit.url import Url

__all__ = ["GRACE_S", "connection_of", "content", "hosts_of", "named", "number", "switch", "tls_context"]

GRACE_S = 2.0  # the server's own timeout comes first; its answer needs a moment to arrive
ON, OFF = ("on", "yes", "true", "1"), ("off", "no", "false", "0")


def connection_of(config: SourceConfig, grace_s: float = GRACE_S) -> tuple[Url, float, tuple[tuple[str, str], ...]]:
    """The URL, how long a silence means that nobody is there, and the source's options."""
    options = tuple(sorted(config.options.items()))
    return parse(config.url.get_secret_value()), config.statement_timeout / 1000 + grace_s, options


def named(url: Url, options: Iterable[tuple[str, str]], engine: Engine) -> dict[str, str]:
    """The URL's parameters, then the source's options; those that change nothing here are left out.

    ConfigError for one that the engine does not have, with the nearest.
    """
    found = {}
    for written, value in (*url.parameters.items(), *options):
        parameter = engine.parameter(written)
        if parameter is None:
            problem, hint = nearest_parameter(engine, written)
            raise ConfigError(f"{url.place}: {problem}", hint=hint)
        if parameter.use == "applied":
            found[parameter.name] = value
    return found


def number(place: str, name: str, value: str) -> int:
    """A whole number; ConfigError for anything else."""
    try:
        return int(value)
    except ValueError:
        raise ConfigError(f"{place}: {name} is not a number", hint=f"write {name}=10, for instance") from None


def switch(place: str, name: str, value: str) -> bool:
    """On or off; ConfigError for anything else."""
    if value.lower() not in (*ON, *OFF):
        raise ConfigError(f"{place}: {name} is neither on nor off", hint=f"write {name}=on or {name}=off")
    return value.lower() in ON


def content(name: str, path: str) -> bytes:
    """What stands in a file that a parameter names; ConfigError where it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint=f"check {name} of the source") from None


def hosts_of(url: Url, port: int | None) -> tuple[tuple[str, int], ...]:
    """Hosts and ports in the order in which they are tried, the engine's own port where none is written."""
    try:
        return tuple((host, int(written or port or 0)) for host, written in url.hosts or (("", ""),))
    except ValueError:
        raise ConfigError(f"{url.place}: a port is not a number", hint=f"write host:{port}") from None


def tls_context(
    place: str, ca: str | None, certificate: str | None, key: str | None, password: str | None
) -> ssl.SSLContext:
    """Of certificates and a key in files, as far as they are given; ConfigError where one cannot be read."""
    try:
        context = ssl.create_default_context(cafile=ca)
        if certificate is not None:
            context.load_cert_chain(certificate, key, password)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{place}: a certificate or key of the url cannot be read: {getattr(error, 'strerror', '') or error}",
            hint="check the paths of ssl_ca, ssl_cert and ssl_key",
        ) from None
    return context
