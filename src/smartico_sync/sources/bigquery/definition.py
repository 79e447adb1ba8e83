"""What a BigQuery view is made of, by calls that cost nothing: a query of INFORMATION_SCHEMA is billed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from smartico_sync.sources.bigquery.session import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.cloud.bigquery import Client, Table
    from google.cloud.bigquery.table import TableListItem

    from smartico_sync.sources.bigquery.session import Session

__all__ = ["selects"]

LISTED = 1_000  # relations of a dataset among which views are looked for


class Selects(Mapping[str, str]):
    """The SELECTs of a dataset's views by name, each asked for when it is needed."""

    def __init__(self, session: Session, views: Mapping[str, TableListItem]) -> None:
        self._session, self._views = session, views

    def __getitem__(self, name: str) -> str:
        """One SELECT. SourceError when the user may not see it."""
        reference = self._views[name].reference

        def ask(client: Client, timeout_s: float) -> Table:
            return client.get_table(reference, timeout=timeout_s, retry=NEVER)

        return self._session.call(ask, "the server").view_query or ""

    def __iter__(self) -> Iterator[str]:
        """The views' names."""
        return iter(self._views)

    def __len__(self) -> int:
        """How many views there are."""
        return len(self._views)


def selects(session: Session, place: Sequence[str]) -> Mapping[str, str]:
    """The SELECTs of a dataset's views by name."""
    dataset = (
        ".".join(place) if len(place) > 1 else f"{session.login.project}.{place[0]}" if place else session.login.dataset
    )
    if dataset is None:
        return {}

    def ask(client: Client, timeout_s: float) -> list[TableListItem]:
        return list(client.list_tables(dataset, max_results=LISTED, timeout=timeout_s, retry=NEVER))

    views = {each.table_id: each for each in session.call(ask, "the server") if each.table_type == "VIEW"}
    return Selects(session, views)
