"""Whether rows have come behind some positions of several views, and what else of them is as it was, in one round trip."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from smartico_sync.errors import SourceError
from smartico_sync.sources.kit.positions import position_parameters
from smartico_sync.sources.postgresql.digests import digest_of, told
from smartico_sync.sources.postgresql.replication import ask_replication
from smartico_sync.sources.postgresql.session import Session, literal
from smartico_sync.sources.postgresql.transaction import FIRST_TO_TIME_EACH
from smartico_sync.sources.postgresql.types import POSTGRESQL
from smartico_sync.sources.protocol import Landmarks, News
from smartico_sync.sources.sql import statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from smartico_sync.core.relation import Relation
    from smartico_sync.sources.postgresql.session import Answer
    from smartico_sync.sources.protocol import Asked, Digest

__all__ = ["ask_news"]

WHAT = "quiet views"


def ask_news(
    session: Session,
    asked: Sequence[Asked],
    same_columns: Callable[[Relation, Answer], bool],
    replication: Literal["not asked", "asked"],
) -> News | None:
    """See `protocol.Source.news`. Each is asked as a poll asks, for one row: by the index that serves the poll.

    `same_columns`: whether a view's columns, as an empty answer tells them, are those with which it was described.
    """
    if session.version < FIRST_TO_TIME_EACH or session.raw:
        return None
    questions = ";".join(question for each in asked for question in _questions(each))
    (*_, server), answers = session.begin_reading(WHAT, questions)
    standing = None
    if replication == "asked":
        with suppress(SourceError):  # the loops ask by themselves, and meet it
            standing = ask_replication(session, WHAT)
    session.end(WHAT)
    if not answers:
        return News(server or "", (True,) * len(asked), ((),) * len(asked), standing)
    came = iter(answers)
    news = [_told(each, came, same_columns) for each in asked]
    found = tuple(digests is None for digests in news)
    return News(server or "", found, tuple(digests or () for digests in news), standing)


def _questions(asked: Asked) -> Iterator[str]:
    relation, after = asked.relation, asked.after
    statement = statements.page(POSTGRESQL, relation, statements.shape(relation, after), "open")
    query = statement.filled(literal, {**position_parameters(after), "n": 1})
    yield f"SELECT count(*) FROM ({query}\n) AS behind"  # noqa: S608 - the poll's own statement, its values as constants
    for what in asked.again:
        if isinstance(what, Landmarks):
            yield f"{statements.star(POSTGRESQL, relation) % {}}\n"
        yield digest_of(relation, what)
    if asked.nulls == "asked":
        yield f"SELECT count(*) FROM ({statements.null_rows(POSTGRESQL, relation).filled(literal, {})}\n) AS nulls"  # noqa: S608


def _told(
    asked: Asked, came: Iterator[Answer], same_columns: Callable[[Relation, Answer], bool]
) -> tuple[Digest, ...] | None:
    """The digests; None where something is found. It takes all answers to its questions."""
    found = next(came).rows[0][0] != "0"
    digests = []
    for what in asked.again:
        if isinstance(what, Landmarks) and not same_columns(asked.relation, next(came)):
            found = True
        digests.append(told(next(came)))
    if asked.nulls == "asked":
        found = next(came).rows[0][0] != "0" or found
    return None if found else tuple(digests)
