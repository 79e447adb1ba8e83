"""How many events a request holds: fewer when there is no answer, because less at once may be answered."""

from __future__ import annotations

__all__ = ["BatchSize"]

SMALLEST = 50  # events: smaller requests help no API
GROW_AFTER = 20  # answers in a row since one did not come in time, until requests double again
PATIENCE = 2  # times one request had no answer, until it is halved


class BatchSize:
    """Between SMALLEST and `most`. Callers hold one lock around every call."""

    def __init__(self, most: int) -> None:
        self.most = self.events = most
        self.well = 0

    def answered(self) -> None:
        """An answer came: after enough of them requests grow again."""
        self.well += 1
        if self.well >= GROW_AFTER and self.events < self.most:
            self.events, self.well = min(self.most, 2 * self.events), 0

    def silent(self, events: int, silences: int) -> bool:
        """No answer came, for the `silences`th time, to a request of so many events; whether to halve it."""
        self.well = 0
        if silences < PATIENCE or events <= SMALLEST:
            return False
        self.events = max(SMALLEST, min(self.events, events) // 2)
        return True

    def divided(self, events: int) -> None:
        """A request of so many events goes in parts because no answer came: if it was a large one, it may have been too large."""
        if 2 * events > self.events:
            self.silent(events, PATIENCE)
