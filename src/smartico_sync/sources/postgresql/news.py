"""Whether rows have come behind some positions of several views, in one round trip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.sources.kit.positions import position_parameters
from smartico_sync.sources.postgresql.session import Session, literal
from smartico_sync.sources.postgresql.transaction import FIRST_TO_TIME_EACH
from smartico_sync.sources.postgresql.types import POSTGRESQL
from smartico_sync.sources.protocol import News
from smartico_sync.sources.sql import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.core.position import Position
    from smartico_sync.core.relation import Relation

__all__ = ["ask_news"]

WHAT = "quiet views"


def ask_news(session: Session, asked: Sequence[tuple[Relation, Position | None]]) -> News | None:
    """See `protocol.Source.news`. Each is asked as a poll asks, for one row: by the index that serves the poll."""
    if session.version < FIRST_TO_TIME_EACH or session.raw:
        return None
    (*_, server), answers = session.begin_reading(WHAT, ";".join(_question(*each) for each in asked))
    session.end(WHAT)
    found = tuple(answer.rows[0][0] != "0" for answer in answers) or (True,) * len(asked)
    return News(server or "", found)


def _question(relation: Relation, after: Position | None) -> str:
    statement = statements.page(POSTGRESQL, relation, statements.shape(relation, after), "open")
    query = statement.filled(literal, {**position_parameters(after), "n": 1})
    return f"SELECT count(*) FROM ({query}\n) AS behind"  # noqa: S608 - the poll's own statement, its values as constants
