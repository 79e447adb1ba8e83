"""What a view of messages becomes: its layout, its columns as they are learnt, its key and its mapping."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from smartico_sync.catalogue.kinds import kind
from smartico_sync.catalogue.properties import property_type
from smartico_sync.config.personal import says_who, unprotected_pii
from smartico_sync.core.cursor_time import written_ms
from smartico_sync.core.mapping import keys_of
from smartico_sync.core.messages.layout import Field, Layout, field_of
from smartico_sync.core.messages.rows import LANE, OFFSET, PLACE_KEY, TIME
from smartico_sync.core.planning import plan
from smartico_sync.core.relation import Column, Relation
from smartico_sync.core.validation import IMMUTABLE
from smartico_sync.errors import ConfigError, ViewBroken
from smartico_sync.sources.stream import Feed
from smartico_sync.tracking.mapping_options import options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from smartico_sync.catalogue.kind import Kind
    from smartico_sync.config.models import Configuration, Pii, View
    from smartico_sync.core.relation import Family
    from smartico_sync.core.view_mapping import ViewMapping
    from smartico_sync.sources.stream import Start

__all__ = ["PreparedStream", "columns_in", "columns_out", "feed_of", "layout_of", "never_seen", "prepare_stream"]

GROUP = "smartico-sync"  # of a source that names none
OWN: tuple[Column, ...] = (
    Column(LANE, "the message's topic and partition", "text"),
    Column(OFFSET, "the message's offset", "decimal"),
    Column(TIME, "the message's timestamp", "instant"),
)
PLAYER_COLUMNS = ("user_ext_id", "ext_brand_id")


class PreparedStream(Struct, frozen=True):
    """A view of messages, ready to take some. `learnt`: the columns that messages have brought so far, each with its family."""

    relation: Relation
    mapping: ViewMapping
    layout: Layout
    learnt: Mapping[str, Family]

    @property
    def absence(self) -> frozenset[str]:
        """The columns of which it matters whether a message says nothing of them, or null."""
        if self.mapping.kind.role != "profile":
            return frozenset()
        return frozenset(column.name for known in self.mapping.properties for column in known.columns) - {*PLACE_KEY}


def feed_of(configuration: Configuration, view: View, state: str) -> Feed:
    """What the view reads of its broker."""
    pattern = (view.relation or "").strip().startswith("/")
    names = names_of(view)
    profile = kind(view.kind).role == "profile"
    return Feed(
        view.name,
        names,
        f"{configuration.sources[view.source].group or GROUP}.{view.name}",
        "pattern" if pattern else "name",
        start_of(view),
        layout_of(view).needs,
        state,
        "alone" if profile else "any",
        view.on_gap,
        "player" if profile else "event",
        older="told" if view.version else "unknown",
        known_by="key" if view.key or (view.key is None and kind(view.kind).key) else "place",
        dead_letters=view.dead_letters,
        others=others(configuration, view, names),
    )


def names_of(view: View) -> tuple[str, ...]:
    """The topics or queues that a view names, or its one pattern."""
    relation = (view.relation or "").strip()
    return (relation.strip("/"),) if relation.startswith("/") else tuple(name.strip() for name in relation.split(","))


def others(configuration: Configuration, view: View, names: tuple[str, ...]) -> dict[str, str]:
    """By topic or queue, another view that reads it from the same broker."""
    sources = configuration.sources
    found: dict[str, str] = {}
    for other in configuration.views:
        if other.name != view.name and sources[other.source].url == sources[view.source].url:
            found |= dict.fromkeys(set(names).intersection(names_of(other)), other.name)
    return found


def start_of(view: View) -> Start | int:
    """Where lanes begin that nobody has read; a time that names no zone is UTC."""
    if view.start_from == "first":
        return "first"
    if view.start_from == "now":
        return "now"
    return written_ms(view.start_from)


def layout_of(view: View) -> Layout:
    """How the view's messages are read."""
    fields = [field_of(column, each.path, each.type or "") for column, each in view.fields.items()]
    listed = {field.column: field for field in fields}
    fields += [field_of(name, name) for name in named(view) if name not in listed and (view.fields or "." in name)]
    return Layout(
        view.format,
        tuple(view.root.split(".")) if view.root else (),
        tuple(fields),
        tuple((condition(listed, name), words) for name, words in view.where.items()),
        "listed" if view.fields else "all",
        view.on_tombstone,
    )


def condition(listed: Mapping[str, Field], name: str) -> Field:
    """What a word of `where` means: a column of `fields`, or a path."""
    return listed.get(name) or field_of(name, name)


def named(view: View) -> Iterator[str]:
    """The columns that the configuration names beside `fields`."""
    if view.type:
        yield view.type.column
    for name in (view.event_date, view.version):
        if name:
            yield name
    yield from (name for name in view.key or () if name not in PLACE_KEY)
    yield from (column for column, target in view.targets.items() if target)
    yield from (name for name in view.arrays if name not in view.targets.values())


