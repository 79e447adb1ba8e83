"""Names and constants as SQL writes them, and names as the configuration does."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from smartico_sync.sources.kit import suggestions

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import sqlalchemy as sa

    from smartico_sync.core.relation import Relation

__all__ = [
    "CapitalNames",
    "constant",
    "dotted",
    "like",
    "names_of",
    "parts_of",
    "quoted",
    "quoted_if_needed",
    "written",
]

PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')
PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def names_of(relation: str) -> tuple[str, ...]:
    """`crm.user_profile` or `"My.Schema"."View"` to its parts; parts are taken as written, capitals included."""
    return tuple(name for name, _ in parts_of(relation))


def parts_of(relation: str) -> list[tuple[str, Literal["quoted", "plain"]]]:
    """As `names_of`, with how each part is written."""
    parts = PART.findall(relation)
    return [(quoted.replace('""', '"'), "quoted") if quoted else (plain.strip(), "plain") for quoted, plain in parts]


def dotted(parts: Iterable[str | None]) -> str:
    """A relation's name as the configuration writes it, `names_of` backwards."""
    names = (part or "" for part in parts)
    return ".".join(quoted(name) if '"' in name or "." in name else name for name in names)


def like(relation: Relation, names: Sequence[str]) -> str:
    """The beginning of the hint for a relation that does not exist: those that are called nearly so, or nothing."""
    if relation.relation is None:
        return ""
    return suggestions.like(names_of(relation.relation)[-1], {name: names_of(name)[-1] for name in names})


def quoted(name: str, end: str = '"', begin: str | None = None) -> str:
    """A name between its dialect's marks, the closing one doubled where it stands in the name."""
    return f"{end if begin is None else begin}{name.replace(end, end * 2)}{end}"


def quoted_if_needed(name: str, plain: re.Pattern[str] = PLAIN) -> str:
    """A name as people write it: quoted only where a dialect whose `plain` names need no quotes asks for it."""
    return name if plain.fullmatch(name) else quoted(name)


class CapitalNames:
    """For dialects that store names in capitals unless somebody quotes them; the configuration calls them in small letters.

    `plain`: the small letters that need no quotes.
    """

    requires_name_normalize = True
    plain: re.Pattern[str]

    def normalize_name(self, name: str) -> str:
        """A stored name as the configuration calls it; small letters that somebody quoted remember that."""
        from sqlalchemy.sql import quoted_name  # noqa: PLC0415 - only in such a dialect

        if self.plain.fullmatch(name):
            return quoted_name(name, quote=True)
        return name.lower() if name == name.upper() and self.plain.fullmatch(name.lower()) else name

    def denormalize_name(self, name: str) -> str:
        """A name of the configuration as it is stored; what is not plain small letters is stored as written."""
        return name.upper() if self.plain.fullmatch(name) else name


def written(dialect: sa.Dialect, stored: str) -> str:
    """A name that such a dialect has stored, as the configuration writes it in a relation."""
    from sqlalchemy.sql import quoted_name  # noqa: PLC0415 - likewise

    name = dialect.normalize_name(stored)
    return quoted(name) if isinstance(name, quoted_name) or "." in name or '"' in name else name


def constant(text: str) -> str:
    """A text as an SQL constant, where a backslash is an ordinary character."""
    return quoted(text, "'")
