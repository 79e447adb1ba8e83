"""A casino that is well and one that is not, as the pages are to show them."""

from __future__ import annotations

from msgspec.structs import replace

from smartico_sync.core.late_commit.lookback import BUCKETS_MS
from smartico_sync.core.records import DeadLetter, UndeliveredRow
from smartico_sync.delivery.destination_status import DestinationStatus, HaltedBrand
from smartico_sync.delivery.request_log import BUCKETS_S, SentRequest
from smartico_sync.observe.endpoint import Endpoint
from smartico_sync.observe.polls import Instant, Polls
from smartico_sync.observe.status_board import StatusBoard
from smartico_sync.observe.view_status import BackfillStatus, LateStatus, SentProperty, ViewFacts

__all__ = ["BROKEN", "HEALTHY", "LONG_NAME", "NOW", "Scene", "facts", "letters"]

LONG_NAME = "casino_bets_and_wins_of_all_the_brands"
NOW = Instant.now()  # a scene does not grow old while a test looks at it
REFUSED = "source casino (replica.example.com:5432): connection refused"
NEXT = "start the database; then: smartico-sync check --config views.yaml"
PROPERTIES = (
    SentProperty("core_registration_date", ("registered_at",), "date"),
    SentProperty("user_email", ("email",), "string", "encrypt"),
    SentProperty("", ("internal_note",)),
)


def ago(ms):
    """The moment so many ms before the scenes are looked at."""
    return Instant(NOW.wall_ms - ms, NOW.steady_ms - ms)


def facts(name, *, trouble=None, **more):
    """A view of a replica that has been read for two hours, and since two minutes in trouble if there is any."""
    began, polled = ago(7_200_000), ago(300)
    polls = Polls.since_now(began).poll_began(polled).reading_began(polled).caught_up_at(polled, 90_000, polled)
    polls = replace(polls, trend=tuple(float(100 + 13 * n % 70) for n in range(60)))
    if trouble:
        polls = polls.failed("degraded", *trouble, ago(120_000))
    known = ViewFacts(
        name, "deposits", "casino", "dt_update", 5_000, polls, server_role="physical standby", skew_ms=-850
    )
    counts = {"read": 2_000_000, "delivered": 1_999_000, "duplicate": 20}
    late_commit = "lookback: a time, and no snapshot fence"
    return replace(
        known, counts=counts, late_commit=late_commit, head="2026-11-29 01:36:37.123456", properties=PROPERTIES, **more
    )


def sent(status, decision, ms):
    return SentRequest(ago(ms).wall_ms, "live", 250, 120_000, status, decision, 0.12)


DESTINATION = DestinationStatus(
    "smartico", "delivering", "", ago(300).wall_ms, 2, 1_200, 312, 1_000, events={"delivered": 1_999_000}, seconds=600.0,
    durations=(5_000, *[0] * len(BUCKETS_S)),
    recent={"deposits": (sent(503, "retry", 2_000), sent(200, "done", 4_000))},
)  # fmt: skip
UNKNOWN = "the ingest API does not know the brand SuperCasino: unknown ext_brand_id"
HEALTHY = ((facts("users"), facts("deposits"), facts(LONG_NAME)), (DESTINATION,))
BROKEN = (
    (
        facts("users", invalid={"user_email": 12}, trouble=(REFUSED, NEXT)),
        facts(
            "deposits", parked={10001: 522}, parked_since_ms=ago(3_900_000).wall_ms, dead={20001: 4_164},
            late=LateStatus(183, counts=(0, 0, 0, 12, 88, 31, *[0] * (len(BUCKETS_MS) - 5)), most_ms=19_000, advice_ms=60_000),
        ),
        facts(LONG_NAME, trouble=(REFUSED, NEXT), backfill=BackfillStatus(1_200_000, 3_400_000, 500, "live rows go first")),
    ),
    (
        replace(DESTINATION, state="backing_off", last_error="HTTP 503", circuit="open", next_try_ms=ago(-3_600_000).wall_ms),
        replace(
            DESTINATION, name="SuperCasino", state="halted", halts=((UNKNOWN, "register SuperCasino with Smartico"),),
            halted=(HaltedBrand("SuperCasino", UNKNOWN, ago(-3_600_000).wall_ms),),
        ),
    ),
)  # fmt: skip


def letters(view):
    """Two rows that were given up."""
    row = UndeliveredRow(view, "player-4711", None, "", "acc_deposit_approved", "")
    why = "acc_last_deposit_amount is not a number"
    return [DeadLetter(row, 20001, why, ago(60_000).wall_ms, number) for number in (901, 900)]


class Scene:
    """An endpoint that shows a scene; `show` changes it, `close` takes it away and `open` brings it back at the same address."""

    def __init__(self, scene):
        self.board, self.destinations = StatusBoard(lambda: NOW), ()
        self.show(scene)
        self.open("127.0.0.1:0")

    def show(self, scene):
        views, self.destinations = scene
        for view in views:
            self.board.put(view)

    def open(self, listen=None):
        self.endpoint = Endpoint(listen or self.listen, self.board, lambda: self.destinations)
        self.endpoint.sources = {"casino": "encrypted and verified", "old": "in the clear"}
        self.endpoint.dead_letters = letters
        if listen:
            self.url = self.endpoint.url
            self.listen = self.url.removeprefix("http://")

    def close(self):
        self.endpoint.close()
