"""How a database or a broker is declared: what its URL may hold, and what it can do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONNECT_TIMEOUT", "Ability", "Engine", "Parameter", "QueryForm", "Reads"]

Ability = Literal[
    "fence",  # snapshots tell which transactions they do not see, on servers where `ServerFacts.fence` is empty
    "replay",  # a broker whose messages can be read again
]
Reads = Literal[
    "views",  # a database: rows are asked for
    "messages",  # a broker: messages come
]
QueryForm = Literal[
    "select",  # one SELECT, which can be put in brackets
    "aggregate",  # an aggregate command in extended JSON: a collection and its pipeline
]
Use = Literal[
    "applied",
    "ignored",  # other clients need it; here it would change nothing, or what must not change
]


class Parameter(Struct, frozen=True):
    """One parameter: its name, its meaning as a phrase in Markdown, and its default as it would be written (or empty).

    `others` are names that mean the same. Small and capital letters, `_`, `-` and blanks make no difference to any of them.
    """

    name: str
    meaning: str
    default: str = ""
    others: tuple[str, ...] = ()
    use: Use = "applied"


class Engine(Struct, frozen=True):
    """One database or broker. The module has `connect(name: str, config: SourceConfig)`, which opens no connection yet.

    It gives a Source, or where it `reads` messages a Stream. `extra` installs its driver (`pip install 'smartico-sync[extra]'`; empty: built in). `aliases` are other names of the
    scheme, each with the variant it means (or empty); `variants` are what may stand behind `+` and has a meaning, which the
    engine itself reads; any other is a driver's name and is dropped. `port` and `tls_port` are the ports of a host that names
    none; 0 where what stands in the host's place has no port. `ids`: why integer ids may not be in order, and what to prefer;
    empty: they are. `beyond`: what to do about a setting that is no parameter. `handed_on`: parameters whose names begin so are the
    client's own, and are given to it as they are. `number`: how a view makes a whole number of a text, in place of `{0}`.
    """

    scheme: str
    title: str
    module: str
    extra: str = ""
    aliases: Mapping[str, str] = field(default_factory=dict)
    variants: tuple[str, ...] = ()
    port: int = 0
    tls_port: int = 0
    query: QueryForm = "select"
    abilities: frozenset[Ability] = frozenset()
    ids: str = ""
    parameters: tuple[Parameter, ...] = ()
    beyond: str = ""
    reads: Reads = "views"
    handed_on: str = ""
    number: str = "CAST({0} AS bigint) AS {0}"

    def parameter(self, written: str) -> Parameter | None:
        """The parameter that is meant by a name as written; None for an unknown one."""
        if self.handed_on and written.startswith(self.handed_on) and written != self.handed_on:
            return Parameter(written, "a setting of the client")
        plain = _plain(written)
        return next((each for each in self.parameters if plain in map(_plain, (each.name, *each.others))), None)

    @property
    def defaults(self) -> dict[str, str]:
        """The defaults of parameters that have one."""
        return {each.name: each.default for each in self.parameters if each.default}


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())


# A server that is there answers sooner, over any distance.
CONNECT_TIMEOUT = Parameter("connect_timeout", "seconds until the next host is tried", "10")
