"""`smartico-sync status --watch`: a picture that is drawn anew on a terminal, elsewhere a line for each change."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from msgspec import Struct, to_builtins
from rich.console import Console
from rich.live import Live
from rich.text import Text

from smartico_sync.cli.output import echo
from smartico_sync.cli.status_text import folded, status_lines
from smartico_sync.errors import SyncError
from smartico_sync.observe.finding import SEVERAL, SHARED, gist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from smartico_sync.cli.status_text import Line

__all__ = ["Change", "changes", "is_terminal", "watch"]

PAUSE_S = 1.0  # as often as the page looks; a look costs the daemon a millisecond


class Change(Struct, frozen=True):
    """What became of one thing: the daemon, a view or a finding. Empty: it was not there, or is no more."""

    subject: str
    was: str
    now: str

    @property
    def told(self) -> str:
        """In words."""
        if self.was and self.now:
            return f"{self.subject}: {self.was} -> {self.now}"
        return f"{self.subject}: {self.now}" if self.now else f"{self.subject}: over: {self.was}"


def watch(look: Callable[[], dict[str, Any]], form: str) -> dict[str, Any]:
    """Look until Ctrl-C or SIGTERM; the last that was seen. `form`: `picture`, `lines` or `json`."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seen: list[dict[str, Any]] = []

    def looks() -> Iterator[dict[str, Any]]:
        while True:
            seen[:] = [looked(look)]
            yield seen[0]
            time.sleep(PAUSE_S)

    try:
        draw(looks()) if form == "picture" else tell(looks(), form)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # whoever read has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return seen[0] if seen else {"ready": "not known", "views": [], "findings": []}


def looked(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is to be seen now; a state that cannot be read is to be seen too."""
    try:
        return look()
    except SyncError as error:
        finding = {"severity": "critical", "subject": "state", "message": error.message, "hint": error.hint}
        return {"ready": "not known", "views": [], "findings": [finding]}


def draw(looks: Iterator[dict[str, Any]]) -> None:
    """Draw each over the one before, on a screen of its own; the last stays on the terminal when it ends."""
    console = Console(highlight=False)
    shown = Text()
    try:
        with Live(shown, console=console, screen=True, auto_refresh=False) as live:
            for status in looks:
                width, height = shutil.get_terminal_size()
                shown = picture(status, width, height)
                live.update(shown, refresh=True)
    finally:
        console.print(shown, soft_wrap=True)


def picture(status: dict[str, Any], width: int, height: int) -> Text:
    """The lines that fit on a screen; how many do not is said."""
    title = f"smartico-sync status, {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    lines = [*folded(title, width), *status_lines(status, width)]
    if len(lines) > height:
        kept = max(1, height - 1)
        lines = [*lines[:kept], *folded(f"… {len(lines) - kept} more lines: make the window higher", width)]
    return Text("\n").join(styled(line) for line in lines)


def styled(line: Line) -> Text:
    """A line with its colours."""
    return Text.assemble(*((part.text, part.colour or "") for part in line))


def tell(looks: Iterator[dict[str, Any]], form: str) -> None:
    """A line for each change, the first look's among them."""
    before: dict[tuple[str, str], str] = {}
    for status in looks:
        now = facts(status)
        for change in changes(before, now):
            at = datetime.now(UTC).isoformat(timespec="seconds")
            echo(orjson.dumps({"at": at, **to_builtins(change)}).decode() if form == "json" else f"{at} {change.told}")
        before = now


def facts(status: dict[str, Any]) -> dict[tuple[str, str], str]:
    """What is worth a line when it changes, by subject; of a finding not its numbers, which change with every look."""
    found = {("daemon", ""): str(status["ready"])}
    found |= {(f"view {view['name']}", ""): str(view["state"]) for view in status["views"]}
    for finding in status["findings"]:
        told = f"{finding['message']}; next: {finding['hint']}" if finding["hint"] else finding["message"]
        code = finding.get("code", "")
        own = code and code not in SHARED | SEVERAL  # a subject has one of these, whatever it says of it
        found[finding["subject"], code if own else gist(finding["message"])] = told
    return found


def changes(before: dict[tuple[str, str], str], now: dict[tuple[str, str], str]) -> Iterator[Change]:
    """What differs, what is over first."""
    for key in before.keys() - now.keys():
        yield Change(key[0], before[key], "")
    for key, told in now.items():
        was = before.get(key, "")
        if not was or (not key[1] and was != told):
            yield Change(key[0], was, told)


def is_terminal() -> bool:
    """Whether what is printed goes to a terminal that can be drawn on."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
