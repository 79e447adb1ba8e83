"""What a source's URL and options mean, by the names that its engine's declaration gives parameters."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from smartico_sync.catalogue.engines import BROKERS, ENGINES
from smartico_sync.config.source_checks import nearest_parameter
from smartico_sync.core.encryption import STANDING, WITHIN, is_loopback
from smartico_sync.errors import ConfigError
from smartico_sync.sources.kit.url import parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.encryption import Encryption

__all__ = ["CERTIFICATES", "BaseLogin"]

LONGEST_MS = 11 * 86_400_000  # drivers take less than a billion, sockets count in 31 bits: what is longer is no limit
GRACE_S = 2.0  # the server's own timeout comes first; its answer needs a moment to arrive
ON, OFF = ("on", "yes", "true", "1"), ("off", "no", "false", "0")
CERTIFICATES = ("ssl_ca", "ssl_cert", "ssl_key", "ssl_key_password")


class BaseLogin:
    """How one source is reached. `silence_s`: no answer for that long means that nobody is there.

    `parameters` are those of the URL, then the source's options; those that change nothing here are left out. Whatever cannot
    be used raises ConfigError, an unknown parameter with the nearest. Values may be secrets: none is repeated, but where only a
    few words can be meant.
    """

    grace_s: ClassVar[float] = GRACE_S
    files: ClassVar[tuple[str, ...]] = ()
    """Parameters that name a file."""
    levels: ClassVar[tuple[Encryption, ...]] = ("verified", "unverified", "off")
    """What the driver can do."""
    usual: ClassVar[Encryption] = "off"
    """What is promised of a connection within this machine when nothing is said."""

    def __init__(self, config: SourceConfig) -> None:
        self.url = parse(config.url.get_secret_value())
        self.engine = {**ENGINES, **BROKERS}[self.url.scheme.partition("+")[0]]
        self.timeout_ms = min(config.statement_timeout, LONGEST_MS)
        self.silence_s = self.timeout_ms / 1000 + self.grace_s
        self.pool = config.pool
        self.said = config.encryption
        self.parameters: dict[str, str] = {}
        for written, value in (*self.url.parameters.items(), *sorted(config.options.items())):
            parameter = self.engine.parameter(written)
            if parameter is None:
                raise self.wrong(*nearest_parameter(self.engine, written))
            if parameter.use == "applied":
                self.parameters[parameter.name] = value

    @property
    def place(self) -> str:
        """Where the database is, for messages."""
        return self.url.place

    @property
    def connect_timeout_s(self) -> float:
        """Seconds that one host may take to answer; no longer than a silence."""
        try:
            return min(float(self.given("connect_timeout")), self.silence_s)
        except ValueError:
            raise self.wrong("connect_timeout is not a number", "write connect_timeout=10, for instance") from None

    def check(self) -> None:
        """Tell what the driver cannot use, before the first poll."""
        _ = self.encryption
        for name in self.files:
            self.content(name)

    @property
    def encryption(self) -> Encryption | Literal["usual"]:
        """What is promised of each connection: what the source says, or its parameters; usual within this machine, else verified.

        ConfigError where the two contradict each other, and where only a parameter says to give something up on the way to
        another machine.
        """
        said, written = self.said, self.written()
        if said is not None and said not in self.levels:
            raise self.wrong(
                f"`encryption: {said}` is not to be had: the driver of {self.engine.title} knows "
                f"{' and '.join(self.levels)} only",
                f"use `encryption: {self.levels[0]}`, or a tunnel on this machine",
            )
        if said is not None and written not in (None, said):
            raise self.wrong(
                f"`encryption: {said}` of the source, and its parameters say {written}: they contradict each other",
                "keep one of them",
            )
        if said is None and written not in (None, "verified") and self.remote:
            raise self.wrong(
                f"the parameters say {STANDING[written]}, on the way to another machine",
                f"leave them out for verified TLS, or say it in words: `encryption: {written}` of the source",
            )
        return said or written or ("verified" if self.remote else "usual")

    @property
    def standing(self) -> str:
        """The same as people read it."""
        level = self.encryption
        return STANDING[self.usual if level == "usual" else level] + ("" if self.remote else WITHIN)

    def written(self) -> Encryption | None:
        """What the parameters promise; None where they say nothing."""
        return None

    def machines(self) -> tuple[str, ...]:
        """The hosts that are connected to; an empty one is this machine."""
        return tuple(host for host, _ in self.url.hosts)

    @property
    def remote(self) -> bool:
        """Whether any host may be another machine."""
        return any(host and not is_loopback(host) for host in self.machines())

    def wrong(self, told: str, hint: str = "") -> ConfigError:
        """What cannot be used, and what to write instead."""
        return ConfigError(f"{self.place}: {told}", hint=hint)

    def given(self, name: str) -> str:
        """A parameter, or its default."""
        return self.parameters[name] if name in self.parameters else self.engine.defaults[name]

    def number(self, name: str) -> int:
        """A whole number."""
        try:
            return int(self.given(name))
        except ValueError:
            raise self.wrong(f"{name} is not a number", f"write {name}=10, for instance") from None

    def switch(self, name: str) -> bool:
        """On or off."""
        value = self.given(name).lower()
        if value not in (*ON, *OFF):
            raise self.wrong(f"{name} is neither on nor off", f"write {name}=on or {name}=off")
        return value in ON

    def one_of(self, words: Sequence[str], name: str, value: str, hint: str = "") -> str:
        """The value of a parameter, which is one of these words."""
        if value not in words:
            raise self.wrong(f"no {name} is called {value!r}", hint or f"use one of: {', '.join(words)}")
        return value

    def content(self, name: str) -> bytes:
        """What stands in the file that a parameter names; nothing without one."""
        path = self.parameters.get(name)
        try:
            return b"" if path is None else Path(path).read_bytes()
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}", hint=f"check {name} of the source") from None

    def hosts(self) -> tuple[tuple[str, int], ...]:
        """Hosts and ports in the order in which they are tried, the engine's own port where none is written."""
        try:
            return tuple((host, int(port or self.port(host))) for host, port in self.url.hosts or (("", ""),))
        except ValueError:
            raise self.wrong("a port is not a number", f"write host:{self.engine.port}") from None

    def port(self, host: str) -> int:  # noqa: ARG002  - for engines with several
        """The port of a host that names none."""
        return self.engine.port

    def tls_context(self) -> ssl.SSLContext:
        """Of certificates and a key in files, as far as they are given."""
        ca, certificate, key, password = map(self.parameters.get, CERTIFICATES)
        try:
            context = ssl.create_default_context(cafile=ca)
            if certificate is not None:
                context.load_cert_chain(certificate, key, password)
        except (OSError, ValueError) as error:
            raise self.wrong(
                f"a certificate or key of the url cannot be read: {getattr(error, 'strerror', '') or error}",
                "check the paths of ssl_ca, ssl_cert and ssl_key",
            ) from None
        return context
