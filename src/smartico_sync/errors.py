"""The failure model. The class says what the daemon does; the hint says what the operator types next.

SyncError                     1  internal error
├── Unexpected                   a mistake of ours, or of a plug-in: told and tried again, never swallowed
├── Unaccounted                  a mistake of ours too: the fates of rows do not add up, so nothing of their page is committed
├── ConfigError               2  the daemon does not start
│   ├── DriverMissing            one line with the pip command
│   └── SecretsMissing           all is right but for files of secrets that are not there yet
├── SourceError               3  the view degrades and is tried again, with growing pauses
│   ├── SourceUnreachable        nobody answers, or the connection broke
│   │   └── SourceFull           the server grants no more connections: those that are there are shared
│   ├── SourceRefused            wrong password, missing permission
│   ├── SourceCancelled          the server ended the read (standby conflict, timeout): again, with a smaller page
│   │   └── RowsTooWide          rows are wider than was thought, so we ended it: fewer of them are read again, at once
│   ├── PositionMoved            somebody else has moved the view on: nothing is committed, and it begins where the state says
│   └── ViewBroken               the view is gone, or lacks a column the configuration names
│       └── ViewAltered          its columns are others than they were: it is described again at once
├── ViewHalted                   this view stops until somebody mends what the class names
│   ├── ViewMisconfigured     2  the configuration
│   ├── MessagesLost          3  the broker deleted messages that were not read
│   ├── RowsUnusable          3  rows in the source
│   ├── ViewRegressed         3  the source went back in time: nothing old is sent
│   └── RowsRefused           4  nearly all rows are refused: the view does not hold what it should
├── DeliveryError             4  nothing is committed; the watermark stays
│   ├── DeliveryHalted           wrong key, URL or proxy, unknown brand: slow retries notice when it is mended
│   ├── DeliveryUnavailable      429, 5xx, no connection: backing off
│   ├── DeliveryUnknown          no answer in time: it may have been accepted; the same eids go again
│   └── DeliveryStopped          the daemon ends before the answer came
└── StateError                5  the daemon does not start, or stops delivering until it can write
    ├── StateMissing             the file was there and is gone
    ├── StateDamaged             SQLite finds it corrupt
    ├── StateLocked              another process holds it
    │   └── StateHeld            another member of the cluster holds it: this one stands by
    ├── StateLost                another member took it over: this one stands by
    └── StateUnwritable          disk full, read-only, no permission
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ConfigError",
    "DeliveryError",
    "DeliveryHalted",
    "DeliveryStopped",
    "DeliveryUnavailable",
    "DeliveryUnknown",
    "DriverMissing",
    "ExitCode",
    "MessagesLost",
    "PositionMoved",
    "PositionUnfit",
    "RowsRefused",
    "RowsTooWide",
    "RowsUnusable",
    "SecretsMissing",
    "SourceCancelled",
    "SourceError",
    "SourceFull",
    "SourceRefused",
    "SourceUnreachable",
    "StateDamaged",
    "StateError",
    "StateHeld",
    "StateLocked",
    "StateLost",
    "StateMissing",
    "StateUnwritable",
    "SyncError",
    "Unaccounted",
    "Unexpected",
    "ViewAltered",
    "ViewBroken",
    "ViewHalted",
    "ViewMisconfigured",
    "ViewRegressed",
]


class ExitCode(IntEnum):
    """What the process tells its caller."""

    FINE = 0
    INTERNAL = 1
    CONFIGURATION = 2
    SOURCE = 3
    API = 4
    STATE = 5
    DEAD_LETTERS = 6


class SyncError(Exception):
    """Anything an operator can cause or mend.

    `message` says what happened and where; `hint` is the next command or change, one line. Neither may ever hold a
    secret, a row's value or personal data.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    @property
    def in_a_line(self) -> str:
        """The message for a log, a page and an alert: of a file's mistakes, which have a line each on a terminal, one follows the other."""
        first, *others = self.message.splitlines() or [""]
        return f"{first} {'; '.join(each.strip() for each in others)}".rstrip()


class Unexpected(SyncError):
    """Made of any other exception, by its type and origin; its own words may hold a row's values and are left out."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(
            f"internal error: {type(error).__name__}, {origin(error)}",
            hint="run the command again with SYNC_DEBUG=1 and report what it prints",
        )


def origin(error: BaseException) -> str:
    """Where an exception began."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    return f"{frame.tb_frame.f_code.co_name} line {frame.tb_lineno}" if frame else "nowhere"


