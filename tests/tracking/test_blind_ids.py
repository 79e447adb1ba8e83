"""Event ids of a view without a key: made of the whole row, and nobody can try out a person's data against them."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from msgspec.structs import replace

from smartico_sync.config.models import Configuration
from smartico_sync.core.events import EID
from smartico_sync.core.mapping import events
from smartico_sync.sources.registry import open_source
from smartico_sync.tracking.prepared_view import prepare


def ids(home, column, value):
    """The event id of the same row under two secrets."""
    path = home / f"{column}.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"CREATE TABLE log (at TEXT, ext_brand_id TEXT, user_ext_id TEXT, {column} TEXT)")
        database.execute("INSERT INTO log VALUES ('2026-01-01 00:00:00', 'b', 'u', ?)", (value,))
        database.commit()
    configuration = Configuration.model_validate(
        {
            "version": "1",
            "smartico": {"url": "http://127.0.0.1:9/", "token": "t"},
            "pii": {"mode": "plain", "properties": ["told"]},
            "sources": {"db": {"url": f"sqlite:///{path}"}},
            "views": [
                {"name": "log", "source": "db", "relation": "log", "kind": "custom", "event_type": "visit", "cursor": "at", "key": []}
            ],
        }
    )  # fmt: skip
    with closing(open_source("db", configuration.sources["db"])) as source:
        mapping = prepare(configuration, configuration.views[0], source).mapping
        with source.reading(mapping.relation) as reading:
            page = reading.page(None, 10)
    secrets = (bytes(32), bytes(range(32)))
    return {
        events(mapping.with_options(replace(mapping.options, secret=secret)), page).events.frame.get_column(EID)[0]
        for secret in secrets
    }


@pytest.mark.parametrize(
    "column",
    ["email", "msisdn", "first_name", "surname", "dob", "home_address", "login_ip", "iban", "passport_no", "told"],
)
def test_what_says_who_somebody_is_goes_in_under_the_secret_only(tmp_path, column):
    """Contact details, names, birth dates, addresses, accounts, documents, and what the configuration protects."""
    assert len(ids(tmp_path, column, "value")) == 2


def test_all_else_can_be_computed_again(tmp_path):
    """By anybody who has the row."""
    assert len(ids(tmp_path, "page", "value")) == 1
