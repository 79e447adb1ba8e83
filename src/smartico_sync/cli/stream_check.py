"""`sync check` for brokers: everything is tried, nothing is sent, and nobody's place is moved."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING

from smartico_sync.catalogue.kinds import kind
from smartico_sync.cli.results import Result
from smartico_sync.config.personal import undecided_pii
from smartico_sync.core.mapping import events
from smartico_sync.core.messages.rows import PLACE_KEY
from smartico_sync.errors import ExitCode, StateError, SyncError
from smartico_sync.sources.registry import open_stream
from smartico_sync.tracking.stream_inspection import SAMPLE, sampled, scattered_players

if TYPE_CHECKING:
    from collections.abc import Iterator

    from smartico_sync.cli.operator_context import OperatorContext
    from smartico_sync.config.models import View
    from smartico_sync.sources.stream import Stream
    from smartico_sync.tracking.stream_inspection import Sampled

__all__ = ["broker_results"]


def broker_results(context: OperatorContext, name: str) -> Iterator[Result]:
    """A broker, then each of its views."""
    configuration = context.configuration
    try:
        with closing(open_stream(name, configuration.sources[name])) as stream:
            facts = stream.facts()
            yield Result("fine", f"source {name}", f"{facts.engine} {facts.version}, {facts.role}")
            for warning in facts.warnings:
                yield Result("advice", f"source {name}", warning)
            for view in configuration.views:
                if view.source == name:
                    yield from view_results(context, view, stream)
    except SyncError as error:
        yield Result("wrong", f"source {name}", error.message, error.hint, error.exit_code)


def view_results(context: OperatorContext, view: View, stream: Stream) -> Iterator[Result]:
    """One view: what the broker says of its topics, and a sample as the daemon would map it."""
    subject = f"view {view.name}"
    try:
        with context.broker(view) as (_, feed):
            for remark in stream.remarks(feed):
                code = ExitCode.SOURCE if remark.mark == "wrong" else ExitCode.FINE
                yield Result(remark.mark, subject, remark.message, remark.hint, code)
            messages = stream.sample(feed, SAMPLE)
        row = context.known_row(view)
        some = sampled(context.configuration, view, messages, row)
        if not messages:
            if context.can_replay(view):
                yield Result(
                    "advice", subject, "there is no message to look at yet", "sync check again once there is one"
                )
            return
        yield from sample_results(context, view, some)
    except SyncError as error:
        yield Result("wrong", subject, error.message, error.hint, error.exit_code)


def sample_results(context: OperatorContext, view: View, some: Sampled) -> Iterator[Result]:
    """What the sampled messages become."""
    subject, mapping = f"view {view.name}", some.prepared.mapping
    made = events(mapping, some.rows)
    key = some.prepared.relation.key
    yield Result(
        "fine",
        subject,
        f"of {len(some.table.messages) + sum(some.table.skipped.values())} messages {made.events.frame.height} become events, "
        f"with {len(mapping.properties)} properties; {sum(some.table.skipped.values())} are skipped",
    )
    if made.rejects.height:
        reasons = made.rejects.get_column("reason").value_counts(sort=True)
        most, count = reasons.row(0)
        wrong = not made.events.frame.height
        yield Result(
            "wrong" if wrong else "advice",
            subject,
            f"{made.rejects.height} would be dead letters, most often ({count}): {most}",
            f"sync preview {view.name} shows the others; `fields`, `root` or `where` mend it",
            ExitCode.CONFIGURATION if wrong else ExitCode.FINE,
        )
    if some.unseen:
        yield Result(
            "advice",
            subject,
            f"no message has {', '.join(some.unseen)}",
            "name the members that hold it with `fields: {column: path}`, or `columns:`",
        )
    if key == PLACE_KEY:
        yield Result(
            "advice",
            subject,
            "no key: a message is known by its place, so one that a producer sends twice counts twice",
            "name what makes an event that event with `key:`",
        )
    else:
        yield Result("fine", subject, f"key {', '.join(key)}")
    yield from order_results(view, some)
    sent = {known.name: [column.name for column in known.columns] for known in mapping.properties}
    if undecided := undecided_pii(context.configuration, sent):
        yield Result(
            "advice",
            subject,
            f"{', '.join(undecided)} {'is' if len(undecided) == 1 else 'are'} personal and would leave in the clear",
            "decide: `pii.in_the_clear` lists what may, `pii.properties` what is to be protected, `columns: {name: null}` leaves "
            "it out",
        )
    with suppress(StateError), context.reading() as store:
        if store.view(view.name) is not None and (lanes := store.lanes(view.name)):
            yield Result("fine", subject, f"the state knows {len(lanes)} partitions")


def order_results(view: View, some: Sampled) -> Iterator[Result]:
    """Whether the messages of one player are in one order."""
    subject, scattered = f"view {view.name}", scattered_players(some)
    if not scattered:
        if some.rows.height:
            yield Result("fine", subject, "each player's messages are in one partition, as far as the sample shows")
        return
    profiles = kind(view.kind).role == "profile"
    if profiles and view.version is None:
        yield Result(
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
    yield Result("advice", subject, f"{scattered} players have messages in several partitions: {told}")
