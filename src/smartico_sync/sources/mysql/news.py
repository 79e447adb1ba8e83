"""Whether rows have come behind some positions of several views, by one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, SourceUnreachable
from smartico_sync.sources.kit.positions import position_parameters
from smartico_sync.sources.mysql.reading import STOPPED
from smartico_sync.sources.mysql.session import Session, literal
from smartico_sync.sources.mysql.types import MYSQL
from smartico_sync.sources.protocol import News
from smartico_sync.sources.sql import statements

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartico_sync.sources.protocol import Asked

__all__ = ["ask_news"]

WHAT = "quiet views"


def ask_news(session: Session, asked: Sequence[Asked], replication: Literal["not asked", "asked"]) -> News:
    """See `protocol.Source.news`. Each is asked as a poll asks, for one row: by the index that serves the poll.

    No reading tells digests here, so none is asked for. The clock is not read, as before a snapshot: what comes later is news, too.
    """
    replay = session.clock.replay(session, WHAT)
    standing = session.clock.replication(replay, STOPPED) if replication == "asked" else None
    try:
        answer = session.run(" UNION ALL ".join(map(_question, range(len(asked)), asked)), WHAT)
    except (SourceCancelled, SourceRefused, SourceUnreachable):
        raise
    except SourceError:
        return News(replay.server, (True,) * len(asked), ((),) * len(asked), standing)
    nothing = {number for number, found in answer.rows if found == "0"}
    found = tuple(str(number) not in nothing for number in range(len(asked)))
    return News(replay.server, found, ((),) * len(asked), standing)


def _question(number: int, asked: Asked) -> str:
    statement = statements.page(MYSQL, asked.relation, statements.shape(asked.relation, asked.after), "open")
    query = statement.filled(literal, {**position_parameters(asked.after), "n": 1})
    return f"SELECT {number}, EXISTS ({query}\n)"  # the poll's own statement, its values as constants
