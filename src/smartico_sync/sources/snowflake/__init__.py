"""Snowflake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.kit.abandonable import UnattendedCalls
from smartico_sync.sources.kit.server_clock import ServerClock
from smartico_sync.sources.snowflake.facts import ask_facts, listed, selects
from smartico_sync.sources.snowflake.login import Login
from smartico_sync.sources.snowflake.plan import explain
from smartico_sync.sources.snowflake.reading import SnowflakeReading
from smartico_sync.sources.snowflake.session import Session
from smartico_sync.sources.snowflake.types import SNOWFLAKE, column_of
from smartico_sync.sources.sql import statements
from smartico_sync.sources.sql.source import PooledSource
from smartico_sync.sources.sql.structure import views

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.config.models import SourceConfig
    from smartico_sync.core.relation import Column, Relation
    from smartico_sync.core.tables import Structure

__all__ = ["SnowflakeSource", "connect"]

SORT_KEY = """-- Snowflake has no indexes. Rows that are loaded in the order of {cursor} lie well; of a large table that is not, this
-- makes polls cheaper, and costs credits of its own:
-- ALTER TABLE {table} CLUSTER BY ({cursor});"""


class SnowflakeSource(PooledSource[Session, SnowflakeReading]):
    """A pool of sessions with one account."""

    reading_type = SnowflakeReading
    ask_facts = staticmethod(ask_facts)
    describes = "in doubt"
    explain = staticmethod(explain)
    _listed = staticmethod(listed)
    _selects = staticmethod(selects)
    adapter = SNOWFLAKE
    create_index = SORT_KEY

    def __init__(self, name: str, config: SourceConfig) -> None:
        login, clock, unattended = Login(config), ServerClock(), UnattendedCalls()
        super().__init__(name, login, lambda place: Session(login, clock, unattended, place))

    def _columns(self, session: Session, relation: Relation) -> tuple[Column, ...]:
        described = session.describe(statements.star(SNOWFLAKE, relation) % {}, f"view {relation.name}")
        return tuple(column_of(each) for each in described)

    def _structures(self, session: Session) -> Mapping[str, Structure]:
        return views(listed(session, "VIEW"))


connect = SnowflakeSource
