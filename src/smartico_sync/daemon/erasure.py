"""A player who is to be forgotten: which properties of his are personal, and how the state's rows show that they are his."""

from __future__ import annotations

from concurrent.futures import TimeoutError as NotYet
from contextlib import closing
from typing import TYPE_CHECKING

from smartico_sync.catalogue.kinds import kind
from smartico_sync.config.personal import says_who
from smartico_sync.core.erasure import clearing
from smartico_sync.core.reason_codes import UNKNOWN_USER
from smartico_sync.core.row_values import BRAND_COLUMN, USER_COLUMN
from smartico_sync.delivery.router import Router
from smartico_sync.errors import ConfigError, DeliveryError, DeliveryUnavailable
from smartico_sync.sources.registry import open_source
from smartico_sync.tracking.clocks import now_ms
from smartico_sync.tracking.prepared_view import prepare
from smartico_sync.tracking.view_identity import recorded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from smartico_sync.config.models import Configuration, View
    from smartico_sync.core.records import ViewRow

__all__ = ["key_places", "personal_properties", "tell"]

PATIENCE_S = 15.0  # for one event and some tries of it; who waits at a terminal asks again


def key_places(configuration: Configuration, rows: Sequence[ViewRow], brand: str) -> dict[str, tuple[int, int]]:
    """Where in the keys of each view user and brand stand (-1: nowhere); only of views that can tell the brand's players."""
    views = {view.name: view for view in configuration.views}
    found = {}
    for row in rows:
        view = views.get(row.view)
        if view is None:
            continue
        named = [view.targets.get(column) or column for column in recorded(row).key]
        user_at, brand_at = (named.index(name) if name in named else -1 for name in (USER_COLUMN, BRAND_COLUMN))
        if user_at >= 0 and (brand_at >= 0 or view.brand == brand):
            found[row.view] = (user_at, brand_at)
    return found


def personal_properties(configuration: Configuration, brand: str) -> list[str]:
    """The properties that views of profiles send and that say who somebody is, by their names. Raises what sources raise."""
    views = [view for view in configuration.views if kind(view.kind).role == "profile" and view.brand in (None, brand)]
    if not views:
        raise ConfigError("no view of profiles sends this brand's players", hint="forget them without --tell")
    return sorted({name for view in views for name in personal_of(configuration, view)})


def personal_of(configuration: Configuration, view: View) -> list[str]:
    """Those of one view."""
    with closing(open_source(view.source, configuration.sources[view.source])) as source:
        mapping = prepare(configuration, view, source).mapping
    pii = configuration.pii
    return [
        known.name
        for known in mapping.properties
        if known.name in {*pii.properties, *pii.in_the_clear}
        or any(says_who(pii, view, name) for name in (known.name, *(column.name for column in known.columns)))
    ]


def tell(
    configuration: Configuration, base: Path, brand: str, user: str, names: Sequence[str], status: str = ""
) -> list[str]:
    """Clear the properties at Smartico; those that it took. Raises DeliveryError when it does not take the event in time.

    A player whom Smartico does not know needs no clearing: then there are none.
    """
    router = Router(configuration.smartico, base)
    try:
        receipt = router.send("forget", clearing(brand, user, names, now_ms(), status))
        try:
            done = receipt.result(PATIENCE_S)
        except NotYet:
            unanswered = DeliveryUnavailable("the ingest API does not answer", hint="try it: smartico-sync check")
            raise router.problem() or unanswered from None
    finally:
        router.close(0)
    if any(refusal.code == UNKNOWN_USER for refusal in done.refused):
        return []
    if done.refused:
        refusal = done.refused[0]
        raise DeliveryError(
            f"the ingest API refuses it: {refusal.reason} (code {refusal.code})",
            hint="nothing was removed; mend that, or forget the player without --tell",
        )
    return [name for name in names if f"!{name}" not in done.left_out]
