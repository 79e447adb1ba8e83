"""Events are made of rows, queued, and committed with their receipt, wherever the rows come from."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import polars as pl
import structlog
from msgspec.structs import replace

from smartico_sync.core.outbox import packed
from smartico_sync.core.outcome import NOT_RETRIED, build_commit
from smartico_sync.core.pipeline import optional_properties, positions_of, prepare, without_automation
from smartico_sync.core.read_again import settled_anew
from smartico_sync.core.reason_codes import UNKNOWN_BRAND, UNKNOWN_USER
from smartico_sync.core.recent_outcomes import PageOutcome, RecentOutcomes, outcome_of
from smartico_sync.core.records import Holds
from smartico_sync.core.tracing import UNDER_WAY, UNTRACED, ends_with, within
from smartico_sync.errors import RowsRefused, StateError
from smartico_sync.observe.health import REFUSED_PROPERTIES, UNKNOWN_DUPLICATES
from smartico_sync.tracking import redelivery
from smartico_sync.tracking.clocks import agreed_ms, now_ms
from smartico_sync.tracking.pages_in_flight import Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Set as AbstractSet
    from concurrent.futures import Future

    from smartico_sync.core.events import Events
    from smartico_sync.core.outbox import OutboxPage
    from smartico_sync.core.outcome import Retried
    from smartico_sync.core.pipeline import PreparedBatch
    from smartico_sync.core.position import Position
    from smartico_sync.core.records import Commit, ParkedRow, Profiles, Receipt, Trust, ViewRow
    from smartico_sync.delivery.protocol import Priority, Requests
    from smartico_sync.tracking.view_parts import Tools, Working

__all__ = ["EventSender", "Retries"]

Retries = Literal[
    "none",
    "under way",
    "to go on",  # something was delivered: what waited behind it is due
]

log = structlog.get_logger()


class EventSender:
    """Makes events of rows, queues them, and commits what their receipt changes.

    Owned by a view's loop. What makes events (`prepare`, `queue`) may run in the loop's worker; what commits runs
    in the loop. `dead_lettered` counts since the process began; `unregistered` events wait now because nobody knows their brand.
    """

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._name = tools.view.name
        self._waiting: frozenset[int] = frozenset()
        self._undelivered = 0
        self._open: list[Holds] = []
        self._outbox: dict[Holds, tuple[int, ...]] = {}
        self._going_again: set[int] = set()
        self._retries: Retries = "none"
        self._first_load: Literal["under way", "over"] = "under way"
        self._trust: Trust = "trusted"
        self._told = False
        self._head: Position | None = None
        self._left_out: set[str] = set()
        self._recent = RecentOutcomes()
        self._empty: PreparedBatch | None = None
        self.dead_lettered = 0
        self.unregistered = 0

    def begin(self, row: ViewRow) -> None:
        """A session begins from what the state holds."""
        self._first_load = "under way" if row.level_ms == 0 else "over"
        self._open.clear()
        self._empty = None
        self._outbox.clear()
        self._going_again.clear()
        self._retries = "none"
        self._trust, self._head = row.fingerprints, row.head
        self._tell_undelivered()

    def finish_first_load(self) -> None:
        """All that was there is committed: later pages are not marked as a first load any more, and are compared again."""
        if self._trust == "doubted":
            self._tools.store.judge_fingerprints(self._name, "trusted")
            self._trust = "trusted"
        if self._first_load == "under way":
            self._tools.store.reached(self._name, now_ms())
            self._first_load = "over"

    def _known(self, session: Working) -> Callable[[pl.Series], pl.DataFrame]:
        """What profiles are compared with."""
        return session.fingerprints.doubted if self._trust == "doubted" else session.fingerprints.known

    @property
    def retries_are(self) -> Retries:
        """How it stands with rows that wait for another try."""
        return self._retries

    def due(self) -> list[ParkedRow]:
        """The parked rows whose next try has come, to be given to `retries`; none while others are under way."""
        if self._retries == "under way":
            return []
        most = self._tools.memory.rows_at_once(self._name, redelivery.ROWS_AT_ONCE)
        parked = self._tools.store.parked(self._name, now_ms(), most)
        self._retries = "under way" if parked else "none"
        return parked

    def prepare(
        self,
        session: Working,
        rows: pl.DataFrame,
        clock_ms: int,
        profiles: Profiles = "changed",
        *,
        anew: pl.Series | None = None,
        found: redelivery.Found | None = None,
        instead_of: PreparedBatch | None = None,
    ) -> PreparedBatch:
        """Make events of rows, behind all that is on its way. To be followed by `queue`, or by `release` if nothing comes of it.

        Of a player of whom something is parked only the parked rows themselves are sent, which are `found`. `anew` as in the
        pipeline; `instead_of`: a batch of the same rows, or more of them, that is not sent.
        """
        # Before the players that wait: what is committed in between is then in both.
        holds = instead_of.holds if instead_of is not None else self._behind(session, found)
        known = session.fingerprints.ages if profiles == "all" else self._known(session)
        waiting = self._waiting if found is None else self._waiting - found.players
        try:
            if not rows.height:
                return self._nothing(session, rows, clock_ms, holds)
            batch = prepare(rows, session.options, known, clock_ms, waiting, anew=anew, holds=holds)
            if batch.stale and (newest := self.newest(session, rows, batch)):
                batch = prepare(rows, session.options, known, clock_ms, waiting, anew=anew, newest=newest, holds=holds)
        except BaseException:
            self._open.remove(holds)
            raise
        return batch

    def _nothing(self, session: Working, rows: pl.DataFrame, clock_ms: int, holds: Holds) -> PreparedBatch:
        """The batch of no rows: a rescan that found nothing commits one, many times a minute."""
        if self._empty is None:
            self._empty = prepare(rows, session.options, session.fingerprints.known, clock_ms)
        return replace(self._empty, holds=holds)

    def _behind(self, session: Working, found: redelivery.Found | None) -> Holds:
        """What the next batch must not overtake: all that is on its way, but for transactions that were parked before it."""
        parked_first = found is not None and session.prepared.mapping.kind.role != "profile"
        holds = Holds(earlier=() if parked_first else tuple(each.own for each in self._open))
        self._open.append(holds)
        return holds

    def newest(self, session: Working, rows: pl.DataFrame, batch: PreparedBatch) -> frozenset[int]:  # noqa: ARG002 - for others
        """Which rows (by `@row`) that seem old are the newest that the source holds of their players; none where nobody can tell."""
        return frozenset()

    def release(self, batch: PreparedBatch) -> None:
        """Nothing has to wait for a batch any more."""
        if batch.holds in self._open:
            self._open.remove(batch.holds)

    def _unknown(self, duplicates: int) -> None:
        """So many rows were duplicates to the API, though this state never sent them."""
        if not duplicates:
            return
        if not self._told:
            log.warning("view.unknown_duplicates", view=self._name, rows=duplicates, hint=UNKNOWN_DUPLICATES)
        self._told = True
        self._tools.recorder.unknown_duplicates(duplicates)

    def queue(
        self,
        session: Working,
        batch: PreparedBatch,
        priority: Priority = "live",
        old: AbstractSet[int] = frozenset(),
        requests: Requests = "spread",
        sent_ms: int | None = None,
    ) -> Future[Receipt]:
        """Protect the events and queue them, profiles once they are in the outbox.

        Profiles of a first load, or of history, may say that they start no automation.

        `old`: rows that are history among others that are not. `sent_ms`: how far rows of the order are sent then, where that
        has to be written down before.
        """
        tools = self._tools
        try:
            events = tools.protection.apply(batch.send)
            history = self._first_load == "under way" or priority == "backfill"
            skip = tools.view.skip_cjm
            if skip == "always" or (skip == "first_load" and history):
                events = without_automation(events)
            elif skip == "first_load" and old:
                events = without_automation(events, old)
            if session.options.on_refused_property == "omit":
                events = replace(events, optional=optional_properties(session.prepared.mapping, events))
            if batch.profiles is not None:
                session.fingerprints.sending(batch.profiles)
            if batch.profiles is not None and len(events):
                self._outbox[batch.holds] = self._written_ahead(batch, events, batch.profiles, sent_ms)
            elif sent_ms is not None:
                tools.store.sending(self._name, sent_ms)
            holds = batch.holds if batch.profiles is None else None
            span = UNDER_WAY.get()
            if span is UNTRACED and len(events):  # what is no page of a database is a trace of its own
                span = tools.tracer.begin("send", view=self._name, priority=priority, events=len(events))
                with within(span):
                    receipt = tools.delivery.send(self._name, events, priority=priority, holds=holds, requests=requests)
                ends_with(span, receipt, "over")
            else:
                receipt = tools.delivery.send(self._name, events, priority=priority, holds=holds, requests=requests)
        except BaseException:
            self.release(batch)
            with suppress(StateError):
                self._take_out(batch)
            raise
        if batch.profiles is not None:
            session.fingerprints.sent(batch.profiles)
        return receipt

    def _written_ahead(
        self,
        batch: PreparedBatch,  # noqa: ARG002 - for others
        events: Events,
        profiles: pl.DataFrame,
        sent_ms: int | None,
    ) -> tuple[int, ...]:
        """Write down what is about to be sent, and how far rows are sent then; the ids of its pages."""
        return (self._tools.store.keep_outbox_page(self._name, packed(events, profiles), sent_ms),)

    def unsettled(self) -> list[OutboxPage]:
        """What an earlier session, or another process, may have left at the API, to be given to `again` in this order."""
        return self._tools.store.outbox(self._name)

    def again(self, page: OutboxPage) -> Sent:
        """Send a page once more, under the same ids: then the API has seen all that a late request of it can hold."""
        self._going_again.add(page.id)
        receipt = self._tools.delivery.send(self._name, page.events)
        return Sent(receipt, lambda receipt: self._settled(page, receipt))

    def _settled(self, page: OutboxPage, receipt: Receipt) -> None:
        """The API has seen a page that was sent once more."""
        self._tools.store.commit(page.commit(self._name, receipt, now_ms()))
        self._going_again.discard(page.id)

    def outcome(
        self, session: Working, batch: PreparedBatch, receipt: Receipt, reads: Literal["first", "again"] = "first"
    ) -> Commit:
        """What the receipt changes in the state. `reads` again: some of the rows may wait, or have been given up, since before.

        Raises RowsRefused when most of the rows, or most of the last ones together with them, are refused: the view is
        misconfigured then, rather than its rows poisoned.
        """
        commit = self.built(session, batch, receipt, NOT_RETRIED)
        ceiling, page = self._tools.view.max_refused, outcome_of(commit, batch.rows)
        recent = self._recent.joined(page)
        of_page = page.refused >= ceiling.count and page.refused >= ceiling.share * page.rows
        of_recent = recent.refused >= ceiling.count and recent.refused >= ceiling.share * recent.rows
        if page.refused and (of_page or of_recent):
            dead, rows = (page.refused, f"{page.rows}") if of_page else (recent.refused, f"the last {recent.rows}")
            reasons = [dead_letter.reason for dead_letter in commit.dead_letters]
            often = max(set(reasons), key=reasons.count)
            first = commit.dead_letters[reasons.index(often)].row.key
            raise RowsRefused(
                f"view {self._name}: {dead} of {rows} rows are refused, most often: {often} (first: key {first})",
                hint=f"mend the view or its `columns:`, try with: smartico-sync preview {self._name}; or raise `max_refused:`",
            )
        self._remember(recent)
        if reads == "first" or not self._undelivered:
            return commit
        before = self._tools.store.undelivered(self._name, positions_of(batch.places))
        return settled_anew(commit, batch.places, before) if before else commit

    def _remember(self, recent: RecentOutcomes) -> None:
        """Keep what became of the last rows, and tell it."""
        before, self._recent = self._recent, recent
        if (recent.rows, recent.refused) != (before.rows, before.refused):
            self._tools.recorder.recent(recent.rows, recent.refused)

    def somebody_is_known(self, commit: Commit) -> None:
        """Raise RowsRefused where rows would be given up for want of their player, though nobody at all was known of late."""
        lost = sum(each.code == UNKNOWN_USER for each in commit.dead_letters)
        if commit.counts.get("delivered", 0) or commit.counts.get("duplicate", 0):
            self._remember(self._recent.joined(PageOutcome(1, 0, 0)))
        elif lost and self._recent.all_unknown(self._tools.view.max_refused.count):
            raise RowsRefused(
                f"view {self._name}: Smartico knows the players of none of the last {self._recent.rows} rows (10001); they wait "
                "and are not given up",
                hint="have the view of kind `users` send these players, under the same ext_brand_id and user_ext_id; it goes on by "
                f"itself then. What it sends shows: smartico-sync preview {self._name}",
            )

    def built(self, session: Working, batch: PreparedBatch, receipt: Receipt, retried: Retried) -> Commit:
        """What the receipt changes in the state."""
        commit = build_commit(batch, receipt, session.options, now_ms(), retried, agreed_ms)
        if batch.holds in self._outbox:
            commit = replace(commit, outbox=self._outbox[batch.holds])
        rows = [*(each.row for each in commit.parked), *(each.row for each in commit.dead_letters)]
        waits = [row.player for row in rows if row.player]
        if self._trust == "doubted" and batch.profiles is not None and waits:
            session.fingerprints.unsettled(pl.Series(waits, dtype=pl.UInt64))
        self._tell_left_out(receipt.left_out)
        return commit

    def _tell_left_out(self, left_out: Mapping[str, int]) -> None:
        """So many values went nowhere, because the API refused their property."""
        for name, values in left_out.items():
            if name not in self._left_out:
                log.warning(
                    "view.property_left_out", view=self._name, property=name, events=values, hint=REFUSED_PROPERTIES
                )
            self._left_out.add(name)
        self._tools.recorder.left_out(left_out)

    def committed(self, session: Working, batch: PreparedBatch, commit: Commit) -> None:
        """A commit was written: tell what it changed."""
        self._outbox.pop(batch.holds, None)
        self._tools.recorder.broken(batch.invalid)
        self._tools.recorder.stale(batch.stale)
        self.dead_lettered += len(commit.dead_letters)
        self._tools.recorder.committed(commit)
        if commit.parked or commit.dead_letters or commit.resolved:
            self._tell_undelivered()
        self.forget(session, batch)

    def forget(self, session: Working, batch: PreparedBatch) -> None:
        """A batch is settled, committed or not: nothing is behind it any more."""
        self._take_out(batch)
        if batch.profiles is not None:
            session.fingerprints.settled()
        self.release(batch)

    def _take_out(self, batch: PreparedBatch) -> None:
        """Nothing of a batch that was not committed is on its way: older than what follows, it must not be sent again."""
        if pages := self._outbox.pop(batch.holds, ()):
            self._tools.store.empty_outbox(pages)

    def _tell_undelivered(self) -> None:
        """Look up how many rows wait and were given up, by reason code."""
        store = self._tools.store
        self._waiting = store.waiting_players(self._name)
        parked, dead = store.parked_counts(), store.dead_letter_counts()
        waiting = parked.get(self._name, {})
        self.unregistered = waiting.get(UNKNOWN_BRAND, 0)
        since_ms = store.parked_since(self._name) if waiting else 0
        given_up = dead.get(self._name, {})
        self._undelivered = sum(waiting.values()) + sum(given_up.values())
        self._tools.recorder.letters(waiting, given_up, since_ms)
