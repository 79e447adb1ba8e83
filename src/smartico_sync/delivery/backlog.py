"""Events that have no verdict yet: the requests they are in, and the receipts that wait for them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from smartico_sync.core.answer_errors import Refused
from smartico_sync.core.events import BRAND, EID, PLAYER, POSITION
from smartico_sync.core.reason_codes import UNKNOWN_BRAND, UNKNOWN_USER, WAITS_BEHIND
from smartico_sync.core.records import Refusal
from smartico_sync.core.verdicts import Verdict
from smartico_sync.delivery.player_order import PlayerOrder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from smartico_sync.delivery.pending_receipt import PendingReceipt
    from smartico_sync.delivery.request import Request
    from smartico_sync.errors import DeliveryError

__all__ = ["Backlog"]

HOLDING = frozenset(
    {UNKNOWN_USER, UNKNOWN_BRAND}
)  # what is refused for these reasons goes again: nothing may overtake it
BEHIND = Refused(WAITS_BEHIND, "an earlier event of this player waits")


class Backlog:
    """What is queued or under way. `events` counts by what became of them. Callers hold one lock around every call."""

    def __init__(self) -> None:
        self.player_order = PlayerOrder()
        self.pending_receipts: set[PendingReceipt] = set()
        self.events: Counter[str] = Counter()
        self.queued = 0

    def add(self, requests: Sequence[Request], pending: PendingReceipt) -> None:
        """Queue the requests of one send."""
        self.pending_receipts.add(pending)
        for request in requests:
            self.queued += len(request.batch.events)
            self.player_order.add(request)

    def settle(self, request: Request, verdict: Verdict) -> None:
        """Some or all events have their verdict; those that have none go again, before any other of their players.

        So do those that were refused for a property that may be left out, without it.
        """
        height = request.frame.height
        if verdict.decision == "done" and not (verdict.refused or verdict.duplicates or verdict.vague):
            self.judged(request, height, 0, {})
            self.finish(request)
            return
        told = {*verdict.refused, *verdict.duplicates, *verdict.vague}
        untold = [place for place in range(height) if place not in told]
        accepted = untold if verdict.decision == "done" else []
        frame, left_out = request.without(verdict.refused, {*accepted, *verdict.duplicates})
        others = sorted(left_out) if verdict.decision == "done" else sorted([*untold, *left_out])
        delivered = len(accepted)
        refused = {place: why for place, why in verdict.refused.items() if place not in left_out}
        request.pending.left_out.update(left_out.values())
        left = request.batches(frame[part] for part in (others, *request.apart(verdict.vague)) if part)
        first = sorted(verdict.duplicates - verdict.blurred) if request.trip == "first" else []
        self.judged(request, delivered, len(verdict.duplicates), refused, first)
        if left:
            self.player_order.cut(request, left)
            self.player_order.back(request)
        else:
            self.finish(request)

    def bisect(self, request: Request, verdict: Verdict) -> None:
        """Halve the request until the guilty event is alone."""
        frame = request.frame
        if frame.height > 1:
            self.player_order.cut(request, request.halves())
            self.player_order.back(request)
            return
        alone = {0: Refused(verdict.code, verdict.reason, verdict.names)}
        self.settle(request, Verdict("done", verdict.reason, verdict.code, alone))

    def hold_back(self, request: Request, unknown: Mapping[str, str]) -> None:
        """Refuse what must not be sent now: events that would overtake others, and those of `unknown` brands (with words).

        What is left of the request stays in it; a request of which nothing is left is finished.
        """
        holds = request.pending.holds
        held = holds.overtaken(request.players) if holds is not None and holds.anybody else set()
        if not held and unknown.keys().isdisjoint(request.brands if unknown else ()):
            return
        refused: dict[int, Refused] = {}
        for place, (player, brand) in enumerate(request.frame.select(PLAYER, BRAND).iter_rows()):
            if player in held:
                refused[place] = BEHIND
            elif brand in unknown:
                refused[place] = Refused(UNKNOWN_BRAND, unknown[brand])
        rest = [place for place in range(request.frame.height) if place not in refused]
        left = request.batches([request.frame[rest]]) if rest else []
        self.judged(request, 0, 0, refused)
        if left:
            request.batch = left[0]
        else:
            self.finish(request)

    def by_brand(self, request: Request) -> None:
        """The answer does not say which brand it means: one request a brand will tell."""
        self.player_order.cut(request, request.batches(request.frame.partition_by(BRAND, maintain_order=True)))
        self.player_order.back(request)

    def judged(
        self,
        request: Request,
        delivered: int,
        duplicates: int,
        refused: Mapping[int, Refused],
        known_before: Sequence[int] = (),
    ) -> None:
        """Count events of the request that have their verdict; of the duplicates the places that were sent for the first time."""
        self.queued -= delivered + duplicates + len(refused)
        self.events.update({"delivered": delivered, "duplicate": duplicates, "refused": len(refused)})
        if not refused and not known_before:
            request.pending.judged(delivered, duplicates, [])
            return
        rows, ids = request.frame.get_column(POSITION), request.frame.get_column(EID)
        if request.pending.holds is not None:
            players = request.frame.get_column(PLAYER)
            request.pending.holds.own.update(players[place] for place, why in refused.items() if why.code in HOLDING)
        refusals = [Refusal(rows[place], ids[place], why.code, why.reason) for place, why in refused.items()]
        before = rows.gather(list(known_before)).to_list() if known_before else []
        request.pending.judged(delivered, duplicates, refusals, before)

    def finish(self, request: Request) -> None:
        """The request is done; those behind it may go."""
        self.player_order.finish(request)
        if request.pending.over:
            self.pending_receipts.discard(request.pending)

    def drop(self, request: Request) -> None:
        """Take a request out that nobody waits for."""
        self.queued -= len(request.batch.events)
        self.finish(request)

    def fail(self, error: DeliveryError) -> None:
        """Fail all that was sent; nothing of it is committed."""
        for pending in self.pending_receipts:
            pending.fail(error)
        self.pending_receipts.clear()
        # Requests under way keep their players until they are answered: what is sent again waits behind them.
        for request in self.player_order.abandoned():
            self.drop(request)

    def clear(self, error: DeliveryError) -> None:
        """Fail everything and forget it, also what is under way."""
        for pending in self.pending_receipts:
            pending.fail(error)
        self.pending_receipts.clear()
        self.player_order.clear()
        self.queued = 0
