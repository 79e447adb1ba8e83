"""Which views several members of a cluster read together: those of topics, where the configuration says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.catalogue.kinds import kind
from smartico_sync.config.source_checks import engine_of
from smartico_sync.config.state_checks import is_server

if TYPE_CHECKING:
    from smartico_sync.config.models import Configuration, View

__all__ = ["shared_views"]


def shared_views(configuration: Configuration) -> frozenset[str]:
    """Their names. A queue has one consumer; and of profiles with a `version:` a player may be in several partitions: those stay with one member."""
    if configuration.cluster.topics == "leased" or not is_server(configuration.state):
        return frozenset()
    return frozenset(view.name for view in configuration.views if may_be_shared(configuration, view))


def may_be_shared(configuration: Configuration, view: View) -> bool:
    """Whether members may each have a part of what the view reads."""
    engine = engine_of(configuration.sources[view.source].url)
    if engine is None or engine.reads != "messages" or "replay" not in engine.abilities:
        return False
    return kind(view.kind).role != "profile" or view.version is None
