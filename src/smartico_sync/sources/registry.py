"""Opens the source that a URL names, by the declaration of its engine."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import SecretStr

from smartico_sync.catalogue.engines import canonical, find
from smartico_sync.config.source_checks import nearest_engine, shown_scheme
from smartico_sync.errors import ConfigError, DriverMissing
from smartico_sync.sources.fresh_password import FreshPassword

if TYPE_CHECKING:
    from smartico_sync.catalogue.engines import Reads
    from smartico_sync.config.models import SourceConfig
    from smartico_sync.sources.protocol import Source
    from smartico_sync.sources.stream import Stream

__all__ = ["open_source", "open_stream"]


def open_source(name: str, config: SourceConfig) -> Source:
    """The database called `name` in the configuration; connects at its first use. Its engine is told its own scheme.

    ConfigError for a scheme that no database has, or for parameters the engine does not know; DriverMissing, with the pip
    command, when the engine's driver is not installed.
    """
    return cast("Source", _opened(name, config, "views"))


def open_stream(name: str, config: SourceConfig) -> Stream:
    """The broker called `name` in the configuration; connects at its first use. Raises what `open_source` raises."""
    return cast("Stream", _opened(name, config, "messages"))


def _opened(name: str, config: SourceConfig, reads: Reads) -> Any:
    written, separator, rest = config.url.get_secret_value().partition("://")
    if not separator or not written:
        raise ConfigError(
            f"source {name!r}: the url has no scheme", hint="write it as scheme://user:password@host:port/database"
        )
    engine = find(written)
    if engine is not None and engine.reads != reads:
        what, wanted = ("broker", "database") if reads == "views" else ("database", "broker")
        raise ConfigError(
            f"source {name!r}: {engine.title} is a {what}, and this is for a {wanted}",
            hint="docs/streams says how a view of messages is written, docs/databases how one of rows",
        )
    if engine is None:
        shown = f"{shown}:// URLs" if (shown := shown_scheme(written)) else "URLs of this scheme"
        raise ConfigError(f"source {name!r}: nothing reads {shown}", hint=nearest_engine(written))
    try:
        module = import_module(engine.module)
    except ModuleNotFoundError as missing:
        raise DriverMissing(
            f"source {name!r}: the driver for {engine.title} is not installed ({missing.name})",
            hint=f"pip install 'smartico-sync[{engine.extra}]'",
        ) from None
    url = SecretStr(f"{canonical(written)}://{rest}")

    def connect(url: SecretStr) -> Any:
        return module.connect(name, config.model_copy(update={"url": url}))

    if config.password_file and reads == "views":
        return FreshPassword(name, Path(config.password_file), url, connect)
    return connect(url)
