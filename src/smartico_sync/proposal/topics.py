"""From topics to proposed views: what a sample of each holds, and the recipe that fits it best."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from smartico_sync.catalogue.kinds import KINDS
from smartico_sync.config.personal import looks_identifying, plain_name
from smartico_sync.core.messages.exact import ABSENT, as_text
from smartico_sync.core.messages.layout import Format, Layout
from smartico_sync.core.messages.rows import learnt, read
from smartico_sync.core.relation import Column
from smartico_sync.core.tables import Table
from smartico_sync.proposal.attempt import attempt, may_hold
from smartico_sync.proposal.recipe import Field
from smartico_sync.proposal.recipes import RECIPES
from smartico_sync.proposal.resolve import Reachable, find

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from smartico_sync.core.messages.message import Message
    from smartico_sync.core.messages.rows import Table as Sample
    from smartico_sync.proposal.attempt import Attempt
    from smartico_sync.proposal.recipe import Recipe

__all__ = ["ProposedTopic", "propose_topic"]

VALUES = 50  # a member with more of them says nothing about what a message is
SHOWN = 8  # members that are named where nothing fits
WORDS = 3  # of a topic's name, together
# Words of topics that say how something is published, and not what.
NOISE = re.compile(
    r"v\d+|pg|public|dbo|cdc|json|prod|production|staging|test|topic|queue|stream|events?|crm|domain|fct"
    r"|placed|created|updated?|changed?|changes|settled|approved|completed|final|new|all"
)
# What a number that is a moment counts, by how large those of our time are; milliseconds need no word.
UNITS = ((10**11, "epoch_s"), (10**14, ""), (10**17, "epoch_us"), (10**20, "epoch_ns"))


class ProposedTopic(Struct, frozen=True):
    """One view of a topic. `fields`: column → member; `units`: of those that are moments in numbers; `where`: member → values.

    `key`: `none` where no member is the event's own id. `version`: a member that grows with each change; empty where there is none.
    """

    recipe: Recipe
    topic: str
    format: Format
    root: tuple[str, ...]
    fields: Mapping[str, str]
    units: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)
    type_column: str = ""
    roles: Mapping[str, tuple[str | int, ...]] = field(default_factory=dict)
    key: str = ""
    version: str = ""
    seen: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def brand(self) -> bool:
        """Whether a member says it."""
        return "ext_brand_id" in self.fields

    @property
    def personal(self) -> tuple[str, ...]:
        """Properties that say who somebody is."""
        profile = KINDS[self.recipe.kind].role == "profile"
        return tuple(name for name in self.fields if profile and looks_identifying(name))


def propose_topic(topic: str, messages: Sequence[Message]) -> ProposedTopic | str:
    """The view that fits a topic best, by its name and a sample of its messages; a sentence where none does."""
    if not messages:
        return "no message could be looked at"
    samples = list(layouts(messages))
    if not samples:
        return "its messages are no JSON objects"
    tried = [
        (found, layout, sample)
        for layout, sample in samples
        for recipe in RECIPES
        if recipe.use == "propose" and (found := fitting(recipe, topic, sample)) is not None
    ]
    best = max((each for each in tried if not each[0].problem), key=lambda each: each[0].score, default=None)
    if best is not None:
        return proposed(topic, *best)
    if tried:
        return tried[0][0].problem.replace(tried[0][0].table.name, "it", 1)
    members = ", ".join(list(samples[-1][1].cells)[:SHOWN])
    return f"its name says of no kind of event that it holds it (members: {members})"


def layouts(messages: Sequence[Message]) -> Iterator[tuple[Layout, Sample]]:
    """The ways in which most of the messages can be read: as they are, and at each member that is an object."""
    flat = read(messages, Layout())
    if 2 * len(flat.reasons) > len(messages):
        return
    envelope = {"after", "op"} <= flat.cells.keys() or any(
        isinstance(value, dict) and "op" in value for value in flat.cells.get("payload", [])
    )
    if envelope or "__op" in flat.cells:
        layout = Layout("debezium")
        yield layout, read(messages, layout)
        return
    yield Layout(), flat
    for name, values in flat.cells.items():
        if 2 * sum(isinstance(value, dict) for value in values) > len(messages):
            layout = Layout(root=(name,))
            yield layout, read(messages, layout)


def fitting(recipe: Recipe, topic: str, sample: Sample) -> Attempt | None:
    """A recipe tried on a sample; None where the topic's name does not speak for it."""
    columns = tuple(Column(name, family, family) for name, family in learnt(sample, {}).items())
    # Messages come by themselves: nothing has to say when a row moved.
    asked = replace(
        recipe, cursor=(), filled="as it is", fields=tuple(each for each in recipe.fields if each.name != "is_test")
    )
    for name in names_of(topic):
        table = Table(name, columns)
        if may_hold(asked, table):
            return attempt(asked, table, {name: table}, lambda _, column: values_of(sample, column.name))
    return None


def names_of(topic: str) -> Iterator[str]:
    """What a topic may be about: the words of its name that say so, most of them together first."""
    words = [word for word in re.split(r"[^a-z0-9]+", plain_name(topic).replace("_", " ")) if word]
    words = [word for word in words if not NOISE.fullmatch(word)]
    for size in range(min(WORDS, len(words)), 0, -1):
        for start in range(len(words) - size, -1, -1):
            yield "_".join(words[start : start + size])


def values_of(sample: Sample, name: str) -> tuple[str | int, ...]:
    """What a member holds, each value once; empty where there are too many, or some are no plain values."""
    found = {
        value for value in sample.cells.get(name, []) if isinstance(value, str | int) and not isinstance(value, bool)
    }
    return tuple(sorted(found, key=str)) if len(found) <= VALUES else ()


def proposed(topic: str, tried: Attempt, layout: Layout, sample: Sample) -> ProposedTopic:
    """The view of what was found."""
    kind = KINDS[tried.recipe.kind]
    fields = {name: found.column.name for name, found in tried.found.items()}
    own = next((each for each in kind.key if all(name in fields for name in each)), None)
    if tried.type_column:
        fields.setdefault(tried.type_column, tried.type_column)
    version = ""
    if kind.role == "profile":
        words = next(each.cursor for each in RECIPES if each.name == tried.recipe.name)
        moved = find(Field("dt_update", words, shape="time"), (Reachable(tried.table, tried.table.name),))
        version = moved.column.name if moved else ""
        if version:
            fields.setdefault(version, version)
    moments = {each.name for each in tried.recipe.fields if each.shape == "time"} | {version}
    return ProposedTopic(
        tried.recipe, topic, layout.format, layout.root, fields,
        {name: unit for name, member in fields.items() if name in moments and (unit := unit_of(sample, member))},
        {each.column: each.values for each in tried.conditions if each.values},
        tried.type_column, tried.roles, "" if own or kind.role == "profile" else "none", version, tuple(tried.seen),
        tuple(name for name in sample.cells if name not in fields.values()),
    )  # fmt: skip


def unit_of(sample: Sample, member: str) -> str:
    """What moments in numbers count; empty for milliseconds, and for anything else."""
    numbers = [
        value for value in sample.cells.get(member, []) if isinstance(value, int) and not isinstance(value, bool)
    ]
    given: list[Any] = [
        value for value in sample.cells.get(member, []) if value is not ABSENT and as_text(value) is not None
    ]
    if not numbers or len(numbers) < len(given):
        return ""
    return next((unit for limit, unit in UNITS if max(numbers) < limit), "")
