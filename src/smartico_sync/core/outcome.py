"""What becomes of rows once the API has answered: a batch and its receipt make a commit, for pages, backfills and retries."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import polars as pl
from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.core.backoff import Backoff
from smartico_sync.core.cursor_time import DAY_MS
from smartico_sync.core.events import EID, KEY, PLAYER, POSITION, TYPE
from smartico_sync.core.picked import picked
from smartico_sync.core.pipeline import positions_of
from smartico_sync.core.reason_codes import (
    AFTER_REFUSED,
    GONE,
    INVALID_ROW,
    UNACKNOWLEDGED,
    UNKNOWN_BRAND,
    UNKNOWN_USER,
    WAITS_BEHIND,
)
from smartico_sync.core.records import Commit, DeadLetter, ParkedRow, UndeliveredRow
from smartico_sync.core.told_sets import marked
from smartico_sync.errors import Unaccounted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from smartico_sync.core.pipeline import PipelineOptions, PreparedBatch
    from smartico_sync.core.records import Receipt

__all__ = [
    "NOT_RETRIED",
    "PARK_BACKOFF",
    "Outcome",
    "Retried",
    "build_commit",
    "contents",
    "due_at_once",
    "given_up",
    "judge_rows",
    "parked",
    "parked_again",
    "revived",
]

# A profile usually follows within a poll or two; later ones are asked for rarely.
PARK_BACKOFF = Backoff((2.0, 4.0, 8.0, 16.0, 32.0, 60.0))
REQUESTED_MS = DAY_MS  # a row that is sent on request: its player is known by the next day, or is no player


class Retried(Struct, frozen=True):
    """The parked rows of a retry: `found[n]` became row n of the batch, those that are `gone` the source holds no more.

    `hidden` ones it does not show now: a replica that is further back may have answered, and they are asked for again.
    """

    found: tuple[ParkedRow, ...] = ()
    gone: tuple[ParkedRow, ...] = ()
    hidden: tuple[ParkedRow, ...] = ()

    def __len__(self) -> int:
        return len(self.found) + len(self.gone) + len(self.hidden)


NOT_RETRIED = Retried()


class Outcome(Struct, frozen=True):
    """Which rows of a batch were not delivered, and which parked rows are settled: `resolved`, by id.

    `superseded`: how many of the latter are profiles that go with a newer state of theirs.
    """

    dead_letters: tuple[DeadLetter, ...]
    parked: tuple[ParkedRow, ...]
    resolved: tuple[int, ...]
    superseded: int


def build_commit(
    batch: PreparedBatch,
    receipt: Receipt,
    options: PipelineOptions,
    at_ms: int,
    retried: Retried = NOT_RETRIED,
    agreed_ms: Callable[[int], int] | None = None,
) -> Commit:
    """What acknowledged rows change in the state; `retried` are the parked rows that the batch was made of, on a retry.

    `at_ms` is the wall clock's time; `agreed_ms` that by which a wait of so many ms is over, `at_ms` when absent.

    The rows of a page: read = unchanged + duplicate + delivered + dead_lettered + parked + skipped. Parked rows were counted
    when they were read, so on a retry nothing is read, those tried are taken from `parked`, and the same equation holds.
    Raises Unaccounted when batch, receipt and parked rows do not add up.
    """
    doubtful = misjudged(batch, receipt)
    outcome = judge_rows(batch, receipt, options, at_ms, retried, doubtful, agreed_ms or (lambda _: at_ms))
    counts = {
        "read": batch.rows + batch.repeated - len(retried.found),
        "unchanged": batch.quiet.height - doubtful.height + outcome.superseded,
        "duplicate": receipt.duplicates + batch.repeated,
        "delivered": receipt.delivered,
        "dead_lettered": len(outcome.dead_letters),
        "parked": len(outcome.parked) - len(retried),
        "skipped": batch.skipped,
    }
    check_counts(options.mapping.view, counts, outcome, retried)
    return Commit(
        options.mapping.view,
        at_ms,
        profiles=accepted_profiles(batch, receipt, doubtful),
        ledger=new_to_ledger(batch.ledger, retried) if retried else batch.ledger,
        dead_letters=outcome.dead_letters,
        parked=outcome.parked,
        resolved=outcome.resolved,
        anchors=() if retried else batch.anchors,
        counts={name: count for name, count in counts.items() if count},
    )


def judge_rows(
    batch: PreparedBatch,
    receipt: Receipt,
    options: PipelineOptions,
    at_ms: int,
    retried: Retried,
    doubtful: pl.DataFrame,
    agreed_ms: Callable[[int], int],
) -> Outcome:
    """Decide what becomes of each row: delivered or a duplicate (the receipt counts them), parked, or a dead letter.

    A row waits while an earlier one of its player does, or while its player is unknown and its deadline has not come:
    `park_ms` after it was read. It waits for its brand to be registered, however long. A profile waits for no profile, but one that is `doubtful` is read again at once. A parked row
    that is delivered, or whose row says nothing new, is resolved.
    """
    dead: list[DeadLetter] = []
    waiting: list[ParkedRow] = []
    before = dict(enumerate(retried.found))
    for place, row, code, reason in failures(batch, receipt, options, doubtful):
        tried = before.pop(place, None)
        deadline_ms = tried.deadline_ms if tried else at_ms + options.park_ms
        now_ms = agreed_ms(tried.deadline_ms - tried.at_ms) if tried else at_ms
        unknown = code == UNKNOWN_USER and batch.profiles is None and now_ms < deadline_ms
        waits = unknown or code in (WAITS_BEHIND, AFTER_REFUSED, UNKNOWN_BRAND)
        if waits and tried:
            waiting.append(parked_again(tried, code, reason, at_ms, row))
        elif waits:
            waiting.append(parked(row, code, reason, at_ms, deadline_ms))
        else:
            dead.append(
                given_up(known_better(tried, row), code, reason, at_ms)
                if tried
                else DeadLetter(row, code, reason, at_ms)
            )
    resolved = [tried.id for place, tried in before.items() if place < batch.rows]
    waiting += [
        parked_again(tried, GONE, "the source does not show the row now", at_ms, tried.row) for tried in retried.hidden
    ]
    if batch.profiles is None or options.mapping.relation.version is not None:
        # A message that was deleted has no newer state of its profile to go with, as far as anybody knows.
        dead += [given_up(tried, GONE, "the row is gone from the source", at_ms) for tried in retried.gone]
        return Outcome(tuple(dead), tuple(waiting), tuple(resolved), 0)
    # A profile moves up when it changes, and goes with its newer state.
    resolved += [tried.id for tried in retried.gone]
    return Outcome(tuple(dead), tuple(waiting), tuple(resolved), len(retried.gone))


def failures(
    batch: PreparedBatch, receipt: Receipt, options: PipelineOptions, doubtful: pl.DataFrame
) -> Iterator[tuple[int, UndeliveredRow, int, str]]:
    """The rows that were not delivered, each with its index in the batch and why: a reason code and words."""
    if batch.rejects.height:
        places = batch.places[batch.rejects.get_column(POSITION)]
        named = zip(batch.rejects.iter_rows(), positions_of(places), contents(places), strict=True)
        for (place, key, reason, player), position, content in named:
            mark = fingerprint(options.secret, key, reason)
            row = UndeliveredRow(options.mapping.view, key, position, "", "", mark, player, content)
            yield place, row, INVALID_ROW, reason
    for place, row in undelivered(batch, batch.behind, options):
        yield place, row, WAITS_BEHIND, "an earlier event of this player waits"
    for place, row in undelivered(batch, doubtful, options):
        yield place, row, AFTER_REFUSED, "an earlier state of this profile was refused"
    refused = {refusal.row: refusal for refusal in receipt.refused}
    if refused:
        sent = batch.send.frame
        for place, row in undelivered(batch, sent.filter(sent.get_column(POSITION).is_in(list(refused))), options):
            yield place, row, refused[place].code, refused[place].reason


def undelivered(
    batch: PreparedBatch, frame: pl.DataFrame, options: PipelineOptions
) -> Iterator[tuple[int, UndeliveredRow]]:
    """What can be known of these events of the batch, each with its row's index."""
    if not frame.height:
        return
    places = batch.places[frame.get_column(POSITION)]
    named = zip(
        frame.select(POSITION, KEY, EID, TYPE, PLAYER).iter_rows(), positions_of(places), contents(places), strict=True
    )
    for (place, key, eid, event_type, player), position, content in named:
        mark = fingerprint(options.secret, key, eid)
        yield place, UndeliveredRow(options.mapping.view, key, position, eid, event_type, mark, player, content)


