"""Error tables: what a server's codes mean, and the sentences that engines share. No value and no secret is ever repeated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from smartico_sync.errors import SourceError, SourceRefused, ViewBroken

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BY_HAND", "COMPARE", "SERVER", "SUBJECT", "TOO_SLOW", "TRIED_AGAIN", "Meaning", "StatementFailed", "meanings",
    "not_computed", "only_asks",
]  # fmt: skip

COMPARE = "compare the view with views.yaml: `sync check`"
TOO_SLOW = "raise statement_timeout, or see `sync check` for a missing index"
TRIED_AGAIN = "tried again"
BY_HAND = "SELECT from the view by hand to see the server's own words; a row's value may be in them"
# The forms of a sentence: about a view that was read, about the server itself, and with the view as its subject.
VIEW, SERVER, SUBJECT = (
    "{place}: {what}: {told} ({code})",
    "{place}: {told} ({code})",
    "{place}: {what} {told} ({code})",
)
C = TypeVar("C", int, str)


class StatementFailed(SourceError):
    """A statement failed as was expected of it; `code` is the server's. Always caught, and told as what it means."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the server's error {code}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code means: the class says what the daemon does."""

    kind: type[SourceError]
    told: str
    hint: str = ""
    form: str = VIEW

    def failure(self, place: str, what: str, code: int | str, more: str = "") -> SourceError:
        """The failure; `more` is a name that the server told, behind what is told."""
        said = self.form.format(place=place, what=what, told=f"{self.told}{more}", code=code)
        return self.kind(said, hint=self.hint)


def meanings(kind: type[SourceError], hint: str, codes: Mapping[C, str], form: str = VIEW) -> dict[C, Meaning]:
    """Codes that mean the same to the daemon and the operator; an engine's error table is made of these."""
    return {code: Meaning(kind, told, hint, form) for code, told in codes.items()}


def not_computed(place: str, what: str, code: int | str) -> ViewBroken:
    """For all codes that have no meaning of their own: their messages may quote the value that failed."""
    return ViewBroken(f"{place}: {what}: the view cannot be computed ({code})", hint=BY_HAND)


def only_asks(place: str, what: str) -> SourceRefused:
    """A statement that is no question, for a session that could not be told to refuse it."""
    return SourceRefused(f"{place}: {what}: this session only asks", hint="a view must only read")
