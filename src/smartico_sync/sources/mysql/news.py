"""Whether rows have come behind some positions of several views, and what else of them is as it was, by one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from smartico_sync.errors import SourceCancelled, SourceError, SourceRefused, SourceUnreachable
from smartico_sync.sources.kit.positions import position_parameters
from smartico_sync.sources.mysql.digests import digest_of, told
from smartico_sync.sources.mysql.reading import STOPPED
from smartico_sync.sources.mysql.session import Session, literal
from smartico_sync.sources.mysql.types import MYSQL
from smartico_sync.sources.protocol import Landmarks, News
from smartico_sync.sources.sql import statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.mysql.session import Row
    from smartico_sync.sources.protocol import Asked, Digest

__all__ = ["ask_news"]

WHAT = "quiet views"


def ask_news(
    session: Session,
    asked: Sequence[Asked],
    same_columns: Callable[[Relation], bool],
    replication: Literal["not asked", "asked"],
) -> News:
    """See `protocol.Source.news`. Each is asked as a poll asks, for one row: by the index that serves the poll.

    `same_columns`: whether a view has the columns with which it was described, which a statement of its own tells. The clock is not
    read, as before a snapshot: what comes later is news, too.
    """
    replay = session.clock.replay(session, WHAT)
    standing = session.clock.replication(replay, STOPPED) if replication == "asked" else None
    questions = [question for number, each in enumerate(asked) for question in _questions(number, each)]
    try:
        answers: dict[str, list[Row]] = {}
        for number, *row in session.run(" UNION ALL ".join(questions), WHAT).rows:
            answers.setdefault(number or "", []).append(tuple(row))
        news = [_told(each, answers[str(number)], same_columns) for number, each in enumerate(asked)]
    except (SourceCancelled, SourceRefused, SourceUnreachable):
        raise
    except SourceError:
        news = [None] * len(asked)
    return News(replay.server, tuple(each is None for each in news), tuple(each or () for each in news), standing)


def _questions(number: int, asked: Asked) -> Iterator[str]:
    """Of one view, each with three values behind its number: rows are answered in the order of the questions."""
    relation, after = asked.relation, asked.after
    statement = statements.page(MYSQL, relation, statements.shape(relation, after), "open")
    query = statement.filled(literal, {**position_parameters(after), "n": 1})
    yield f"SELECT {number}, 'found', EXISTS ({query}\n), ''"
    if asked.nulls == "asked":
        yield f"SELECT {number}, 'found', EXISTS ({statements.null_rows(MYSQL, relation).filled(literal, {})}\n), ''"
    for what in asked.again:
        yield digest_of(relation, what).replace("SELECT", f"SELECT {number},", 1)


def _told(asked: Asked, answers: Sequence[Row], same_columns: Callable[[Relation], bool]) -> tuple[Digest, ...] | None:
    """The digests; None where something is found."""
    digests = [told(row) for row in answers if row[0] != "found"]
    looks = any(isinstance(what, Landmarks) for what in asked.again)
    if (
        any(row[:2] == ("found", "1") for row in answers)
        or None in digests
        or (looks and not same_columns(asked.relation))
    ):
        return None
    return tuple(digest for digest in digests if digest is not None)
