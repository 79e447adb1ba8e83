"""What `smartico-sync state` is asked to do, before anything is done: files that make sense, and what a new beginning means."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from smartico_sync.errors import ConfigError, StateError
from smartico_sync.state.place import FilePlace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from smartico_sync.cli.operator_context import OperatorContext

__all__ = ["consequences", "may_be_restored", "may_be_written"]

COPY = b"SQLite format 3\0"  # what a copy begins with


def may_be_written(target: Path, context: OperatorContext) -> None:
    """Raise ConfigError where a copy would have no place, or take that of something else than an older copy."""
    if not target.absolute().parent.is_dir():
        raise ConfigError(
            f"there is no directory {target.absolute().parent}", hint="make it, or name a file in another one"
        )
    if isinstance(context.state, FilePlace) and target.resolve() == context.state.path.resolve():
        raise ConfigError(f"the backup {target} would replace the state itself", hint="name another file")
    if beginning(target) not in (b"", COPY):
        raise ConfigError(
            f"{target} is there already, and is no copy of a state", hint="name another file: it would be replaced"
        )


def may_be_restored(source: Path) -> None:
    """Raise ConfigError for a file that no backup wrote."""
    hint = "name the file that `smartico-sync state backup` wrote"
    if not source.is_file():
        raise ConfigError(f"there is no backup {source}", hint=hint)
    if beginning(source) != COPY:
        raise ConfigError(f"{source} is no copy of a state", hint=hint)


def beginning(file: Path) -> bytes:
    """The first bytes of a file; nothing where it is empty or not there. ConfigError where it cannot be read."""
    try:
        with file.open("rb") as opened:
            return opened.read(len(COPY))
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}", hint="name another file") from None


def consequences(context: OperatorContext, starts: Mapping[str, str]) -> list[str]:
    """What a new beginning means for each view."""
    rows = {}
    with suppress(StateError), context.reading() as store:
        rows = {row.view: row for row in store.views()}
    sentences = []
    for view in context.configuration.views:
        row, start = rows.get(view.name), starts.get(view.name, view.start_from)
        sent, again = (row.counts.get(what, 0) if row is not None else 0 for what in ("delivered", "duplicate"))
        known = "nothing delivered"
        if row is not None and (sent or again or row.head is not None):
            known = f"{sent:,} row{'s' * (sent != 1)} delivered" + (f" and {again:,} known before" if again else "")
            known += f", up to {row.head.cursor}" if row.head is not None else ", and it stands at its start"
        then = {
            "now": "what is not delivered by then is never sent",
            "first": "all of them are read and sent again, under the same event ids",
        }.get(start, f"what lies before {start} is not sent")
        sentences.append(f"{view.name}: {known}; it begins again at `start_from: {start}`: {then}")
    return [*sentences, "dead letters and rows that wait are not in the new state"]
