"""What is to be made of a view's rows, and what was: the words that `pipeline` and `outcome` share."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Literal

import polars as pl
from msgspec import Struct, field
from msgspec.structs import replace

from smartico_sync.catalogue.events import FUTURE_MS
from smartico_sync.core.discreet import Discreet
from smartico_sync.core.events import EID, ENVELOPE, KEY, PLAYER, POSITION, TYPE, Events
from smartico_sync.core.few_texts import FEW
from smartico_sync.core.picked import picked
from smartico_sync.core.records import Anchor, Holds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartico_sync.core.validation import InvalidPolicy
    from smartico_sync.core.view_mapping import ViewMapping

__all__ = ["QUIET", "PipelineOptions", "PreparedBatch", "nothing_quiet"]

QUIET = (POSITION, KEY, EID, TYPE, PLAYER)


@cache
def nothing_quiet() -> pl.DataFrame:
    """No profiles that say nothing new."""
    return pl.DataFrame(
        schema={POSITION: pl.UInt32, KEY: pl.String, EID: pl.String, TYPE: pl.String, PLAYER: pl.UInt64}
    )


class PipelineOptions(Discreet, frozen=True, kw_only=True):
    """How a view's rows become events: its mapping and policies, and the secret of the fingerprints.

    `on_refused_property`: what becomes of an event of which the API refuses a property by its name. `park_ms`: how long an
    event waits for its player to become known; 0 gives it up at once. `ahead_ms`: how far ahead of the source's clock a row may
    be dated; `future_ms`: the same of what it says of itself.
    """

    unprinted = frozenset({"secret"})

    mapping: ViewMapping
    secret: bytes
    payload: Literal["full", "changed"] = "full"
    on_invalid: InvalidPolicy = "report"
    future_ms: int = FUTURE_MS
    on_refused_property: Literal["dead_letter", "omit"] = "dead_letter"
    park_ms: int
    ahead_ms: int = 0


class PreparedBatch(Struct, frozen=True):
    """Rows that were read, and what became of them so far.

    `places` [@cursor String, @key.N String, for a keyless view @content String] and `ledger` [key UInt64, cursor_ms Int64] have one row for each that was read,
    in their order; `@row` of all others is the index there. `send` are the events to deliver; `rejects` [@row UInt32, @key
    String, reason String, @player UInt64, 0 where nobody is named] cannot be events; `behind`, a frame like that of `send`, waits because an earlier event of the
    same player does. `quiet` [@row, @key, @eid, @type, @player] profiles say nothing new, or are older than what was delivered
    (`stale` of them), and are not sent; `repeated` rows were delivered before their time. `profiles` [id UInt64, eid String,
    whole Binary(8), parts Binary|null, cursor_at Int64|null, sets that are told by difference String|null, @row UInt32] is what to remember of each row once what it stands
    for is accepted, None where the view holds transactions. `invalid` counts values that break a rule or cannot be
    read, by property. `holds`: what it must not overtake. `skipped` rows are left out as the configuration says.
    rows = send + rejects + behind + quiet + skipped.
    """

    places: pl.DataFrame
    ledger: pl.DataFrame
    send: Events
    rejects: pl.DataFrame
    behind: pl.DataFrame
    quiet: pl.DataFrame = field(default_factory=nothing_quiet)
    stale: int = 0
    repeated: int = 0
    profiles: pl.DataFrame | None = None
    anchors: tuple[Anchor, ...] = field(default=())
    invalid: Mapping[str, int] = field(default_factory=dict)
    holds: Holds = field(default_factory=Holds)
    skipped: int = 0

    @property
    def rows(self) -> int:
        """How many rows were read."""
        return self.places.height

    def without_payload(self) -> PreparedBatch:
        """What a commit needs of it, once it is queued: of the events who and what they are. What they hold would take up memory."""
        frame = self.send.frame
        if frame.height <= FEW:
            return self
        who = picked(frame, (name for name in frame.columns if name in ENVELOPE))
        return replace(self, send=replace(self.send, frame=who))