class Unaccounted(SyncError):
    """Rows of a view are not accounted for; `counts` says by name what became of how many."""

    def __init__(self, view: str, counts: Mapping[str, int]) -> None:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        super().__init__(
            f"internal error: view {view}: the rows do not add up: {told}",
            hint="nothing of them is committed and they are read again; if this stays, report the line and smartico-sync --version",
        )


class ConfigError(SyncError):
    """The configuration cannot be used."""

    exit_code = ExitCode.CONFIGURATION


class DriverMissing(ConfigError):
    """The engine's driver is not installed; the hint is the pip command."""


class SecretsMissing(ConfigError):
    """Files that hold secrets are not there, or empty; nothing else is wrong."""


class SourceError(SyncError):
    """The source cannot be read."""

    exit_code = ExitCode.SOURCE


class SourceUnreachable(SourceError):
    """Nobody answers, or the connection broke."""


class SourceFull(SourceUnreachable):
    """The server, or what it grants this user, has no connection left; one that is open already serves on."""


class SourceRefused(SourceError):
    """The server knows us and says no."""


class SourceCancelled(SourceError):
    """The server ended the read; a smaller page may pass."""


class RowsTooWide(SourceCancelled):
    """An answer was given up while it was read: `rows` of it were `size` bytes, the widest of them `row_bytes` each.

    Whoever asks for fewer rows gets them, a handful in any case.
    """

    def __init__(self, what: str, rows: int, size: int, row_bytes: float) -> None:
        super().__init__(
            f"{what}: {rows:,} rows are {size / 1_000_000:,.0f} MB, more than is read at once",
            hint="ask for fewer rows; the daemon does so by itself",
        )
        self.rows, self.size, self.row_bytes = rows, size, row_bytes


class PositionMoved(SourceError):
    """The state's position is not where this page began: another process, or an operator, has moved the view."""


class ViewBroken(SourceError):
    """The view is gone or lacks a column the configuration names."""


class ViewAltered(ViewBroken):
    """The view has other columns than it was described with; what was read of it meanwhile counts for nothing."""


class PositionUnfit(ViewBroken):
    """What stands in a position is no value of its column's type."""


class ViewHalted(SyncError):
    """The view stops; only a change by the operator starts it again. The subclass says what must be mended."""


class ViewMisconfigured(ViewHalted):
    """The configuration does not fit what the state or the source holds."""

    exit_code = ExitCode.CONFIGURATION


class MessagesLost(ViewHalted):
    """The broker deleted messages that were not read, and the configuration says to stop then."""

    exit_code = ExitCode.SOURCE


class RowsUnusable(ViewHalted):
    """Rows of the source cannot be used, and the configuration says to stop then."""

    exit_code = ExitCode.SOURCE


class ViewRegressed(ViewHalted):
    """The source holds less than was already delivered: restored, failed over to a stale replica, or ids reset."""

    exit_code = ExitCode.SOURCE


class RowsRefused(ViewHalted):
    """So many rows are refused that it is the view which is wrong, and not some rows."""

    exit_code = ExitCode.API


class DeliveryError(SyncError):
    """Events are not acknowledged."""

    exit_code = ExitCode.API


class DeliveryHalted(DeliveryError):
    """Token, URL, proxy or brand is wrong: nothing is accepted before somebody mends it."""


class DeliveryUnavailable(DeliveryError):
    """The API cannot take events now."""


class DeliveryUnknown(DeliveryError):
    """The API did not answer in time; the events may have been accepted."""


class DeliveryStopped(DeliveryError):
    """The daemon is ending; unacknowledged events stay unacknowledged."""


class StateError(SyncError):
    """The state file cannot be used."""

    exit_code = ExitCode.STATE


class StateMissing(StateError):
    """A state that existed is gone."""


class StateDamaged(StateError):
    """SQLite finds the file corrupt, or it is not ours."""


class StateLocked(StateError):
    """Another process has the state open."""


class StateHeld(StateLocked):
    """Another member of the cluster works with the state; it is seen, and taken over when that one ends."""


class StateLost(StateError):
    """Another member of the cluster has the state, or may have it by now; nothing of the call has happened."""


class StateUnwritable(StateError):
    """The state cannot be written."""
