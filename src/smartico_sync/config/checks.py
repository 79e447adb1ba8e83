"""What no single field can tell: rules over a section, and between sections. Pure; each check yields problems."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct, field

from smartico_sync.config.problems import Loc, Problem, one_of
from smartico_sync.config.source_checks import PORTS, engine_of, source_problems
from smartico_sync.config.surroundings import Where
from smartico_sync.config.view_checks import view_problems
from smartico_sync.core.encryption import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import SecretStr

    from smartico_sync.config.models import AlertReceiver, Brand, Health, Pii, Smartico, SourceConfig, Tracing, View
    from smartico_sync.core.encryption import Encryption

__all__ = ["Parts", "check", "key_problem", "public_key_problem", "webhook"]

KEY_BYTES = 32  # AES-256
# The key of the example with Docker Compose, which anybody can read.
PUBLIC_KEY = b"demo-key-not-a-secret-32-bytes!!"
SANDBOX = "sandbox"  # what the example calls the ingest API's stand-in
LONGEST_HOST = 253  # of a name in DNS
HOST = r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*"


class Parts(Struct):
    """The sections that are valid by themselves; what the models refused is not here, so it is not judged twice.

    Names of sources and views are those of the whole file.
    """

    smartico: Smartico | None = None
    pii: Pii | None = None
    health: Health | None = None
    alerts: dict[str, AlertReceiver] = field(default_factory=dict)
    tracing: Tracing | None = None
    sources: dict[str, SourceConfig] = field(default_factory=dict)
    views: dict[int, View] = field(default_factory=dict)
    source_names: frozenset[str] = frozenset()
    view_names: dict[int, str] = field(default_factory=dict)
    view_sources: dict[int, str] = field(default_factory=dict)


def check(parts: Parts) -> Iterator[Problem]:
    """All problems of the valid sections."""
    if parts.smartico:
        yield from smartico_problems(parts.smartico)
    if parts.pii:
        yield from pii_problems(parts.pii)
    if parts.health:
        yield from health_problems(parts.health)
    for name, receiver in parts.alerts.items():
        yield from alert_problems(("alerts", name), receiver)
    if parts.tracing:
        yield from tracing_problems(parts.tracing)
    for name, source in parts.sources.items():
        yield from source_problems(("sources", name), source)
    engines = {name: engine_of(source.url) for name, source in parts.sources.items()}
    names: dict[str, int] = {}
    for index, name in parts.view_names.items():
        first = names.setdefault(name, index)
        if first != index:
            yield Problem(("views", index, "name"), f"the name {name!r} is taken by views[{first}]; names are unique")
    yield from identity_problems(parts)
    for index, source_name in parts.view_sources.items():
        if source_name not in parts.source_names:
            known = one_of(source_name, sorted(parts.source_names))
            yield Problem(("views", index, "source"), f"no source {source_name!r}; {known}")
    for index, view in parts.views.items():
        yield from view_problems(view, Where(index, engines.get(view.source), parts.pii))


def identity_problems(parts: Parts) -> Iterator[Problem]:
    """Views that would make the same event ids."""
    taken: dict[str, int] = {}
    for index, view in parts.views.items():
        first = taken.setdefault(view.identity or view.name, index)
        if first != index and view.name != parts.view_names.get(first):
            at = "identity" if view.identity else "name"
            yield Problem(
                ("views", index, at),
                f"{view.identity or view.name!r} is the identity of views[{first}]; two views of one identity would make the same "
                "event ids",
            )


def either(section: Any, loc: Loc, name: str, *, need: str) -> Iterator[Problem]:
    """Exactly one of `name` and `name_file`, or at most one where `need` is empty."""
    value: SecretStr | None = getattr(section, name)
    in_file: str | None = getattr(section, f"{name}_file")
    if value is not None and in_file is not None:
        yield Problem((*loc, f"{name}_file"), f"{name} is there too; keep one of them", "key")
    elif value is not None and not value.get_secret_value().strip():
        yield Problem((*loc, name), "found nothing, expected a secret; an empty variable is no secret")
    elif value is None and in_file is None and need:
        yield Problem((*loc, name), f"missing: {need}", "key")


def smartico_problems(smartico: Smartico) -> Iterator[Problem]:
    """URLs and tokens."""
    yield from url_problems(("smartico", "url"), smartico.url, smartico.encryption)
    brands: Mapping[str, Brand] = smartico.brands
    own = [brand.token is not None or brand.token_file is not None for brand in brands.values()]
    everywhere = bool(own) and all(own)
    need = "" if everywhere else "`token`, `token_file`, or one of them for every brand; best as ${SMARTICO_TOKEN}"
    yield from either(smartico, ("smartico",), "token", need=need)
    for name, brand in brands.items():
        loc = ("smartico", "brands", name)
        yield from either(brand, loc, "token", need="")
        if brand.url is not None:
            yield from url_problems((*loc, "url"), brand.url, smartico.encryption)


def alert_problems(loc: Loc, receiver: AlertReceiver) -> Iterator[Problem]:
    """A webhook's URL, which is a secret: it is not shown."""
    yield from either(receiver, loc, "url", need="`url` or `url_file`; best as ${SLACK_WEBHOOK}")
    if receiver.url is not None and receiver.url.get_secret_value().strip() and not webhook(receiver.url):
        yield Problem((*loc, "url"), "expected an http or https URL with a host")


