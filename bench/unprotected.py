"""The daemon without its search for late rows, to see what the search costs: `python -m bench.unprotected run --once …`."""

from __future__ import annotations

from smartico_sync.cli import main
from smartico_sync.tracking.page_reader import PageReader

if __name__ == "__main__":
    PageReader.started = lambda self, moment: None  # noqa: ARG005 - the method's signature
    main()
