"""What BigQuery is here, and what the credentials allow beyond reading. Nothing of it is billed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from smartico_sync.errors import SourceError
from smartico_sync.sources.bigquery.session import NEVER
from smartico_sync.sources.protocol import ServerFacts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.cloud.bigquery import Client
    from google.cloud.bigquery.table import TableListItem

    from smartico_sync.sources.bigquery.login import Login
    from smartico_sync.sources.bigquery.session import Session, Storage

__all__ = ["ask_facts", "listed"]

NO_FENCE = "BigQuery has no transaction ids"
WRITING = ("bigquery.tables.updateData", "bigquery.tables.delete")
LISTED = 1_000  # relations of a dataset that are named


def ask_facts(session: Session) -> ServerFacts:
    """Compiling a query of nothing proves credentials and the right to ask; further questions may stay unanswered."""
    login = session.login
    session.estimate("SELECT 1", (), "the server")
    return ServerFacts(
        engine="bigquery",
        version=f"v2, location {_location(session, login) or 'by default'}",
        role="primary",
        fence=NO_FENCE,
        warnings=(*_wide(session, login), *_slow(session.storage)),
        encrypted="yes",
    )


def listed(session: Session, kind: str = "") -> tuple[str, ...]:
    """Tables and views of the dataset, or of all datasets of the project, or those of a kind, by names that `describe` takes."""
    login = session.login

    def ask(client: Client, timeout_s: float) -> list[TableListItem]:
        datasets = [login.dataset] if login.dataset else [
            item.reference for item in client.list_datasets(timeout=timeout_s, retry=NEVER)
        ]  # fmt: skip
        return [
            table
            for dataset in datasets
            for table in client.list_tables(dataset, max_results=LISTED, timeout=timeout_s, retry=NEVER)
        ]

    found = (table for table in session.call(ask, "the server") if kind in ("", table.table_type))
    return tuple(sorted(f"{table.dataset_id}.{table.table_id}" for table in found))


def _location(session: Session, login: Login) -> str:
    if login.location or login.dataset is None:
        return login.location or ""
    dataset = login.dataset
    with suppress(SourceError):
        found = session.call(
            lambda client, timeout_s: client.get_dataset(dataset, timeout=timeout_s, retry=NEVER), "the server"
        )
        return str(found.location or "")
    return ""


def _wide(session: Session, login: Login) -> Iterator[str]:
    if login.dataset is None:
        return
    dataset = login.dataset

    def ask(client: Client, timeout_s: float) -> list[str]:
        for table in client.list_tables(dataset, max_results=1, timeout=timeout_s, retry=NEVER):
            held = client.test_iam_permissions(table.reference, WRITING, timeout=timeout_s, retry=NEVER)
            return list(held.get("permissions", ()))
        return []

    with suppress(SourceError):
        if held := session.call(ask, "the server"):
            yield f"the credentials allow {', '.join(held)} in {dataset}: roles/bigquery.dataViewer is enough"


def _slow(storage: Storage) -> Iterator[str]:
    if storage.refused:
        yield (
            "the Storage API is refused, so large pages come as JSON and take longer: GRANT roles/bigquery.readSessionUser, or "
            "set storage_api=never"
        )
