"""What `state:` and `cluster:` say, and whether they fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.catalogue.engines import STATE_SERVER, find
from smartico_sync.config.problems import Problem
from smartico_sync.config.token_groups import group_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.config.models import Configuration

__all__ = ["is_server", "shown_state", "state_problems"]


def is_server(state: str) -> bool:
    """Whether `state:` is a URL, and not a path."""
    return "://" in state


def shown_state(state: str) -> str:
    """`state:` without a password."""
    scheme, separator, rest = state.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}" if separator else state


def state_problems(configuration: Configuration) -> Iterator[Problem]:
    """What does not fit. Nothing of a URL is shown: it may hold a password."""
    cluster = configuration.cluster
    if not is_server(configuration.state):
        if cluster.topics != "leased":
            yield Problem(
                ("cluster", "topics"),
                f"members share topics over one state in {STATE_SERVER.title}: expected `state: {STATE_SERVER.scheme}://…`, or `leased`",
            )
        if cluster.key_file is not None:
            yield Problem(
                ("cluster", "key_file"),
                f"is for a state in {STATE_SERVER.title}; the secret of a state file is named by `state_key_file`",
            )
        return
    engine = find(configuration.state.partition("://")[0])
    if engine is not STATE_SERVER:
        yield Problem(
            ("state",), f"expected a path, or a {STATE_SERVER.scheme}:// URL: no other database holds the state"
        )
    elif cluster.key_file is None and configuration.state_key_file is None:
        yield Problem(
            ("state",),
            "a database never holds the state's secret: make it once (`smartico-sync keys new --quiet`, or `smartico-sync state key FILE` "
            "for the state there is), put it on every member, and name its file as `cluster: {key_file: …}`",
        )
    elif cluster.key_file is not None and configuration.state_key_file is not None:
        yield Problem(("state_key_file",), "`cluster.key_file` names the secret already; expected one of the two")
    yield from group_problems(configuration)
