"""Which engine reads which URL."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from smartico_sync.errors import ConfigError, DriverMissing
from smartico_sync.sources.kit.url import parse

if TYPE_CHECKING:
    from smartico_sync.config.models import SourceConfig
    from smartico_sync.sources.protocol import Source

__all__ = ["ENGINES", "Engine", "open_source"]


@dataclass(frozen=True, slots=True)
class Engine:
    """One kind of database: the module that reads it, and the extra that installs its driver (empty: built in).

    The module has `connect(name: str, config: SourceConfig) -> Source`, which opens no connection yet.
    """

    module: str
    extra: str


ENGINES: dict[str, Engine] = {
    "postgresql": Engine("smartico_sync.sources.postgresql", "postgresql"),
    "mysql": Engine("smartico_sync.sources.mysql", "mysql"),
    "mariadb": Engine("smartico_sync.sources.mysql", "mysql"),
    "mssql": Engine("smartico_sync.sources.mssql", "mssql"),
    "oracle": Engine("smartico_sync.sources.oracle", "oracle"),
    "clickhouse": Engine("smartico_sync.sources.clickhouse", "clickhouse"),
    "snowflake": Engine("smartico_sync.sources.snowflake", "snowflake"),
    "bigquery": Engine("smartico_sync.sources.bigquery", "bigquery"),
    "mongodb": Engine("smartico_sync.sources.mongodb", "mongodb"),
    "redshift": Engine("smartico_sync.sources.redshift", "redshift"),
    "sqlite": Engine("smartico_sync.sources.sqlite", ""),
}
ALIASES = {"postgres": "postgresql", "sqlserver": "mssql", "mongodb+srv": "mongodb"}  # what people also write


def open_source(name: str, config: SourceConfig) -> Source:
    """The source called `name` in the configuration; connects at its first use.

    ConfigError for a scheme that is not in ENGINES, or for options the engine does not know; DriverMissing, with the pip
    command, when the engine's driver is not installed.
    """
    scheme = parse(config.url.get_secret_value()).scheme
    scheme = ALIASES.get(scheme, scheme)
    engine = ENGINES.get(scheme)
    if engine is None:
        raise ConfigError(
            f"source {name!r}: nothing reads {scheme}:// URLs", hint=f"use one of: {', '.join(sorted(ENGINES))}"
        )
    try:
        module = import_module(engine.module)
    except ModuleNotFoundError as missing:
        if missing.name is not None and missing.name.startswith(engine.module):
            raise ConfigError(
                f"source {name!r}: this version does not read {scheme} yet", hint="see docs/databases"
            ) from None
        raise DriverMissing(
            f"source {name!r}: the driver for {scheme} is not installed ({missing.name})",
            hint=f"pip install 'smartico-sync[{engine.extra}]'",
        ) from None
    return cast("Source", module.connect(name, config))
