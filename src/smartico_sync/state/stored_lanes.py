"""The store's part about lanes that members share: each is one member's at a time, and goes to another with what is on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from smartico_sync.errors import PositionMoved, StateError
from smartico_sync.state import lanes, view_positions
from smartico_sync.state.open_state import OpenState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from smartico_sync.core.records import LaneStep

__all__ = ["Claimed", "StoredLanes"]


class Claimed(Struct, frozen=True):
    """Lanes that a member was given. `left`: how those before let go of them; badly: what they sent may not be known in full.

    `first_load`: whether anything of its lanes was there before the view began.
    """

    left: Literal["well", "badly"]
    first_load: Literal["under way", "over"]


class StoredLanes(OpenState):
    """Lanes of a state's views, for a member that shares them (`owner`)."""

    def claim(self, view: str, steps: Sequence[LaneStep]) -> Claimed:
        """Make lanes this member's and place them: whoever had them can write nothing of them any more.

        Raises PositionMoved, with nothing written, when one is not where it was expected.
        """
        number, owner = self.number(view), self._sharing()
        with self.reading() as connection:
            before = lanes.owners(connection, number)
        self.together(lambda connection: lanes.claim(connection, self.secret, number, view, steps, owner))
        given = {step.lane for step in steps}
        others = [before[lane][0] for lane in given & before.keys()]
        mine = given | {lane for lane, (whose, _) in before.items() if whose == owner}
        level = all(lane in before and before[lane][1] for lane in mine)
        left = any(whose not in (None, owner) for whose in others)
        return Claimed("badly" if left else "well", "over" if level else "under way")

    def give_up(self, view: str, names: Sequence[str]) -> None:
        """Leave lanes to other members: all that was sent of them is known, or will be sent again."""
        number, owner = self.number(view), self._sharing()
        self.together(lambda connection: lanes.give_up(connection, number, names, owner))

    def own_lanes(self, view: str) -> set[str]:
        """Return the lanes that are this member's."""
        number = self.number(view)
        with self.reading() as connection:
            return {lane for lane, (owner, _) in lanes.owners(connection, number).items() if owner == self.owner}

    def learn(self, view: str, add: Callable[[str], str], definition: str | None, before: str) -> None:
        """Remember what messages are made of, beside what other members learnt: `add` is given that, and returns both.

        `definition`: what the view is, by its first messages; `before`: what it was taken for. Raises PositionMoved where it
        is not that any more: another member was the first.
        """
        number = self.number(view)
        with self.writing() as connection:
            known = view_positions.columns(connection, number)
            if definition not in (None, known["definition"]) and known["definition"] != before:
                raise PositionMoved(
                    f"view {view}: another member has read its first messages",
                    hint="nothing: it goes by what that one found",
                )
            settled = {} if definition is None else {"definition": definition}
            view_positions.change(connection, self.secret, number, {"late": add(known["late"]), **settled})

    def _sharing(self) -> UUID:
        if self.owner is None:
            raise StateError(f"the lanes of {self.database} are not shared by members")
        return self.owner