def contents(places: pl.DataFrame) -> list[str]:
    """What tells rows at one position apart: of a keyless view what they hold, else nothing."""
    return places.get_column("@content").to_list() if "@content" in places.columns else [""] * places.height


def fingerprint(secret: bytes, *parts: str) -> str:
    """A keyed hash that tells one undelivered row from another and says nothing about it."""
    return hmac.new(secret, "\n".join(parts).encode(), hashlib.sha256).hexdigest()[:16]


def misjudged(batch: PreparedBatch, receipt: Receipt) -> pl.DataFrame:
    """The quiet profiles of the batch that were compared with one that was refused since: what they hold may be news."""
    quiet, sent = batch.quiet, batch.send.frame
    if batch.profiles is None or not (receipt.refused or any(batch.holds.earlier)):
        return quiet.clear()
    refused = sent.filter(pl.col(POSITION).is_in([refusal.row for refusal in receipt.refused]))
    first = refused.group_by(PLAYER).agg(pl.col(POSITION).min().alias("first"))
    earlier = batch.holds.overtaken(frozenset(quiet.get_column(PLAYER)))
    doubtful = quiet.join(first, on=PLAYER, how="left", maintain_order="left").filter(
        pl.col(PLAYER).is_in(list(earlier)) | (pl.col(POSITION) > pl.col("first")).fill_null(value=False)
    )
    batch.holds.own.update(refused.get_column(PLAYER), doubtful.get_column(PLAYER))
    return doubtful.drop("first")


