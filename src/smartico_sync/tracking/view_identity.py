"""Which view of the state a configured view is: by its name, or after a rename by its identity."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from msgspec.structs import replace

from smartico_sync.config.source_checks import place_of
from smartico_sync.core.column_changes import columns_of
from smartico_sync.core.definition import Definition
from smartico_sync.errors import StateDamaged, ViewMisconfigured

if TYPE_CHECKING:
    from smartico_sync.config.models import Configuration, View
    from smartico_sync.core.records import ViewRow
    from smartico_sync.core.view_mapping import ViewMapping
    from smartico_sync.state.store import Store

__all__ = ["definition_of", "kept_key", "recorded", "redefine", "replaced", "row_of", "where"]


def definition_of(configuration: Configuration, view: View, mapping: ViewMapping) -> Definition:
    """What the view is now."""
    columns, unmapped = columns_of(mapping)
    query = " ".join((view.query or "").split())
    return Definition(
        kind=view.kind,
        place=place_of(configuration.sources[view.source].url),
        relation=view.relation or "",
        query=hashlib.sha256(query.encode()).hexdigest()[:16] if query else "",
        brand=view.brand or "",
        event_types=tuple(sorted(view.event_types().values())),
        cursor=view.cursor,
        family=mapping.relation.cursor_column.family,
        key=mapping.relation.key,
        identity=mapping.id_columns,
        content=() if mapping.relation.key else mapping.content,
        columns=columns,
        unmapped=unmapped,
    )


def redefine(configuration: Configuration, view: View, mapping: ViewMapping, store: Store, row: ViewRow) -> ViewRow:
    """Remember what the view is now; the columns that its event ids are made of stay."""
    return store.redefine(view.name, replaced(recorded(row), definition_of(configuration, view, mapping)).text())


def replaced(before: Definition, now: Definition) -> Definition:
    """What a view is from now on that goes on under its event ids; its columns are accepted by a person only."""
    kept = replace(now, columns=before.columns, unmapped=before.unmapped)
    return replace(kept, identity=before.identity, content=before.content) if before.key == now.key else kept


def recorded(row: ViewRow) -> Definition:
    """What a view was when it was first tracked."""
    try:
        return Definition.of(row.definition)
    except ValueError:
        raise StateDamaged(
            f"the state is damaged: the definition of view {row.view} cannot be read",
            hint="smartico-sync state restore BACKUP",
        ) from None


def kept_key(view: View, row: ViewRow | None) -> tuple[str, ...] | None:
    """The key that a view was first tracked by, where the configuration does not name one; None where it is free to choose."""
    return None if row is None or row.blank or view.key is not None else recorded(row).key


def row_of(configuration: Configuration, view: View, store: Store) -> ViewRow | None:
    """The view's row in the state, None at its very first start; one of another name and the same identity is renamed.

    Raises ViewMisconfigured where name and identity are those of two views, or of one that is still configured.
    """
    row = store.view(view.name)
    if row is not None:
        if view.identity not in (None, row.identity):
            raise ViewMisconfigured(
                f"view {view.name} is tracked under the identity {row.identity}, and `identity:` says {view.identity}",
                hint=f"write `identity: {row.identity}`, or take `identity:` out",
            )
        return row
    identity = view.identity or view.name
    other = next((row for row in store.views() if row.identity == identity), None)
    if other is None:
        return None
    both = any(each.name == other.view for each in configuration.views)
    if view.identity is None or both:
        raise ViewMisconfigured(
            f"view {view.name}: the identity {identity} is that of view {other.view}, and two views of one identity would make "
            "the same event ids",
            hint=f"write another `identity:` for view {view.name}, such as {view.name}-2"
            if both
            else f"where {other.view} is its former name: smartico-sync watermark adopt {view.name} --from {other.view}; for a view "
            f"of other rows write another `identity:`, such as {view.name}-2",
        )
    return store.rename(other.view, view.name)


def where(view: View) -> str:
    """The relation as a person calls it."""
    return view.relation or "its query"
