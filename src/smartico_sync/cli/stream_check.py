"""`smartico-sync check` for brokers: everything is tried, nothing is sent, and nobody's place is moved."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from smartico_sync.catalogue.kinds import kind
from smartico_sync.cli.findings import Finding, failed
from smartico_sync.cli.mapping_findings import mapping_findings
from smartico_sync.core.mapping import events
from smartico_sync.core.messages.rows import PLACE_KEY
from smartico_sync.errors import ExitCode, StateError, SyncError
from smartico_sync.tracking.stream_inspection import SAMPLE, sampled, scattered_players

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.cli.operator_context import OperatorContext
    from smartico_sync.config.models import View
    from smartico_sync.sources.stream import Stream
    from smartico_sync.tracking.stream_inspection import Sampled

__all__ = ["check_messages"]


def check_messages(context: OperatorContext, view: View, stream: Stream) -> Iterator[Finding]:
    """One view: what the broker says of its topics, and a sample as the daemon would map it."""
    subject = f"view {view.name}"
    try:
        with context.broker(view) as (_, feed):
            for remark in stream.remarks(feed):
                code = ExitCode.SOURCE if remark.mark == "wrong" else ExitCode.FINE
                yield Finding(remark.mark, subject, remark.message, remark.hint, code)
            messages = stream.sample(feed, SAMPLE)
        row = context.known_row(view)
        some = sampled(context.configuration, view, messages, row)
        if not messages:
            if context.can_replay(view):
                yield Finding(
                    "advice",
                    subject,
                    "there is no message to look at yet",
                    "smartico-sync check again once there is one",
                )
            return
        yield from sample_findings(context, view, some)
    except SyncError as error:
        yield failed(subject, error)


def sample_findings(context: OperatorContext, view: View, some: Sampled) -> Iterator[Finding]:
    """What the sampled messages become."""
    subject, mapping = f"view {view.name}", some.prepared.mapping
    made = events(mapping, some.rows)
    key = some.prepared.relation.key
    yield Finding(
        "fine",
        subject,
        f"of {len(some.table.messages) + sum(some.table.skipped.values())} messages {made.events.frame.height} become events, "
        f"with {len(mapping.properties)} properties; {sum(some.table.skipped.values())} are skipped",
    )
    if made.rejects.height:
        reasons = made.rejects.get_column("reason").value_counts(sort=True)
        most, count = reasons.row(0)
        wrong = not made.events.frame.height
        yield Finding(
            "wrong" if wrong else "advice",
            subject,
            f"{made.rejects.height} would be dead letters, most often ({count}): {most}",
            f"smartico-sync preview {view.name} shows the others; `fields`, `root` or `where` mend it",
            ExitCode.CONFIGURATION if wrong else ExitCode.FINE,
        )
    if some.unseen:
        yield Finding(
            "advice",
            subject,
            f"no message has {', '.join(some.unseen)}",
            "name the members that hold it with `fields: {column: path}`, or `columns:`",
        )
    if key == PLACE_KEY:
        yield Finding(
            "advice",
            subject,
            "no key: a message is known by its place, so one that a producer sends twice counts twice",
            "name what makes an event that event with `key:`",
        )
    else:
        yield Finding("fine", subject, f"key {', '.join(key)}")
    yield from order_findings(view, some)
    yield from mapping_findings(context.configuration, subject, view, mapping)
    with suppress(StateError), context.reading() as store:
        if store.view(view.name) is not None and (lanes := store.lanes(view.name)):
            yield Finding("fine", subject, f"the state knows {len(lanes)} partitions")


def order_findings(view: View, some: Sampled) -> Iterator[Finding]:
    """Whether the messages of one player are in one order."""
    subject, scattered = f"view {view.name}", scattered_players(some)
    if not scattered:
        if some.rows.height:
            yield Finding("fine", subject, "each player's messages are in one partition, as far as the sample shows")
        return
    profiles = kind(view.kind).role == "profile"
    if profiles and view.version is None:
        yield Finding(
            "wrong",
            subject,
            f"{scattered} players have messages in several partitions: an older state may come after a newer one",
            "have the producer key by player; or name a column that grows with each change with `version:`",
            ExitCode.CONFIGURATION,
        )
        return
    told = (
        "`version` keeps older states back" if profiles else "the order of a player's events is not that of the topic"
    )
    yield Finding("advice", subject, f"{scattered} players have messages in several partitions: {told}")
