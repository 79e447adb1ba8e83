"""Rules of one source: which engine its URL names, ports, parameters, options, and the zone. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from smartico_sync.catalogue.engines import BROKERS, ENGINES, find
from smartico_sync.config.problems import Problem, one_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import SecretStr

    from smartico_sync.catalogue.engines import Engine
    from smartico_sync.config.models import Configuration, SourceConfig, View
    from smartico_sync.config.problems import Loc

__all__ = [
    "engine_of",
    "is_broker",
    "nearest_engine",
    "nearest_parameter",
    "place_of",
    "shown_scheme",
    "source_problems",
]

PORTS = range(1, 65_536)
# What stands in a name's place may be a secret that came there by mistake: only what looks like a name is shown.
SCHEME = re.compile(r"[a-z]{1,12}(\+[a-z][a-z0-9_]{0,19})?")
NAME = re.compile(r"[A-Za-z][\w .-]{0,59}")


def engine_of(url: SecretStr) -> Engine | None:
    """Tell the engine a source's URL names; None when it names none that is known."""
    scheme, separator, _ = url.get_secret_value().partition("://")
    return find(scheme) if separator else None


def is_broker(configuration: Configuration, view: View) -> bool:
    """Whether a view's source is a broker, whose messages come and are not asked for."""
    engine = engine_of(configuration.sources[view.source].url)
    return engine is not None and engine.reads == "messages"


def place_of(url: SecretStr) -> str:
    """A name for the database behind a URL, whoever reads it and with whatever parameters: a hash, 16 digits."""
    scheme, _, rest = url.get_secret_value().partition("://")
    engine = find(scheme)
    place = rest.rpartition("@")[2].partition("?")[0]
    return hashlib.sha256(f"{engine.scheme if engine else scheme}://{place}".encode()).hexdigest()[:16]


def shown_scheme(scheme: str) -> str:
    """Return the scheme, or as much of it as may be shown."""
    scheme = scheme.lower()
    dialect = scheme.partition("+")[0]
    return next((text for text in (scheme, dialect) if SCHEME.fullmatch(text)), "")


def nearest_engine(scheme: str) -> str:
    """Say which engines there are, the nearest to an unknown scheme first."""
    others = (*BROKERS, *(name for engine in (*ENGINES.values(), *BROKERS.values()) for name in engine.aliases))
    return one_of(shown_scheme(scheme).partition("+")[0], ENGINES, others)


def nearest_parameter(engine: Engine, name: str) -> tuple[str, str]:
    """Say that an engine has no such parameter; then what it has, the nearest first."""
    shown = f"parameter `{name}`" if NAME.fullmatch(name) else "such parameter"
    names = [each.name for each in engine.parameters if each.use == "applied"]
    others = (name for each in engine.parameters for name in each.others)
    return f"{engine.title} has no {shown}", "; ".join(filter(None, (one_of(name, names, others), engine.beyond)))


def source_problems(loc: Loc, source: SourceConfig) -> Iterator[Problem]:
    """Expect a database URL; nothing of it but its scheme and the names of its parameters is ever shown."""
    scheme, separator, rest = source.url.get_secret_value().partition("://")
    engine = engine_of(source.url)
    if not separator or not scheme:
        yield Problem((*loc, "url"), f"expected engine://user:password@host:port/database; {one_of('', ENGINES)}")
    elif engine is None:
        shown = shown_scheme(scheme)
        word = f" {shown!r}" if shown else ""
        yield Problem((*loc, "url"), f"unknown engine{word} before '://'; {nearest_engine(scheme)}")
    else:
        place = rest.rpartition("@")[2]
        if engine.port and not all(map(is_port, ports(place))):
            yield Problem(
                (*loc, "url"),
                "the port is no number from 1 to 65535; percent-encode special characters of user and password",
            )
        for name, _ in parse_qsl(place.partition("?")[2], keep_blank_values=True):
            if engine.parameter(name) is None:
                yield Problem((*loc, "url"), "; ".join(nearest_parameter(engine, name)))
        for name in source.options:
            if engine.parameter(name) is None:
                yield Problem((*loc, "options", name), "; ".join(nearest_parameter(engine, name)), "key")
    if source.timezone != "UTC" and not zone_exists(source.timezone):
        yield Problem(
            (*loc, "timezone"), f"no time zone {source.timezone!r}; expected an IANA name such as Europe/Malta"
        )


def ports(place: str) -> list[str]:
    """Find the ports of `host:port,host:port/database?name=value`."""
    hosts = re.split(r"[/?]", place)[0].split(",")
    return [found[1] for host in hosts if (found := re.search(r"(?<![\[:]):([^:\]]*)$", host))]


def is_port(text: str) -> bool:
    """Whether nothing is given, or a port."""
    return not text or (text.isascii() and text.isdecimal() and int(text) in PORTS)


def zone_exists(name: str) -> bool:
    """Whether the system's time zone data knows the name."""
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # an unknown name is a KeyError, an odd one any of the others
        return False
    return True
