"""Whose turn it is to poll."""

from __future__ import annotations

from types import SimpleNamespace

from smartico_sync.daemon.scheduler import Scheduler
from smartico_sync.errors import SourceUnreachable
from smartico_sync.tracking.base_loop import Standing


class Loop:
    """A view that writes down when it is asked to poll."""

    def __init__(self, role, standing):
        self.role, self.standing, self.asked = role, standing, 0
        self.mailbox = SimpleNamespace(ask_to_poll=self.ask)

    def ask(self):
        self.asked += 1


def test_transactions_wait_for_the_first_profiles_only():
    """Once each profile view has caught up or failed, none of them keeps transactions from being polled, whatever it waits for later."""
    behind = Standing("behind", tries=1)
    users, consents, bets = Loop("profile", behind), Loop("profile", behind), Loop("transaction", behind)
    loops = (users, consents, bets)
    scheduler = Scheduler(loops, None, SimpleNamespace(reconcile=None, dead_letters=None))
    asked = []
    for standing, other in (
        (behind, behind),
        (Standing("caught up", tries=1), behind),
        (behind, Standing("behind", tries=1, error=SourceUnreachable("nobody answers"))),
        (behind, behind),
    ):
        users.standing, consents.standing = standing, other
        scheduler.ask(*loops)
        asked.append(bets.asked)
    assert asked == [0, 0, 1, 2]
    assert users.asked == consents.asked == 4
