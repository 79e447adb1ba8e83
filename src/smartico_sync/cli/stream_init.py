"""`smartico-sync init` of a broker: its topics are sampled, and a first `views.yaml` names those that look like a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from smartico_sync.cli.output import echo_lines, secho
from smartico_sync.errors import ConfigError, SyncError
from smartico_sync.proposal.document import needed_in
from smartico_sync.proposal.topics import ProposedTopic, propose_topic
from smartico_sync.proposal.topics_document import topics_configuration
from smartico_sync.sources.stream import Feed

if TYPE_CHECKING:
    from smartico_sync.proposal.document import Heading
    from smartico_sync.sources.stream import Stream

__all__ = ["topics_proposed"]

SAMPLE = 200  # messages of a topic: enough to see what is optional, and what a type says
TOPICS = 200  # looked at; a cluster with more has them for others too
SHOWN = 10
NOT_SHOWN = "cannot be looked at without taking them"
OF_QUEUES = (
    "a queue shows no message without giving it away, and counts that as a delivery: bind a stream queue to the same exchange, "
    "publish for a while and look at that; or write views.yaml by hand: docs/streams has one to begin with"
)


def topics_proposed(heading: Heading, stream: Stream) -> tuple[str, tuple[str, ...]]:
    """The configuration's text, and the variables that it asks for; tells each topic in a line.

    Raises ConfigError where nothing is to be proposed, and what the broker raises for all of it.
    """
    names = stream.names()
    found = {name: looked_at(stream, name) for name in names[:TOPICS]}
    views = [each for each in found.values() if isinstance(each, ProposedTopic)]
    others = {name: each for name, each in found.items() if isinstance(each, str)}
    if not views:
        seen = ", ".join(f"{name}: {why}" for name, why in list(others.items())[:SHOWN]) or "none may be seen"
        raise ConfigError(
            f"no topic or queue looks like players, payments, bets or bonuses ({seen})",
            hint=OF_QUEUES
            if any(NOT_SHOWN in why for why in others.values())
            else "let the user read them, or write views.yaml by hand: docs/streams has one to begin with",
        )
    others |= dict.fromkeys(names[TOPICS:], "not looked at: there are too many")
    for each in views:
        secho("✓ ", fg="green", nl=False)
        echo_lines(f"{each.topic}: kind {each.recipe.kind}, {len(each.fields)} columns")
    for name, why in others.items():
        secho("· ", nl=False)
        echo_lines(f"{name}: {why}")
    text = topics_configuration(heading, views, others)
    return text, needed_in(text)


def looked_at(stream: Stream, name: str) -> ProposedTopic | str:
    """What a topic is proposed as, or why it is not."""
    feed = Feed("init", (name,), "smartico-sync-init")
    try:
        messages = stream.sample(feed, SAMPLE)
        waiting = 0 if messages else sum(each.messages for each in stream.lags(feed, {}))
    except SyncError as error:
        return error.message
    if waiting:
        return f"{waiting} messages wait in it, which {NOT_SHOWN}"
    return propose_topic(name, messages)
