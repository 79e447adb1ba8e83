"""How the configuration of a view becomes the options of its mapping."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.catalogue.kinds import kind
from smartico_sync.core.conversion import Hints
from smartico_sync.core.folding import ALL
from smartico_sync.core.view_mapping import Options

if TYPE_CHECKING:
    from smartico_sync.config.models import Pii, View

__all__ = ["options"]


def options(view: View, pii: Pii) -> Options:
    """The mapping's options as configured."""
    rules = {column: rule for column, rule in view.columns.items() if rule}
    plain = {view.targets[column] or column for column, rule in rules.items() if rule.fold == "off"}
    return Options(
        columns=view.targets,
        hints={column: Hints(split=rule.split or "", scale=rule.scale) for column, rule in rules.items()},
        types={column: rule.type for column, rule in rules.items() if rule.type},
        type_column=view.type.column if view.type else "",
        roles={value: role for role, values in view.type.roles.items() for value in values} if view.type else {},
        other=view.type.other if view.type else "dead_letter",
        where=view.where,
        unmapped=view.unmapped or "",
        unfolded=frozenset({ALL} if view.fold == "off" else plain),
        unreadable="dead_letter" if view.on_invalid == "dead_letter" else "omit",
        arrays=view.arrays,
        clears=cleared(view, pii),
        event_type=view.event_type or "",
        event_date=view.event_date or "",
        brand=view.brand or "",
    )


def cleared(view: View, pii: Pii) -> frozenset[str]:
    """The properties that are cleared when they became NULL: who is anonymised in the source is so at Smartico too."""
    if kind(view.kind).role != "profile" or view.on_null == "omit":
        return frozenset()
    return frozenset({ALL} if view.on_null == "clear" else {*pii.properties, *pii.in_the_clear})