def accepted_profiles(batch: PreparedBatch, receipt: Receipt, doubtful: pl.DataFrame) -> pl.DataFrame | None:
    """What is remembered of profiles [id, whole, parts, cursor_at, sets told by difference]: of each player the last state that was accepted."""
    profiles = batch.profiles
    if profiles is None:
        return None
    if receipt.refused or doubtful.height:
        rows = [*(refusal.row for refusal in receipt.refused), *doubtful.get_column(POSITION)]
        profiles = profiles.filter(~pl.col(POSITION).is_in(rows))
    return picked(profiles, ("id", "whole", "parts", "cursor_at", *marked(profiles.columns)))


def new_to_ledger(ledger: pl.DataFrame, retried: Retried) -> pl.DataFrame | None:
    """The tried rows that the ledger does not hold: those a comparison found. None when there are none."""
    new = pl.Series([row.code == UNACKNOWLEDGED for row in retried.found], dtype=pl.Boolean)
    return ledger.filter(new) if new.any() else None


def check_counts(view: str, counts: Mapping[str, int], outcome: Outcome, retried: Retried) -> None:
    """Raise Unaccounted unless every row that was read, and every parked row that was tried, has one fate."""
    fates = {
        "resolved": len(outcome.resolved),
        "parked": len(outcome.parked),
        "dead_lettered": len(outcome.dead_letters),
    }
    if 2 * counts["read"] != sum(counts.values()):
        raise Unaccounted(view, counts)
    if retried and sum(fates.values()) != len(retried):
        raise Unaccounted(view, {"tried": len(retried), **fates})


# From one stage to the next


def parked(row: UndeliveredRow, code: int, reason: str, at_ms: int, deadline_ms: int) -> ParkedRow:
    """A row that waits from now on, until the deadline; what only has to be looked at again is due at once."""
    pause_ms = 0 if code == AFTER_REFUSED else PARK_BACKOFF.pause_ms(0)
    return ParkedRow(row, code, reason, at_ms, at_ms + pause_ms, deadline_ms)


def known_better(tried: ParkedRow, row: UndeliveredRow) -> ParkedRow:
    """The parked row with what reading it has told: whose it is, and the id under which its event goes."""
    return replace(tried, row=replace(tried.row, player=row.player, eid=row.eid or tried.row.eid))


def parked_again(tried: ParkedRow, code: int, reason: str, at_ms: int, row: UndeliveredRow) -> ParkedRow:
    """A row that was tried and waits on, a little longer than before; later events of the player wait behind it."""
    tries = tried.tries + 1
    return replace(
        known_better(tried, row),
        code=code,
        reason=reason,
        next_try_ms=at_ms + PARK_BACKOFF.pause_ms(tries),
        tries=tries,
    )


def due_at_once(row: UndeliveredRow, code: int, reason: str, at_ms: int) -> ParkedRow:
    """A row to be read and sent at the next poll, on request."""
    return ParkedRow(row, code, reason, at_ms, at_ms, at_ms + REQUESTED_MS)


def given_up(tried: ParkedRow, code: int, reason: str, at_ms: int) -> DeadLetter:
    """A parked row that will not be tried again."""
    return DeadLetter(tried.row, code, reason, at_ms, tried.id)


def revived(dead_letter: DeadLetter, at_ms: int) -> ParkedRow:
    """A dead letter that is tried again at the next poll; it waits since it was given up."""
    asked = due_at_once(dead_letter.row, dead_letter.code, dead_letter.reason, at_ms)
    return replace(asked, at_ms=dead_letter.at_ms, id=dead_letter.id)
