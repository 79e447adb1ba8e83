"""The ingest API behind the daemon's own delivery, without threads: what is asked, answered and lost is the test's choice."""

from __future__ import annotations

from collections import defaultdict

from smartico_sync.core.answer_errors import Refused
from smartico_sync.core.batches import batches
from smartico_sync.core.events import EID, PLAYER, TYPE, USER
from smartico_sync.core.reason_codes import UNKNOWN_USER
from smartico_sync.core.verdicts import Verdict
from smartico_sync.delivery.backlog import Backlog
from smartico_sync.delivery.pending_receipt import PendingReceipt
from smartico_sync.delivery.request import Request

UNPARSED = 2
MOST = 3  # events a request: a player's events fill several
PROFILE = "update_profile"


class Smartico:
    """Takes each event id once, knows a player from the first profile on, and refuses what comes before it.

    `refusing`: the event type of which it takes nothing now, whoever it is of; what it refused so is in `refused`.
    """

    def __init__(self):
        self.numbers = {}  # of each event id
        self.refusing, self.refused = "", defaultdict(set)
        self.accepted = defaultdict(list)  # of each event type, numbers in order
        self.profiles = {}  # of each player, what the profile says that came last
        self.begin()

    def begin(self):
        """A process that knows nothing of the one before."""
        self.backlog, self.under_way = Backlog(), []

    def send(self, view, events, *, priority="live", holds=None, **_requests):
        pending = PendingReceipt(view, priority, events, holds)
        ready, _ = batches(events, MOST, 10**6)
        self.backlog.add([Request.of(batch, pending) for batch in ready], pending)
        return pending.future

    def busy(self, _view):
        return False

    def problem(self):
        return None

    def start(self):
        """The next request that may start is under way; whether there was one."""
        request = self.backlog.player_order.take()
        if request is None:
            return False
        if request.pending.over:
            self.backlog.drop(request)
            return True
        self.backlog.hold_back(request, {})
        if not request.over:
            self.under_way.append(request)
        return True

    def answer(self, which):
        """Answer one of the requests under way; nobody may be waiting for it any more."""
        if not self.under_way:
            return
        request = self.under_way.pop(which % len(self.under_way))
        verdict = self.judged(request)
        if request.pending.over:
            self.backlog.drop(request)
        else:
            self.backlog.settle(request, verdict)

    def answer_all(self):
        while self.start() or self.under_way:
            self.answer(0)

    def end(self, fate):
        """The process ends: what was under way is taken all the same, or never came."""
        if fate == "taken":
            while self.start():
                pass
            for request in self.under_way:
                self.judged(request)
        self.begin()

    def judged(self, request):
        refused, duplicates = {}, set()
        for place, event in enumerate(request.frame.select(EID, TYPE, USER, PLAYER, "number").iter_rows(named=True)):
            eid, kind, player, number = event[EID], event[TYPE], event[USER], event["number"]
            if eid in self.numbers:
                assert self.numbers[eid] == number, "one event id, two rows"
                duplicates.add(place)
            elif kind != PROFILE and player not in self.profiles:
                refused[place] = Refused(UNKNOWN_USER, "User not found")
            elif kind == self.refusing:
                refused[place] = Refused(UNPARSED, "no")
                self.refused[kind].add(number)
            else:
                self.numbers[eid] = number
                self.accepted[kind].append(number)
                if kind == PROFILE:
                    self.profiles[player] = number
        return Verdict("done", refused=refused, duplicates=frozenset(duplicates))