def tracing_problems(tracing: Tracing) -> Iterator[Problem]:
    """Where spans go."""
    if tracing.endpoint is None and (tracing.headers or tracing.share < 1):
        yield Problem(
            ("tracing", "endpoint"), "missing: where spans go, such as http://localhost:4318/v1/traces", "key"
        )
    if tracing.endpoint is not None and not postable(tracing.endpoint):
        yield Problem(
            ("tracing", "endpoint"),
            "expected an http or https URL with a host, such as http://localhost:4318/v1/traces",
        )


def webhook(url: SecretStr) -> bool:
    """Whether something can be posted to a URL that is a secret."""
    return postable(url.get_secret_value())


def postable(url: str) -> bool:
    """Whether something can be posted to a URL."""
    try:
        parsed = urlsplit(url)
        return parsed.scheme in ("http", "https") and bool(parsed.hostname) and parsed.port != 0
    except ValueError:
        return False


def url_problems(loc: Loc, url: str, encryption: Encryption) -> Iterator[Problem]:
    """Expect an ingest URL: https, or http within this machine or where it is said in words; and a host."""
    example = "such as https://apis6.smartico.ai/api/external/events/v2"
    try:
        parsed = urlsplit(url)
        port = parsed.port
    except ValueError:
        yield Problem(loc, f"not a URL; expected the whole address of the API, {example}")
        return
    if parsed.scheme not in ("http", "https") or not parsed.hostname or re.search(r"\s", url):
        yield Problem(loc, f"expected an http or https URL with a host, {example}")
    elif port == 0:
        yield Problem(loc, "expected a port from 1 to 65535")
    elif not host_exists(parsed.hostname):
        yield Problem(loc, "no host can have this name: between two dots stand 1 to 63 letters, digits or hyphens")
    elif parsed.username or parsed.password:
        yield Problem(loc, "expected no user or password in the URL: the token is sent as a header")
    elif parsed.scheme == "http" and encryption != "off" and not is_loopback(parsed.hostname):
        yield Problem(
            loc,
            "http would send token and players in the clear to another machine: write https, or say it in words with "
            "`encryption: off` below `smartico`",
        )


def host_exists(host: str) -> bool:
    """Whether a host can have this name; an IPv6 address is none, and fine."""
    try:
        name = host.encode("idna").decode("ascii").removesuffix(".")
    except UnicodeError:  # a label that is empty or too long
        return False
    return ":" in host or (len(name) <= LONGEST_HOST and re.fullmatch(HOST, name) is not None)


def pii_problems(pii: Pii) -> Iterator[Problem]:
    """Expect a key for what is encrypted."""
    need = (
        "`key` or `key_file`, because `mode` is encrypt; `smartico-sync keys new` prints a key"
        if pii.mode == "encrypt"
        else ""
    )
    yield from either(pii, ("pii",), "key", need=need)
    both = sorted(set(pii.properties) & set(pii.in_the_clear))
    if both:
        yield Problem(("pii", "in_the_clear"), f"{both[0]} is in `pii.properties` too; keep one of them")


def key_problem(pii: Pii) -> str:
    """Say what is wrong with the key, once it has been read, or nothing. Plug-ins judge their own keys."""
    if pii.mode != "encrypt" or pii.encryptor != "aes-256-gcm" or pii.key is None:
        return ""
    text = pii.key.get_secret_value().strip()
    make = f"expected {KEY_BYTES} bytes in base64; `smartico-sync keys new` prints such a key"
    try:
        key = decoded(text)
    except (binascii.Error, ValueError):
        return f"the key is not base64; {make}"
    return "" if len(key) == KEY_BYTES else f"the key has {len(key)} bytes; {make}"


def decoded(key: str) -> bytes:
    """The bytes of a key. Raises binascii.Error and ValueError."""
    return base64.b64decode(key.strip().translate({ord("-"): "+", ord("_"): "/"}), validate=True)


def public_key_problem(pii: Pii, smartico: Smartico) -> str:
    """Say that the key is the one of the example, unless nothing leaves this machine or goes anywhere but to the sandbox."""
    if pii.mode != "encrypt" or pii.key is None:
        return ""
    try:
        if decoded(pii.key.get_secret_value()) != PUBLIC_KEY:
            return ""
    except (binascii.Error, ValueError):
        return ""
    urls = [smartico.url, *(brand.url for brand in smartico.brands.values() if brand.url)]
    hosts = [urlsplit(url).hostname or "" for url in urls]
    if all(is_loopback(host) or host == SANDBOX for host in hosts):
        return ""
    return "this is the key of the example, which anybody can read; `smartico-sync keys new` prints one of your own"


def health_problems(health: Health) -> Iterator[Problem]:
    """Expect an address to listen on, and one token at most."""
    yield from either(health, ("health",), "token", need="")
    host, colon, port = health.listen.rpartition(":")
    plain = host.strip("[]")
    fine = (
        colon
        and port.isdecimal()
        and port.isascii()
        and int(port) in PORTS
        and (":" not in plain or host.startswith("["))
    )
    if health.listen != "off" and not (fine and re.fullmatch(r"[A-Za-z0-9_.:%-]*", plain)):
        yield Problem(("health", "listen"), "expected address and port such as 127.0.0.1:8080, or off")
