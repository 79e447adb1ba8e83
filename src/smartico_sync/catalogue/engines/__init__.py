"""Every database and broker the daemon reads, as data without drivers: what its URL may hold, and what it can do.

Configuration, registry, late-commit choice, each engine's login and the manual read these declarations; nothing else names
an engine. Parameters stand in the URL after `?` or in the `options:` of a source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.catalogue.engines.bigquery import BIGQUERY
from smartico_sync.catalogue.engines.clickhouse import CLICKHOUSE
from smartico_sync.catalogue.engines.declaration import Ability, Engine, Parameter, QueryForm, Reads
from smartico_sync.catalogue.engines.kafka import KAFKA
from smartico_sync.catalogue.engines.mongodb import MONGODB
from smartico_sync.catalogue.engines.mssql import MSSQL
from smartico_sync.catalogue.engines.mysql import MARIADB, MYSQL
from smartico_sync.catalogue.engines.oracle import ORACLE
from smartico_sync.catalogue.engines.postgresql import POSTGRESQL
from smartico_sync.catalogue.engines.rabbitmq import RABBITMQ
from smartico_sync.catalogue.engines.redshift import REDSHIFT
from smartico_sync.catalogue.engines.snowflake import SNOWFLAKE
from smartico_sync.catalogue.engines.sqlite import SQLITE

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BIGQUERY", "BROKERS", "CLICKHOUSE", "EMBEDDED", "ENGINES", "KAFKA", "MARIADB", "MONGODB", "MSSQL", "MYSQL", "ORACLE", "POSTGRESQL",
    "RABBITMQ", "REDSHIFT", "SNOWFLAKE", "SQLITE", "STATE_SERVER", "Ability", "Engine", "Parameter", "QueryForm", "Reads", "canonical", "find",
]  # fmt: skip

EMBEDDED = SQLITE  # a file, without a server or a driver: what the demo's replica is
STATE_SERVER = POSTGRESQL  # the one that may hold the state of several machines
ENGINES: Mapping[str, Engine] = {
    engine.scheme: engine
    for engine in (
        POSTGRESQL, MYSQL, MARIADB, MSSQL, ORACLE, CLICKHOUSE, SNOWFLAKE, BIGQUERY, MONGODB, REDSHIFT, SQLITE,
    )
}  # fmt: skip
BROKERS: Mapping[str, Engine] = {engine.scheme: engine for engine in (KAFKA, RABBITMQ)}
_NAMES = {
    name: (engine, variant)
    for engine in (*ENGINES.values(), *BROKERS.values())
    for name, variant in {engine.scheme: "", **engine.aliases}.items()
}


def canonical(written: str) -> str:
    """The scheme by which the engine itself knows what people write as `dialect+driver`; empty for an unknown one.

    `Postgres` and `postgresql+psycopg` are `postgresql`; a variant with a meaning of its own stays: `mongodb+srv`.
    """
    name, _, driver = written.lower().partition("+")
    if name not in _NAMES:
        return ""
    engine, variant = _NAMES[name]
    variant = driver if driver in engine.variants else variant
    return f"{engine.scheme}+{variant}" if variant else engine.scheme


def find(written: str) -> Engine | None:
    """The engine of a scheme as written; None for an unknown one."""
    scheme = canonical(written).partition("+")[0]
    return ENGINES.get(scheme) or BROKERS.get(scheme)