def presumed(view: View, learnt: Mapping[str, Family]) -> dict[str, Family]:
    """The columns that are learnt, and those that the view cannot do without: a message that lacks one is a dead letter.

    One bad message at the beginning of a topic must not keep a view from being of its kind.
    """
    found: dict[str, Family] = dict(learnt)
    for name in (*view.fields, *named(view)):
        found.setdefault(name, "text")
    known = kind(view.kind)
    targets = view.targets

    def there() -> set[str]:
        return {*found, *(targets.get(name) or name for name in found)} - {
            name for name, target in targets.items() if target is None
        }

    wanted = [
        *(any_of(known, alternatives) for alternatives in known.required),
        ("user_ext_id",),
        *(() if view.brand else (("ext_brand_id",),)),
    ]
    roles = tuple(view.type.roles) if view.type else known.row_roles if "" not in known.event_types else ("",)
    for role in roles:
        pairs = (*known.columns, *known.row_role(role).columns)
        wanted += [
            tuple(source for source, filled in pairs if filled == target) for target in known.row_role(role).needs
        ]
    for alternatives in wanted:
        dated = known.moment in alternatives
        if alternatives and not dated and not there() & set(alternatives):
            found[alternatives[0]] = "text"
    return found


def any_of(known: Kind, alternatives: tuple[str, ...]) -> tuple[str, ...]:
    """The alternatives of a kind, and what else fills the same properties."""
    filled = {target for column, target in known.columns if column in alternatives}
    return (*alternatives, *(column for column, target in known.columns if target in filled))


def remembered(view: View, pii: Pii, families: Mapping[str, Family]) -> dict[str, Family]:
    """The properties of a profile that are told apart in the state, where no column brings them yet.

    What is remembered of a player has its layout from them: it must not change with the first message that brings one.
    """
    if kind(view.kind).role != "profile" or view.fields:
        return {}
    brought = {view.targets.get(name) or name for name in families}
    apart = {*pii.properties, *pii.in_the_clear, *IMMUTABLE} - brought - {*view.targets}
    return dict.fromkeys(sorted(apart), "text")


def prepare_stream(
    configuration: Configuration, view: View, learnt: Mapping[str, Family], key: tuple[str, ...] | None = None
) -> PreparedStream:
    """Plan the mapping of what has been learnt of a view's messages. `key`: what it is tracked by, None at its very first start.

    Raises ViewBroken where the columns cannot be this kind, and ConfigError when personal data would leave unprotected.
    """
    families = presumed(view, learnt)
    if key is None:
        key = view.key if view.key is not None else default_key(view, families)
        key = (*key, view.type.column) if view.type and key and view.type.column not in key else key or PLACE_KEY
    families |= remembered(view, configuration.pii, families)
    families |= {name: "text" for name in key if name not in families and name not in PLACE_KEY}
    chosen = options(view, configuration.pii)
    columns = {**dict.fromkeys(PLACE_KEY), **chosen.columns}
    blind = frozenset(name for name in families if says_who(configuration.pii, view, name))
    chosen = replace(chosen, columns=columns, where={}, blind=blind)
    described = (*OWN, *(Column(name, family, family) for name, family in families.items()))
    zone = view.timezone or configuration.sources[view.source].timezone
    relation = Relation(
        view.name, TIME, key, view.relation, timezone=zone, columns=described, version=view.version or ""
    )
    mapping = plan(view.name, kind(view.kind), relation, chosen)
    if mapping.misfits:
        relation = replace(relation, columns=tuple(softened(column, mapping) for column in described))
        mapping = plan(view.name, kind(view.kind), relation, chosen)
    if mapping.misfits:
        raise ViewBroken(f"view {view.name}: {view.relation}: {mapping.misfits[0].what}", hint=mapping.misfits[0].hint)
    if open_names := unprotected_pii(configuration, view, [each.name for each in mapping.properties]):
        raise ConfigError(
            f"view {view.name}: {', '.join(open_names)} would leave in the clear",
            hint="add the property to `pii.properties`, or leave the column out with `columns: {name: null}`",
        )
    return PreparedStream(relation, mapping, layout_of(view), dict(learnt))


def default_key(view: View, families: Mapping[str, Family]) -> tuple[str, ...]:
    """The kind's first key whose columns are all there, else its first: a message that lacks it is a dead letter."""
    alternatives = kind(view.kind).key
    described = tuple(Column(name, family, family) for name, family in families.items())
    found = keys_of(kind(view.kind), None, described, "", view.targets)
    return found or (alternatives[0] if alternatives else ())


def softened(column: Column, mapping: ViewMapping) -> Column:
    """The column as text where what it held first can never be its property: only the messages that hold it are at fault."""
    if column.family not in ("json", "boolean"):
        return column
    of_kind = mapping.kind.types
    for known in mapping.properties:
        expected = property_type(known.name) or of_kind.get(known.name)
        if column in known.columns and expected not in (None, "any", "array", "boolean", "string"):
            return replace(column, type="text", family="text")
    return column


def never_seen(view: View, learnt: Mapping[str, Family]) -> tuple[str, ...]:
    """The columns that the view cannot do without and that no message has brought yet."""
    return tuple(name for name in presumed(view, learnt) if name not in learnt)


def columns_out(learnt: Mapping[str, Family]) -> str:
    """What the state remembers of a view's columns, as JSON text."""
    return json.dumps({"columns": dict(learnt)}, ensure_ascii=False)


def columns_in(text: str) -> dict[str, Family]:
    """Read it back; nothing where there is none."""
    try:
        found = json.loads(text or "{}").get("columns", {})
    except (ValueError, AttributeError):
        return {}
    return dict(found) if isinstance(found, dict) else {}
