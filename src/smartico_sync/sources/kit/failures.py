"""Error tables: what a server's codes mean, and the sentences that engines share. No value and no secret is ever repeated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

from msgspec import Struct

from smartico_sync.core.redaction import from_database
from smartico_sync.errors import SourceError, SourceRefused, ViewBroken

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "BY_HAND", "COMPARE", "NOT_COMPUTED", "RUN", "SEE_ROW", "SMALLER", "TOO_SLOW", "Meaning", "StatementFailed",
    "alike", "failure_of", "meanings", "only_asks",
]  # fmt: skip

COMPARE = "let the database have it again, or correct views.yaml and: smartico-sync reload; `smartico-sync check` compares them"
TOO_SLOW = "where a session locks the table, end it; else raise `statement_timeout`, or see `smartico-sync check` for a missing index"
SMALLER = "tried again, with a smaller page"
SEE_ROW = "SELECT from the view by hand to see the row; a cast or a division in it fails"
RUN = "run the `query:` by hand"
NO_MORE = "the server takes no more connections now"
BY_HAND = "SELECT from the view by hand to see the server's own words; a row's value may be in them"
Form = Literal["view", "server", "subject"]  # about a view that was read, the server itself, or the view as its subject
FORMS: dict[Form, str] = {
    "view": "{place}: {what}: {told} ({code})", "server": "{place}: {told} ({code})", "subject": "{place}: {what} {told} ({code})",
}  # fmt: skip
C = TypeVar("C", int, str)


class StatementFailed(SourceError):
    """A statement failed as was expected of it; `code` is the server's. Always caught, and told as what it means."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the server's error {code}")
        self.code = code


class Meaning(Struct, frozen=True):
    """What a code means: the class says what the daemon does. `told` is empty where the server's own words hold names only."""

    kind: type[SourceError]
    told: str
    hint: str
    form: Form = "view"


def meanings(kind: type[SourceError], hint: str, codes: Mapping[C, str], form: Form = "view") -> dict[C, Meaning]:
    """Codes that mean the same to the daemon and the operator; an engine's error table is made of these."""
    return {code: Meaning(kind, told, hint, form) for code, told in codes.items()}


def alike(kind: type[SourceError], hint: str, told: str, codes: Iterable[C], form: Form = "view") -> dict[C, Meaning]:
    """Codes that are told in the same words."""
    return meanings(kind, hint, dict.fromkeys(codes, told), form)


# Most other codes tell of a value that failed, and so do their words.
NOT_COMPUTED = Meaning(ViewBroken, "the view cannot be computed", BY_HAND)


def failure_of(
    table: Mapping[Any, Meaning], code: int | str, place: str, what: str,
    *, shown: str = "", said: str = "", named: str = "", otherwise: Meaning = NOT_COMPUTED,
) -> SourceError:  # fmt: skip
    """The failure that a code means; of an SQLSTATE that is not in the table its class counts.

    `shown` is the code as people write it, `said` the server's words, for meanings without words of their own, and `named` a
    name to put behind ours. `otherwise` is the meaning of all other codes.
    """
    known: list[Any] = [code, code[:3], code[:2]] if isinstance(code, str) else [code]
    meaning = next((table[each] for each in known if each in table), otherwise)
    told = f"{meaning.told or from_database(said)}{named}"
    return meaning.kind(
        FORMS[meaning.form].format(place=place, what=what, told=told, code=shown or code), hint=meaning.hint
    )


def only_asks(place: str, what: str) -> SourceRefused:
    """A statement that is no question, for a session that could not be told to refuse it."""
    return SourceRefused(f"{place}: {what}: this session only asks", hint="a view must only read")
