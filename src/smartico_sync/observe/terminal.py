"""Progress on a terminal: a live table of the views."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from smartico_sync.core.printable import printable, printable_lines
from smartico_sync.observe.health import standstill

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from smartico_sync.observe.view_status import ViewStatus

__all__ = ["Progress", "summary", "table"]

REFRESH_S = 0.5  # quick enough to see life, slow enough to cost nothing
COLOURS = {
    "live": "green",
    "behind": "blue",
    "starting": "blue",
    "degraded": "yellow",
    "halted": "red",
    "regressed": "red",
}


def table(views: Sequence[ViewStatus], title: str) -> Table:
    """The views as a table; the last column says what is wrong and what to type next."""
    made = Table(title=title, title_justify="left", expand=False)
    for name in ("view", "state"):
        made.add_column(name)
    for name in ("lag", "rows/s", "delivered", "unchanged", "dead letters"):
        made.add_column(name, justify="right")
    made.add_column("up to", overflow="ellipsis", no_wrap=True, max_width=28)
    made.add_column("trouble", overflow="fold")
    for view in views:
        counts = view.counts
        made.add_row(
            view.name,
            f"[{COLOURS[view.state]}]{view.state}[/]",
            f"{view.lag_ms / 1000:,.1f} s",
            f"{view.per_second:,.0f}",
            delivered(counts),
            f"{counts.get('unchanged', 0):,}",
            f"{counts.get('dead_lettered', 0):,}",
            escape(printable(view.head)),
            escape(printable_lines(f"{view.error}\n→ {view.hint}" if view.error else standstill(view))),
        )
    return made


def delivered(counts: Mapping[str, int]) -> str:
    """Rows that Smartico took as new; below them those that it knew before."""
    again = counts.get("duplicate", 0)
    return f"{counts.get('delivered', 0):,}" + (f"\n+ {again:,} known before" if again else "")


def summary(views: Sequence[ViewStatus]) -> None:
    """Print what became of every view, on a terminal only."""
    console = Console(stderr=True)
    if console.is_terminal:
        console.print(table(views, "what was done"))


class Progress:
    """A context manager that redraws the table until it ends. `look` says how the views do at the moment it is called."""

    def __init__(self, look: Callable[[], Sequence[ViewStatus]], where: str) -> None:
        self.look = look
        self.where = where
        self.console = Console(stderr=True)
        self.ended = threading.Event()
        self.live = Live(self.drawn(), console=self.console, auto_refresh=False, transient=True)
        self.thread = threading.Thread(target=self.draw, name="progress", daemon=True)

    def drawn(self) -> Table:
        """The table now."""
        return table(self.look(), f"smartico-sync · {self.where} · Ctrl-C ends")

    def draw(self) -> None:
        """Redraw now and then."""
        while not self.ended.wait(REFRESH_S):
            self.live.update(self.drawn(), refresh=True)

    def __enter__(self) -> Self:
        self.live.start()
        self.thread.start()
        return self

    def stop(self) -> None:
        """Take the table away; idempotent."""
        if not self.ended.is_set():
            self.ended.set()
            self.thread.join()
            self.live.stop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
