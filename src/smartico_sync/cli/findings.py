"""What a look at things found, and how it is told: to a person on a screen, or to a program."""

from __future__ import annotations

import re
import shutil
import textwrap
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from smartico_sync.cli.output import echo_lines, secho
from smartico_sync.errors import ExitCode

if TYPE_CHECKING:
    from smartico_sync.errors import SyncError

__all__ = ["Finding", "Mark", "failed", "show", "width", "wrapped"]

Mark = Literal["fine", "advice", "wrong"]
NARROWEST, WIDEST, USUAL = 80, 120, 100  # columns of a screen; what is written into a file has the usual
SIGNS: dict[Mark, tuple[str, str]] = {"fine": ("✓", "green"), "advice": ("!", "yellow"), "wrong": ("✗", "red")}
NEXT = "    next: "
# "…, or see `smartico-sync check` for a missing index", for instance.
CIRCULAR = re.compile(r"[,;:]?\s*(?:or )?(?:see )?`smartico-sync check`[^;]*")


class Finding(Struct, frozen=True):
    """One thing that was tried. `code` is the exit code it stands for."""

    mark: Mark
    subject: str
    message: str
    hint: str = ""
    code: ExitCode = ExitCode.FINE

    def told(self) -> dict[str, Any]:
        """For a program."""
        return {
            "status": self.mark, "subject": self.subject, "message": self.message.removeprefix(f"{self.subject}: "),
            "hint": self.hint, "exit_code": int(self.code),
        }  # fmt: skip


def failed(subject: str, error: SyncError) -> Finding:
    """What an error says; what would send the reader to where he is already is left out."""
    return Finding("wrong", subject, error.message, CIRCULAR.sub("", error.hint).strip("; "), error.exit_code)


def width() -> int:
    """How many columns a line may have."""
    return min(WIDEST, max(NARROWEST, shutil.get_terminal_size((USUAL, 0)).columns))


def wrapped(text: str, first: str, later: str) -> str:
    """A text in lines of the screen's width; no name is cut, however long."""
    lines = [
        textwrap.fill(line, width(), initial_indent=first if not number else later, subsequent_indent=later,
                      break_long_words=False, break_on_hyphens=False)
        for number, line in enumerate(text.splitlines() or [""])
    ]  # fmt: skip
    return "\n".join(lines)


def show(finding: Finding, *, err: bool = False) -> None:
    """Print for a person."""
    sign, colour = SIGNS[finding.mark]
    told = finding.message.removeprefix(f"{finding.subject}: ")
    lines = wrapped(f"{finding.subject}: {told}", "  ", "    ")
    secho(sign, fg=colour, nl=False, err=err)
    echo_lines(lines[1:], err=err)
    if finding.hint:
        echo_lines(wrapped(finding.hint, NEXT, " " * len(NEXT)), err=err)
